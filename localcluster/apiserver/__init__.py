"""A small Kubernetes API server in memory, good enough for the real kubectl."""
