"""What agent and exec helper say to each other: NUL-separated fields in one datagram. Pure.

Neither side is ever of another version (one is forked from the other) and no field can hold a NUL,
because arguments of a program cannot. JSON would cost the helper its parser, in every game pod. The
program's output does not travel here: it goes through pipes whose write ends come with the request.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as a type checker reads it; the typing module would cost the helper 1 MiB
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_REQUEST_BYTES = (
    128 * 1024
)  # under the default limit of a datagram (net.core.wmem_default, 208 KiB)
MAX_REPLY_BYTES = 4096
REQUEST_FDS = 3  # stdout, stderr, control

EXITED = "exited"
TIMED_OUT = "timed-out"
FAILED = "failed"


class Request:
    """Run a command as a process of the container of another process.

    Attributes:
        pid, starttime: main process of the container; starttime in clock ticks since boot.
        timeout_seconds: the whole tree is killed after this time.
        command: program and arguments; empty: only enter the container and leave it again.
    """

    __slots__ = ("command", "pid", "starttime", "timeout_seconds")

    def __init__(
        self, pid: int, starttime: int, timeout_seconds: float, command: Sequence[str]
    ) -> None:
        self.pid = pid
        self.starttime = starttime
        self.timeout_seconds = timeout_seconds
        self.command = tuple(command)

    def encode(self) -> bytes:
        """Return the datagram."""
        head = (str(self.pid), str(self.starttime), repr(self.timeout_seconds))
        return "\0".join((*head, *self.command)).encode("utf-8", "surrogateescape")

    @classmethod
    def decode(cls, datagram: bytes) -> Request:
        """Return the request in a datagram that `encode` made."""
        fields = datagram.decode("utf-8", "surrogateescape").split("\0")
        return cls(int(fields[0]), int(fields[1]), float(fields[2]), fields[3:])


class Reply:
    """How a request ended.

    Attributes:
        ending: EXITED, TIMED_OUT or FAILED (the command could not be run).
        exit_code: for EXITED; 128 + the signal for a killed program, as shells say it.
        reason, message: for FAILED: CamelCase, and one line that says what to do.
    """

    __slots__ = ("ending", "exit_code", "message", "reason")

    def __init__(
        self, ending: str, exit_code: int = 0, reason: str = "", message: str = ""
    ) -> None:
        self.ending = ending
        self.exit_code = exit_code
        self.reason = reason
        self.message = message

    def encode(self) -> bytes:
        """Return the datagram."""
        fields = (self.ending, str(self.exit_code), self.reason, self.message.replace("\0", ""))
        return "\0".join(fields).encode("utf-8", "replace")[:MAX_REPLY_BYTES]

    @classmethod
    def decode(cls, datagram: bytes) -> Reply:
        """Return the reply in a datagram that `encode` made."""
        ending, exit_code, reason, message = datagram.decode("utf-8", "replace").split("\0")
        return cls(ending, int(exit_code), reason, message)
