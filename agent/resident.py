"""Gives back the memory of library pages that only the start of the agent has used.

Theory: the kernel maps pages of a library as they are touched, 16 at a time, and leaves them
mapped. Start-up touches most of libpython and libcrypto once (imports, certificates, the first
handshake); a heartbeat touches a third of that. madvise(2) with MADV_DONTNEED unmaps pages of a
file: the next use maps one again from the page cache, at the cost of a minor fault, while the
kernel is free to drop those that nobody uses. 5 MiB less resident memory, measured; private memory
stays as it is, because only mappings that hold nothing but the file's own bytes are given back.

NB: they are listed once, while this process has a single thread. The loader maps a library in
steps, and what holds only the file's bytes in the middle of them may be written to afterwards.
"""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False  # as a type checker reads it; the typing module would cost the helper 1 MiB
if TYPE_CHECKING:
    from collections.abc import Iterable

_MADV_DONTNEED = 4
_READ_ONLY = frozenset({"r--p", "r-xp"})
# After the first report, its answer and a few runs; then rarely, for what a new connection used.
_FIRST_SECONDS = 15.0
_PERIOD_SECONDS = 600.0


class LibraryPages:
    """The read-only mappings of files that this process has now.

    Args:
        now: on the monotonic clock; only for `step`.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._due_at = now + _FIRST_SECONDS
        try:
            with open("/proc/self/smaps", encoding="utf-8", errors="surrogateescape") as file:
                self.mappings = unwritten_mappings(file)
        except OSError:
            self.mappings = []  # a kernel that does not tell: then all stays where it is

    def deadline(self) -> float:
        """Return when `step` has something to do."""
        return self._due_at

    def step(self, now: float) -> None:
        """Give the pages back when it is time."""
        if now >= self._due_at:
            self._due_at = now + _PERIOD_SECONDS
            self.release()

    def release(self) -> None:
        """Unmap the pages; whichever is used again comes back by itself."""
        libc = ctypes.CDLL(None)
        for start, length in self.mappings:
            # A refusal (memory that is locked) only leaves them where they are.
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_DONTNEED)


def unwritten_mappings(smaps: Iterable[str]) -> list[tuple[int, int]]:
    """Return address and length of the read-only mappings of files that were never written to.

    Relocated data is read-only, too, but differs from the file: those pages count as anonymous, and
    would be lost. Takes the lines of /proc/PID/smaps (proc(5)).
    """
    found: list[tuple[int, int]] = []
    candidate: tuple[int, int] | None = None
    for line in smaps:
        first, *rest = line.split(None, 5)
        if not first.endswith(":"):
            candidate = _read_mapping(first, rest)
        elif first == "Anonymous:" and rest[0] == "0" and candidate is not None:
            found.append(candidate)
    return found


def _read_mapping(span: str, fields: list[str]) -> tuple[int, int] | None:
    mode, _, _, inode, *_ = fields
    if mode not in _READ_ONLY or inode == "0":
        return None
    start, end = (int(word, 16) for word in span.split("-"))
    return start, end - start
