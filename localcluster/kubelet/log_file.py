"""What the processes of one container instance print: a file, and followers that wait for more.

The format is the CRI's, one line each: `2026-01-02T03:04:05.000006Z stdout F text`, where P instead
of F marks a part whose line goes on. Source: Kubernetes, "CRI: Log management", logging format.
Not pure; belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from shared.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_READ_BYTES = 1 << 16
_LARGEST_FILE = 10 << 20  # kubelet's containerLogMaxSize; one older file of that size is kept
_LONGEST_PART = 1 << 14  # the runtimes' buffer: a longer line is cut into parts


class LogLine(NamedTuple):
    """A line, or with `complete` False a part of one, as it was printed at `time` (RFC 3339)."""

    time: str
    stream: str
    complete: bool
    text: bytes


def parse_line(raw: bytes) -> LogLine:
    """Return a stored line; raises ValueError for anything that is not one."""
    time, stream, tag, text = raw.removesuffix(b"\n").split(b" ", 3)
    return LogLine(time.decode(), stream.decode(), tag == b"F", text)


def _cut(line: bytes) -> tuple[list[bytes], bytes]:
    """Return the full parts of a line and what is left of it."""
    whole = len(line) // _LONGEST_PART * _LONGEST_PART
    parts = [line[start : start + _LONGEST_PART] for start in range(0, whole, _LONGEST_PART)]
    return parts, line[whole:]


class ContainerLog:
    """The log of one instance. Pipes are attached; the file is complete once `close` returned."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = self._open()
        self._size = 0
        self._rotations = 0
        self._pending: dict[int, tuple[str, bytes]] = {}  # pipe -> stream, unfinished line
        self._loop = asyncio.get_running_loop()
        self._grown: asyncio.Future[None] = self._loop.create_future()
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self.closed = False

    def attach(self, stream: str) -> int:
        """Return the write end of a new pipe whose output is stored as `stream`; caller closes."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        self._pending[reading] = (stream, b"")
        self._loop.add_reader(reading, self._read, reading)
        return writing

    async def close(self, patience_seconds: float) -> None:
        """Store what is still in the pipes, wait so long for their end at most, and close."""
        if self._pending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_seconds):
                    await asyncio.shield(self._drained)
        self.close_now()

    def close_now(self) -> None:
        """Close without waiting; repeated calls do nothing."""
        if self.closed:
            return
        for pipe in list(self._pending):
            self._detach(pipe)
        os.close(self._file)
        self.closed = True
        self._wake()

    def remove(self) -> None:
        """Close the log and remove its files."""
        self.close_now()
        for path in (self.path, self._rotated):
            path.unlink(missing_ok=True)

    async def read(self, *, follow: bool, skip: int = 0) -> AsyncIterator[LogLine]:
        """Yield the lines stored so far, and with `follow` those to come until the log closes.

        Args:
            follow: whether to wait for more.
            skip: how many of the first lines to leave out.
        """
        records = 0
        finished = False
        while not finished:
            rotations = self._rotations
            with self.path.open("rb") as file:
                while True:
                    grown, closed, rotated = self._grown, self.closed, self._rotations != rotations
                    # Every record was stored with one write, so no line is seen in part.
                    for raw in iter(file.readline, b""):
                        records += 1
                        if records > skip:
                            yield parse_line(raw)
                    finished = closed or not follow
                    if finished or rotated:
                        break
                    await asyncio.shield(grown)

    def _read(self, pipe: int) -> None:
        stream, unfinished = self._pending[pipe]
        try:
            content = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            return
        if not content:
            self._detach(pipe)
            return
        *lines, rest = (unfinished + content).split(b"\n")
        records = []
        for line in lines:
            parts, last = _cut(line)
            records += [self._record(stream, b"P", part) for part in parts]
            records.append(self._record(stream, b"F", last))
        parts, rest = _cut(rest)
        records += [self._record(stream, b"P", part) for part in parts]
        self._pending[pipe] = (stream, rest)
        self._store(b"".join(records))

    def _detach(self, pipe: int) -> None:
        self._loop.remove_reader(pipe)
        os.close(pipe)
        stream, rest = self._pending.pop(pipe)
        if rest:
            # P: the container's last words had no newline, so the reader prints none.
            self._store(self._record(stream, b"P", rest))
        if not self._pending and not self._drained.done():
            self._drained.set_result(None)

    def _record(self, stream: str, tag: bytes, text: bytes) -> bytes:
        now = utc_now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return b" ".join((now.encode(), stream.encode(), tag, text)) + b"\n"

    def _store(self, content: bytes) -> None:
        if content:
            os.write(self._file, content)
            self._size += len(content)
            self._wake()
        if self._size > _LARGEST_FILE:
            os.close(self._file)
            self.path.replace(self._rotated)
            self._file, self._size = self._open(), 0
            self._rotations += 1

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    @property
    def _rotated(self) -> Path:
        return self.path.with_suffix(".old")

    def _wake(self) -> None:
        grown, self._grown = self._grown, self._loop.create_future()
        grown.set_result(None)
