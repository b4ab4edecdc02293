"""The wire between agent and aggregator. Standard library only: the agent imports nothing else."""
