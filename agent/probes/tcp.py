"""The tcpSocket handler: a connection is the whole conversation. Pure."""

from __future__ import annotations

from agent.probes.conversation import Finding, Target, Turn
from shared.protocol.report import Status


class TCPConnect:
    """Connects and hangs up. The result is always empty (SPEC 2.3)."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def opened(self) -> Turn:
        """Be content: the other side listens."""
        return Turn(end=Finding(Status.TRUE))

    def heard(self, data: bytes) -> Turn:  # noqa: ARG002 - what a greeting says does not matter
        """Be content, too: the conversation ended when it was opened."""
        return Turn(end=Finding(Status.TRUE))
