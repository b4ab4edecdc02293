"""One keep-alive HTTP/1.1 connection that can POST. Blocking, with one deadline for each exchange.

Not here: what the answers mean (sender.py) and whom to trust (trust.py). `http.client` would do,
but it brings the e-mail package: 3 MiB in every game pod. Only what RFC 9112 asks of a client that
sends Content-Length is implemented. A connection is kept only while both sides agree where the next
answer begins; whatever puts that into doubt closes it.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.address import BaseUrl

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024
MAX_INTERIM_ANSWERS = 8
_READ_BYTES = 16 * 1024
_STATUS_LINE = re.compile(r"HTTP/1\.(?P<minor>[01]) (?P<status>[1-9][0-9]{2})(?: .*)?")
_LENGTH = re.compile(r"[0-9]{1,9}")
_WITHOUT_BODY = frozenset({204, 304})


class ExchangeError(Exception):
    """No usable answer came: connect, TLS, timeout, a broken response. The connection is closed."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    fields: Mapping[str, str]
    keeps_alive: bool


class Connection:
    """A connection to one base URL, opened when needed and kept while both sides allow it.

    Args:
        base_url: http or https; a path is put before every request path.
        trust: returns the TLS settings for a new connection; for https only.
    """

    def __init__(self, base_url: BaseUrl, trust: Callable[[], ssl.SSLContext] | None) -> None:
        self._url = base_url
        self._trust = trust
        self._socket: socket.socket | None = None
        self._buffer = bytearray()

    def post(self, path: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Response:
        """Return the response to a POST.

        A kept connection that turns out to be closed is opened again once: the server may end it at
        any time. So the server may see a request twice.

        Raises:
            ExchangeError: after at most `timeout` seconds (name resolution, which has no deadline,
            apart).
        """
        deadline = monotonic_seconds() + timeout
        if not self._is_fresh():
            self.close()
        reused = self._socket is not None
        try:
            return self._exchange(path, headers, body, deadline)
        except (OSError, ValueError, EOFError) as error:
            self.close()
            if not (reused and isinstance(error, EOFError | ConnectionError | ssl.SSLEOFError)):
                raise ExchangeError(_one_line(error)) from error
        try:
            return self._exchange(path, headers, body, deadline)
        except (OSError, ValueError, EOFError) as error:
            self.close()
            raise ExchangeError(_one_line(error)) from error

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._buffer.clear()

    def _is_fresh(self) -> bool:
        """Return whether nothing has come in since the last answer, neither an end nor bytes.

        Bytes that nobody asked for (a 408 before an idle timeout, say) would be taken for the next
        answer. A TLS session ticket is read here and is nothing.
        """
        if self._socket is None:
            return True
        if self._buffer:
            return False
        try:
            self._socket.settimeout(0)
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def _exchange(
        self, path: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Response:
        channel = self._connect(deadline)
        lines = [f"POST {self._url.path}{path} HTTP/1.1", f"Host: {self._url.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        channel.settimeout(_left(deadline))
        channel.sendall("\r\n".join(lines).encode("latin-1") + body)
        head = self._read_final_head(deadline)
        response = Response(head.status, head.fields, self._read_body(head, deadline))
        if not head.keeps_alive:
            self.close()
        return response

    def _connect(self, deadline: float) -> socket.socket:
        if self._socket is not None:
            return self._socket
        plain = _connect_any(self._url.host, self._url.port, deadline)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = self._secure(plain, deadline) if self._url.tls else plain
        except OSError:
            plain.close()
            raise
        return self._socket

    def _secure(self, plain: socket.socket, deadline: float) -> ssl.SSLSocket:
        if self._trust is None:
            raise ssl.SSLError("an https URL needs a CA file")
        plain.settimeout(_left(deadline))
        # An end without TLS's own end mark is an error: somebody in between may have cut the
        # answer.
        return self._trust().wrap_socket(
            plain, server_hostname=_encode_host(self._url.host), suppress_ragged_eofs=False
        )

    def _read_final_head(self, deadline: float) -> _Head:
        """Read heads up to the first that is no interim answer (RFC 9110, section 15.2)."""
        for _ in range(MAX_INTERIM_ANSWERS):
            head = self._read_head(deadline)
            if head.status >= 200:
                return head
        raise ValueError(f"more than {MAX_INTERIM_ANSWERS} interim answers came")

    def _read_head(self, deadline: float) -> _Head:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise ValueError(f"the response head is longer than {MAX_HEAD_BYTES} bytes")
            self._fill(deadline)
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        match = _STATUS_LINE.fullmatch(first)
        if match is None:
            raise ValueError("the answer is not HTTP/1.1")
        fields = _read_fields(lines)
        status = int(match["status"])
        wishes = {word.strip().lower() for word in fields.get("connection", "").split(",")}
        by_default = match["minor"] == "1" or "keep-alive" in wishes
        ends_itself = "content-length" in fields or status in _WITHOUT_BODY
        return _Head(status, fields, by_default and ends_itself and "close" not in wishes)

    def _read_body(self, head: _Head, deadline: float) -> bytes:
        if "transfer-encoding" in head.fields:
            raise ValueError("chunked answers are not supported: put no such proxy in between")
        if head.status in _WITHOUT_BODY:
            return b""
        length = head.fields.get("content-length")
        if length is None:
            return self._read_to_end(deadline)
        if not _LENGTH.fullmatch(length) or int(length) > MAX_BODY_BYTES:
            raise ValueError(
                f"Content-Length {length[:20]!r} is not between 0 and {MAX_BODY_BYTES}"
            )
        while len(self._buffer) < int(length):
            self._fill(deadline)
        body = bytes(self._buffer[: int(length)])
        del self._buffer[: int(length)]
        return body

    def _read_to_end(self, deadline: float) -> bytes:
        while len(self._buffer) <= MAX_BODY_BYTES:
            try:
                self._fill(deadline)
            except EOFError:
                return bytes(self._buffer)
        raise ValueError(f"the answer is longer than {MAX_BODY_BYTES} bytes")

    def _fill(self, deadline: float) -> None:
        if self._socket is None:
            raise EOFError("the connection is closed")
        self._socket.settimeout(_left(deadline))
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise EOFError("the server closed the connection before its answer was complete")
        self._buffer += data


def _encode_host(host: str) -> bytes:
    """Return a host as bytes: as text it would load the IDNA tables, 0.3 MiB in every game pod."""
    return host.encode("ascii" if host.isascii() else "idna")


def _connect_any(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to the first address of a host that answers; each gets its share of the time."""
    addresses = socket.getaddrinfo(_encode_host(host), port, type=socket.SOCK_STREAM)
    refusal = OSError(f"{host} has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        channel = socket.socket(family, kind, protocol)
        try:
            channel.settimeout(_left(deadline) / (len(addresses) - index))
            channel.connect(address)
        except OSError as error:
            channel.close()
            refusal = error
        else:
            return channel
    raise refusal


def _read_fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key, text = name.strip().lower(), value.strip()
        if key == "content-length" and fields.get(key, text) != text:
            raise ValueError("the answer has two different lengths")
        fields[key] = text
    return fields


def _left(deadline: float) -> float:
    left = deadline - monotonic_seconds()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:256] or type(error).__name__
