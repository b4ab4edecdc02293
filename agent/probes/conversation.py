"""What a network handler is to the loop: a conversation on one connection, without I/O. Pure.

Bytes that came in go to `heard`, what follows is a `Turn`. So http.py and grpc.py are plain state
machines, and network.py has the only sockets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shared.protocol.report import Status


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect.

    Attributes:
        host: an IP address or a name, without the brackets of an IPv6 address.
        tls: encrypt, without a look at the certificate (as kubelet does).
    """

    host: str
    port: int
    tls: bool = False

    @property
    def authority(self) -> str:
        """Host and port as URLs and people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a conversation showed.

    Attributes:
        status: True, False, or Unknown when it could not be held.
        text: the raw result: a body, or a serving status.
        reason, message: why it is not True, or a warning; see shared/protocol/reasons.py.
    """

    status: Status
    text: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows from what was heard.

    Attributes:
        send: bytes for the other side.
        end: what was found, or a conversation elsewhere that goes on (a redirect); None: listen on.
    """

    send: bytes = b""
    end: Finding | Conversation | None = None


class Conversation(Protocol):
    """One exchange on a connection of its own."""

    @property
    def target(self) -> Target:
        """Where to connect."""

    def opened(self) -> Turn:
        """Return what to do once the connection stands."""

    def heard(self, data: bytes) -> Turn:
        """Return what to do after these bytes; b"" when the other side has closed."""
