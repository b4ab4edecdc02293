"""Runs a command as a process of another container of the pod (AGENT-EXEC technique, see docs/adr)."""
