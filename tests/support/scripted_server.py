"""A TCP server whose every connection is a function of the test: for servers that misbehave."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

_TURN_SECONDS = 0.05


class ScriptedServer:
    """Listens on loopback; `script` has each connection in a thread of its own.

    Attributes:
        requests: what each connection said first, in order.
        is_over: set when the test ends; a script that stays silent waits for it.
    """

    def __init__(self, script: Callable[[socket.socket, bytes], None], family: int) -> None:
        self.requests: list[bytes] = []
        self.is_over = threading.Event()
        self._script = script
        address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._listener = socket.create_server((address, 0), family=family)
        self.port = int(self._listener.getsockname()[1])
        self._listener.settimeout(_TURN_SECONDS)
        self._context: ssl.SSLContext | None = None
        self._threads: list[threading.Thread] = []

    def use_tls(self, context: ssl.SSLContext) -> None:
        self._context = context

    def accept_all(self) -> None:
        """Take connections until the test is over."""
        while not self.is_over.is_set():
            with suppress(TimeoutError):
                channel, _ = self._listener.accept()
                thread = threading.Thread(target=self._talk, args=(channel,))
                self._threads.append(thread)
                thread.start()
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _talk(self, plain: socket.socket) -> None:
        # Callers that hang up in the middle are what many of these tests are about.
        with suppress(OSError), plain:
            plain.settimeout(10)
            channel = plain
            if self._context is not None:
                channel = self._context.wrap_socket(plain, server_side=True)
            with channel:
                first = channel.recv(65_536)
                if first:
                    self.requests.append(first)
                    self._script(channel, first)
                    _hang_up(channel)


def _hang_up(channel: socket.socket) -> None:
    """Close so that what was sent arrives: unread bytes would turn the end into a reset."""
    channel.shutdown(socket.SHUT_WR)
    while channel.recv(65_536):
        pass


@contextmanager
def scripted_server(
    script: Callable[[socket.socket, bytes], None],
    *,
    tls: ssl.SSLContext | None = None,
    family: int = socket.AF_INET,
) -> Iterator[ScriptedServer]:
    """Serve until the block ends.

    Args:
        script: gets the connection and the first bytes that came; the connection ends with it.
        tls: speak TLS with these settings.
        family: AF_INET or AF_INET6.
    """
    server = ScriptedServer(script, family)
    if tls is not None:
        server.use_tls(tls)
    thread = threading.Thread(target=server.accept_all)
    thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        thread.join()
