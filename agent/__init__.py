"""The sidecar: runs probes inside the game container's view and reports their verdicts. Standard library only."""
