"""One outgoing TCP connection, with TLS if asked for, driven by a selector. Never blocks.

Not here: what is said on it (http.py, grpc.py), which address and how long (network.py).
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
from typing import TYPE_CHECKING, Protocol

from agent.address import family_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

_READ_BYTES = 16 * 1024


class Listener(Protocol):
    """Who owns a connection. Each call may close it."""

    def on_open(self) -> None:
        """The connection stands, the handshake is done."""

    def on_data(self, data: bytes) -> None:
        """Bytes came in; b"" when the other side has closed: the last call."""

    def on_lost(self, error: OSError) -> None:
        """It could not be opened, or broke. Called once, the last call."""


class Connection:
    """A connection to one address.

    Args:
        selector: of the main loop; `data` of every registration is a callback without arguments.
        address: IP address.
        port: 1 to 65535.
        context: TLS settings and the name to ask for; None for plain text.
        listener: is told what happens, never before this constructor has returned.

    Raises:
        OSError: it fails at once; the listener is told nothing.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        address: str,
        port: int,
        context: tuple[ssl.SSLContext, bytes] | None,
        listener: Listener,
    ) -> None:
        self._selector = selector
        self._listener = listener
        self._outgoing = b""
        self._step: Callable[[], None] = self._finish_connect
        self._socket: socket.socket | None = socket.socket(
            family_of(address) or socket.AF_INET, socket.SOCK_STREAM
        )
        self._socket.setblocking(False)
        code = self._socket.connect_ex((address, port))
        if code not in (0, errno.EINPROGRESS):
            self._socket.close()
            raise OSError(code, os.strerror(code))
        self._tls = context
        selector.register(self._socket, selectors.EVENT_WRITE, self._on_ready)

    def send(self, data: bytes) -> None:
        """Send these bytes as the other side takes them."""
        self._outgoing += data
        if self._socket is not None and self._outgoing:
            self._await(selectors.EVENT_READ | selectors.EVENT_WRITE)

    def close(self) -> None:
        """Close at once; the listener hears nothing more. May be called again."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _on_ready(self) -> None:
        try:
            self._step()
        except OSError as error:
            if self._wants_more(error):
                return
            self.close()
            self._listener.on_lost(error)

    def _wants_more(self, error: OSError) -> bool:
        """Tell whether TLS only waits for the network, and wait for it."""
        if isinstance(error, BlockingIOError):
            return True
        if self._tls is None:
            return False
        import ssl

        if isinstance(error, ssl.SSLWantReadError):
            pending = selectors.EVENT_WRITE if self._outgoing else 0
            self._await(selectors.EVENT_READ | pending)
            return True
        if isinstance(error, ssl.SSLWantWriteError):
            self._await(selectors.EVENT_WRITE)
            return True
        return False

    def _finish_connect(self) -> None:
        channel = self._open_socket()
        code = channel.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        if self._tls is None:
            self._begin_to_talk()
            return
        context, name = self._tls
        # From here on the descriptor belongs to the wrapped socket, also when wrapping fails.
        self._selector.unregister(channel)
        self._socket = None
        try:
            # A name as bytes, because text would load the IDNA tables.
            wrapped = context.wrap_socket(
                channel,
                do_handshake_on_connect=False,
                server_hostname=name,
            )
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from error
        self._socket = wrapped
        self._selector.register(wrapped, selectors.EVENT_WRITE, self._on_ready)

        def shake_hands() -> None:
            wrapped.do_handshake()
            self._begin_to_talk()

        self._step = shake_hands
        shake_hands()

    def _begin_to_talk(self) -> None:
        self._step = self._talk
        self._await(selectors.EVENT_READ)
        self._listener.on_open()

    def _talk(self) -> None:
        self._flush()
        # One read can leave bytes inside TLS, of which the selector knows nothing: read on until
        # there are none, or the listener has closed.
        while self._socket is not None:
            data = self._socket.recv(_READ_BYTES)
            self._listener.on_data(data)
            if not data:
                self.close()

    def _flush(self) -> None:
        channel = self._open_socket()
        while self._outgoing:
            sent = channel.send(self._outgoing)
            self._outgoing = self._outgoing[sent:]
        self._await(selectors.EVENT_READ)

    def _await(self, events: int) -> None:
        self._selector.modify(self._open_socket(), events, self._on_ready)

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise OSError(errno.EBADF, "the connection is closed")
        return self._socket
