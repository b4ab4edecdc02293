"""The embedded cluster for development and tests: API server, process kubelet, janitor."""
