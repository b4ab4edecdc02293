"""What the local API server is known not to do as the real one does: test -> what is missing.

These cases are expected to fail in local runs, and strictly: one that begins to pass has to leave
this table. Runs with `--kubeconfig` ignore it.
"""

LOCAL_GAPS: dict[str, str] = {}
