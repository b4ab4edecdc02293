"""One keep-alive HTTP/1.1 connection that can POST. Blocking, with one deadline for each exchange.

Not here: what the answers mean (sender.py). `http.client` would do, but it brings the e-mail
package: 3 MiB in every game pod. Only what RFC 9112 asks of a client that sends Content-Length is
implemented.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.address import BaseUrl

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 1024 * 1024
_READ_BYTES = 16 * 1024


class ExchangeError(Exception):
    """No usable answer came: connect, TLS, timeout, a broken response. The connection is closed."""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """A connection to one base URL, opened when needed and kept while both sides allow it.

    Args:
        base_url: http or https; a path is put before every request path.
        context: TLS settings, for https.
    """

    def __init__(self, base_url: BaseUrl, context: ssl.SSLContext | None) -> None:
        self._url = base_url
        self._context = context
        self._socket: socket.socket | None = None
        self._buffer = b""

    def post(self, path: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Response:
        """Return the response to a POST.

        A kept connection that turns out to be closed is opened again once: the server may end it at
        any time.

        Raises:
            ExchangeError: after at most `timeout` seconds (name resolution, which has no deadline,
            apart).
        """
        deadline = monotonic_seconds() + timeout
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
        self._buffer = b""

    def _exchange(
        self, path: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Response:
        channel = self._connect(deadline)
        lines = [f"POST {self._url.path}{path} HTTP/1.1", f"Host: {self._url.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        channel.settimeout(_left(deadline))
        channel.sendall("\r\n".join(lines).encode("latin-1") + body)
        status, fields = self._read_head(deadline)
        response = Response(status, fields, self._read_body(fields, deadline))
        if fields.get("connection", "").lower() == "close" or "content-length" not in fields:
            self.close()
        return response

    def _connect(self, deadline: float) -> socket.socket:
        if self._socket is not None:
            return self._socket
        plain = socket.create_connection((self._url.host, self._url.port), timeout=_left(deadline))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._url.tls or self._context is None:
            self._socket = plain
            return plain
        try:
            plain.settimeout(_left(deadline))
            self._socket = self._context.wrap_socket(plain, server_hostname=self._url.host)
        except OSError:
            plain.close()
            raise
        return self._socket

    def _read_head(self, deadline: float) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise ValueError(f"the response head is longer than {MAX_HEAD_BYTES} bytes")
            self._fill(deadline)
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise ValueError("the answer is not HTTP/1.1")
        pairs = (line.partition(":") for line in lines)
        return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}

    def _read_body(self, fields: Mapping[str, str], deadline: float) -> bytes:
        if "transfer-encoding" in fields:
            raise ValueError("chunked answers are not supported: put no such proxy in between")
        length = fields.get("content-length")
        if length is None:
            return self._read_to_end(deadline)
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            raise ValueError(
                f"Content-Length {length[:20]!r} is not between 0 and {MAX_BODY_BYTES}"
            )
        while len(self._buffer) < int(length):
            self._fill(deadline)
        body, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return body

    def _read_to_end(self, deadline: float) -> bytes:
        while len(self._buffer) <= MAX_BODY_BYTES:
            try:
                self._fill(deadline)
            except EOFError:
                return self._buffer
        raise ValueError(f"the answer is longer than {MAX_BODY_BYTES} bytes")

    def _fill(self, deadline: float) -> None:
        if self._socket is None:
            raise EOFError("the connection is closed")
        self._socket.settimeout(_left(deadline))
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise EOFError("the server closed the connection before its answer was complete")
        self._buffer += data


def _left(deadline: float) -> float:
    left = deadline - monotonic_seconds()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:256] or type(error).__name__
