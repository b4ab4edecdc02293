"""The sidecar: runs probes in the game container and reports verdicts. Standard library only."""
