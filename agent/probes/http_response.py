"""Reads one HTTP/1.x response from bytes as they come. Pure, no I/O.

Only what a probe asks: the status, the headers, and the first 10 KiB of the body. What comes after
is never read, so an endless body costs nothing. Bare line feeds are accepted, as Go's client does.
Source: RFC 9112, 4 (status line), 6.3 (body length), 7.1 (chunked).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BODY_KEPT_BYTES = 10 * 1024  # pkg/probe/http, maxRespBodyLength
MAX_HEAD_BYTES = 64 * 1024
_MAX_CHUNK_LINE_BYTES = 4 * 1024
_MAX_INTERIM_RESPONSES = 5  # net/http gives up after as many 1xx responses
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\r\n]*)?")
_NO_BODY = frozenset({204, 304})
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL = 200


class BrokenResponseError(Exception):
    """The other side does not speak HTTP, or stopped in the middle; the message says where."""


class ResponseReader:
    """Takes bytes, and is done when status, headers and as much of the body as wanted are there.

    Attributes:
        status: three digits; 0 before the head is complete.
        headers: the first value of each, names in lower case.
        body: what came so far, at most `BODY_KEPT_BYTES`.
        is_done: whether there is nothing more to wait for.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_done = False
        self._buffer = b""
        self._interim = 0
        self._left = 0
        # Returns whether it got further with what is in the buffer.
        self._step: Callable[[], bool] = self._read_head
        self._ends_with_connection = False

    def feed(self, data: bytes) -> None:
        """Take bytes; b"" when the other side has closed.

        Raises:
            BrokenResponseError: nothing useful can follow.
        """
        self._buffer += data
        is_going_on = True
        while is_going_on and not self.is_done:
            is_going_on = self._step()
            if len(self.body) >= BODY_KEPT_BYTES:
                self._finish()
        if not data and not self.is_done:
            if not self._ends_with_connection:
                where = "in its body" if self.status else "before its head was complete"
                raise BrokenResponseError(f"the response ended {where}")
            self._finish()

    def _finish(self) -> None:
        self.body = self.body[:BODY_KEPT_BYTES]
        self._buffer = b""
        self.is_done = True

    def _read_head(self) -> bool:
        end = _END_OF_HEAD.search(self._buffer)
        if end is None:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BrokenResponseError(f"its head is longer than {MAX_HEAD_BYTES} bytes")
            return False
        first, *lines = self._buffer[: end.start()].replace(b"\r\n", b"\n").split(b"\n")
        self._buffer = self._buffer[end.end() :]
        match = _STATUS_LINE.fullmatch(first)
        if match is None:
            raise BrokenResponseError(
                f"it begins with {_shown(first)}, not with HTTP/1.1 and a status"
            )
        status = int(match[1])
        if status < _FIRST_FINAL and status != _SWITCHING_PROTOCOLS:
            self._interim += 1
            if self._interim > _MAX_INTERIM_RESPONSES:
                raise BrokenResponseError("it sends one interim response (1xx) after the other")
            return True
        self.status = status
        self.headers = _parse_fields(lines)
        self._choose_body()
        return True

    def _choose_body(self) -> None:
        """Decide where the body ends (RFC 9112, 6.3)."""
        coding = self.headers.get("transfer-encoding", "")
        length = self.headers.get("content-length")
        if self.status in _NO_BODY or self.status == _SWITCHING_PROTOCOLS:
            self._finish()
        elif coding:
            if coding.lower() != "chunked":
                raise BrokenResponseError(f"its Transfer-Encoding {coding[:40]!r} is not chunked")
            self._step = self._read_chunk_size
        elif length is not None:
            if not re.fullmatch("[0-9]{1,18}", length):
                raise BrokenResponseError(f"its Content-Length {length[:40]!r} is no number")
            self._left = int(length)
            self._step = self._read_counted
        else:
            self._ends_with_connection = True
            self._step = self._read_rest

    def _read_counted(self) -> bool:
        self._keep(self._left)
        if self._left == 0:
            self._finish()
        return False

    def _read_rest(self) -> bool:
        self._left = len(self._buffer)
        had = bool(self._buffer)
        self._keep(self._left)
        return had

    def _read_chunk_size(self) -> bool:
        line, separator, rest = self._buffer.partition(b"\n")
        if not separator:
            if len(line) > _MAX_CHUNK_LINE_BYTES:
                raise BrokenResponseError("the size of a chunk has no end")
            return False
        size = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", size):
            raise BrokenResponseError(f"{_shown(size)} is no size of a chunk")
        self._buffer = rest
        self._left = int(size, 16)
        if self._left == 0:
            self._finish()  # trailers are of no interest
            return False
        self._step = self._read_chunk
        return True

    def _read_chunk(self) -> bool:
        had = bool(self._buffer)
        self._keep(self._left)
        if self._left == 0:
            self._step = self._read_chunk_end
            return True
        return had

    def _read_chunk_end(self) -> bool:
        for end in (b"\r\n", b"\n"):
            if self._buffer.startswith(end):
                self._buffer = self._buffer[len(end) :]
                self._step = self._read_chunk_size
                return True
        if self._buffer in (b"", b"\r"):
            return False
        raise BrokenResponseError("a chunk is longer than it says")

    def _keep(self, most: int) -> None:
        part, self._buffer = self._buffer[:most], self._buffer[most:]
        self._left -= len(part)
        self.body += part[: BODY_KEPT_BYTES - len(self.body)]


def _parse_fields(lines: list[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.decode("latin-1").partition(":")
        if not separator or not name or name != name.strip():
            raise BrokenResponseError(f"{_shown(line)} is no header")
        key, text = name.lower(), value.strip()
        if key == "content-length" and fields.get(key, text) != text:
            raise BrokenResponseError("it has two different Content-Length headers")
        fields.setdefault(key, text)
    return fields


def _shown(raw: bytes) -> str:
    return repr(raw[:40].decode("latin-1"))
