"""A TCP server for tests whose every byte is up to the test: over TLS or without.

Each connection runs `serve`, one at a time; an error in it fails the test when the block ends.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECONDS = 20.0  # no exchange of a test lasts as long


@dataclass
class RawServer:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        tls: for the connections to come; None for plain TCP.
        requests: the bodies that came in so far.
        handshake_failures: how many callers did not trust the certificate.
        released: set when the test is over: what stalls should end.
    """

    port: int
    tls: ssl.SSLContext | None
    requests: list[bytes] = field(default_factory=list)
    handshake_failures: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def read_request(self, channel: socket.socket) -> bytes:
        """Return the head of the next request, b"" at the end; the body goes to `requests`."""
        data = b""
        while b"\r\n\r\n" not in data:
            try:
                part = channel.recv(65_536)
            except ConnectionError:
                part = b""
            if not part:
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            part = channel.recv(65_536)
            if not part:
                return b""
            body += part
        self.requests.append(body)
        return head


def tls_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a server's TLS settings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@contextmanager
def raw_server(
    serve: Callable[[RawServer, socket.socket], None], tls: ssl.SSLContext | None = None
) -> Iterator[RawServer]:
    """Serve each connection by `serve` until the block ends; it is closed when `serve` returns."""
    errors: list[BaseException] = []

    def accept_all() -> None:
        while True:
            try:
                channel, _ = listener.accept()
            except OSError:
                return  # the test is over
            channel.settimeout(SECONDS)
            try:
                _serve_one(server, serve, channel)
            except Exception as error:  # noqa: BLE001 - told to the test below
                errors.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RawServer(listener.getsockname()[1], tls)
        thread = threading.Thread(target=accept_all)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept, which close alone does not
            thread.join()
    assert errors == []


def _serve_one(
    server: RawServer, serve: Callable[[RawServer, socket.socket], None], channel: socket.socket
) -> None:
    with channel:
        if server.tls is None:
            serve(server, channel)
            return
        try:
            secured = server.tls.wrap_socket(channel, server_side=True)
        except (ssl.SSLError, ConnectionError):
            server.handshake_failures += 1
            return
        with secured:
            serve(server, secured)
