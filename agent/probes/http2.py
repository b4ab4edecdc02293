"""HTTP/2 for exactly one unary call: one stream, one request, one short answer. Pure, no I/O.

A library would do more than we need for more than we want to pay: importing h2 costs 1.3 MiB in
every game pod with a gRPC probe, grpcio 3.9; this, hpack.py and grpc.py 0.2 (measured).
Source: RFC 9113; the sections are named where they matter.

Rules:
 1. We say: preface, SETTINGS (no push), HEADERS, DATA with END_STREAM, all at once; the server's
    settings can only widen what so short a request needs.
 2. SETTINGS and PING are answered, WINDOW_UPDATE, PRIORITY and unknown frames are ignored (4.1).
 3. The answer is complete at END_STREAM. RST_STREAM, GOAWAY below our stream, a broken frame or the
    end of the connection end it without an answer.
 4. Everything is bounded: frames 16 KiB, header blocks 64 KiB, the message 64 KiB, 1,000 frames.
    A window of 64 KiB is what the server has from the start, so we never have to widen it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from agent.probes.hpack import Decoder, HeaderBlockError

if TYPE_CHECKING:
    from collections.abc import Iterable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE = 0x0, 0x1, 0x3, 0x4, 0x5
_PING, _GOAWAY, _CONTINUATION = 0x6, 0x7, 0x9
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_SETTING_ENABLE_PUSH = 0x2
_STREAM = 1
_FRAME_HEAD_BYTES = 9
_MAX_FRAME_BYTES = 16_384  # 6.5.2: we announce no larger SETTINGS_MAX_FRAME_SIZE
_MAX_BLOCK_BYTES = 64 * 1024
_MAX_MESSAGE_BYTES = 64 * 1024
_MAX_FRAMES = 1000
_ERROR_NAMES = (  # noqa: SIM905 - a word a line would bury the rest
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED"
    " FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM"
    " INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
).split()


class CallError(Exception):
    """The call ended without an answer; the message says how."""


class UnaryCall:
    """One request and its answer.

    Args:
        fields: of the request's header, pseudo fields first, names in lower case.
        body: of the request, at most 16 KiB.

    Attributes:
        headers: of the response, the latest block over the former: so it ends with the trailers.
        body: of the response.
        is_done: whether the answer is complete.
    """

    def __init__(self, fields: Iterable[tuple[str, str]], body: bytes) -> None:
        self._request = (
            _PREFACE
            + _frame(_SETTINGS, 0, 0, struct.pack(">HI", _SETTING_ENABLE_PUSH, 0))
            + _frame(_HEADERS, _END_HEADERS, _STREAM, b"".join(map(_literal, fields)))
            + _frame(_DATA, _END_STREAM, _STREAM, body)
        )
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_done = False
        self._decoder = Decoder()
        self._buffer = b""
        self._frames = 0
        # A header block that waits for its CONTINUATION, and whether the stream ends with it.
        self._block: bytes | None = None
        self._ends_with_block = False

    def open(self) -> bytes:
        """Return everything we have to say."""
        return self._request

    def feed(self, data: bytes) -> bytes:
        """Take bytes, b"" when the server has closed; return what to answer.

        Raises:
            CallError: there will be no answer.
        """
        self._buffer += data
        reply = b""
        while not self.is_done and (frame := self._next_frame()) is not None:
            reply += self._take(*frame)
        if not data and not self.is_done:
            raise CallError("the server closed the connection without an answer")
        return reply

    def _next_frame(self) -> tuple[int, int, int, bytes] | None:
        """Return type, flags, stream and payload of the next complete frame."""
        if len(self._buffer) < _FRAME_HEAD_BYTES:
            return None
        length = int.from_bytes(self._buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self._buffer[3:_FRAME_HEAD_BYTES])
        if self._frames == 0 and kind != _SETTINGS:
            raise CallError("the server does not speak HTTP/2: its first frame is no SETTINGS")
        if length > _MAX_FRAME_BYTES:
            raise CallError(f"a frame of {length} bytes is more than was allowed")
        end = _FRAME_HEAD_BYTES + length
        if len(self._buffer) < end:
            return None
        self._frames += 1
        if self._frames > _MAX_FRAMES:
            raise CallError(f"more than {_MAX_FRAMES} frames for one answer")
        payload, self._buffer = self._buffer[_FRAME_HEAD_BYTES:end], self._buffer[end:]
        return kind, flags, stream & 0x7FFFFFFF, payload

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if self._block is not None and (kind, stream) != (_CONTINUATION, _STREAM):
            raise CallError("another frame stands within a header block")
        if kind == _SETTINGS and not flags & _ACK:
            return _frame(_SETTINGS, _ACK, 0, b"")
        if kind == _PING and not flags & _ACK:
            return _frame(_PING, _ACK, 0, payload[:8].ljust(8, b"\0"))
        if kind == _GOAWAY:
            self._take_goaway(payload)
        elif kind == _PUSH_PROMISE:
            raise CallError("the server pushes, which was not allowed")
        elif stream == _STREAM:
            self._take_ours(kind, flags, payload)
        return b""

    def _take_ours(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == _DATA:
            self.body += _unpad(flags, payload)
            if len(self.body) > _MAX_MESSAGE_BYTES:
                raise CallError(f"the answer is longer than {_MAX_MESSAGE_BYTES} bytes")
            self.is_done = bool(flags & _END_STREAM)
        elif kind == _HEADERS:
            content = _unpad(flags, payload)
            self._ends_with_block = bool(flags & _END_STREAM)
            self._extend_block(content[5:] if flags & _PRIORITY else content, flags)
        elif kind == _CONTINUATION:
            if self._block is None:
                raise CallError("a CONTINUATION continues nothing")
            self._extend_block(payload, flags)
        elif kind == _RST_STREAM:
            raise CallError(f"the server reset the call ({_error_name(payload)})")

    def _extend_block(self, part: bytes, flags: int) -> None:
        self._block = (self._block or b"") + part
        if len(self._block) > _MAX_BLOCK_BYTES:
            raise CallError(f"a header block is longer than {_MAX_BLOCK_BYTES} bytes")
        if not flags & _END_HEADERS:
            return
        try:
            self.headers.update(self._decoder.decode(self._block))
        except HeaderBlockError as error:
            raise CallError(f"the headers cannot be read: {error}") from error
        self._block = None
        self.is_done = self._ends_with_block

    def _take_goaway(self, payload: bytes) -> None:
        """End, if the server will not answer; otherwise our stream may still complete (6.8)."""
        if int.from_bytes(payload[:4], "big") & 0x7FFFFFFF < _STREAM:
            raise CallError(f"the server goes away ({_error_name(payload[4:])})")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(field: tuple[str, str]) -> bytes:
    """Return a field that no table remembers: literal name, literal value (RFC 7541, 6.2.2)."""
    return b"\0" + b"".join(_length(len(raw)) + raw for raw in map(str.encode, field))


def _length(value: int) -> bytes:
    """Return an integer with a prefix of seven bits (RFC 7541, 5.1)."""
    if value < 0x7F:
        return bytes([value])
    value -= 0x7F
    encoded = b"\x7f"
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def _unpad(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise CallError("a frame is padded with more than it has")
    return payload[1 : len(payload) - payload[0]]


def _error_name(payload: bytes) -> str:
    code = int.from_bytes(payload[:4], "big")
    return _ERROR_NAMES[code] if code < len(_ERROR_NAMES) else f"error {code}"
