"""Forks the launcher while this process is still small and has one thread. Not pure; lean."""

from __future__ import annotations

import os
import socket

from localcluster.kubelet.launcher import serve


def fork_launcher() -> tuple[socket.socket, int]:
    """Fork a launcher; return the kubelet's end of its channel, and its pid.

    NB: call it before asyncio, TLS or any thread: what is imported is paid again by every fork.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        serve(theirs)
    theirs.close()
    return ours, pid
