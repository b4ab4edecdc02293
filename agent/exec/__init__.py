"""Runs a command as a process of another container of the pod (back end `procroot`)."""
