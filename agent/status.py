"""The pod's HTTP side of the agent: /healthz, /readyz and /status. GET only, no keep-alive.

Runs on the main loop's selector and never blocks it. A failed bind is a log line: probing goes on.
Readiness says that the agent runs, never that the aggregator is reachable: an outage of ours must
not take the game's pod out of its Services.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
from typing import TYPE_CHECKING, Any

from agent.address import family_of, is_loopback
from agent.log import data
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_MAX_REQUEST_BYTES = 8 * 1024
_CONNECTION_SECONDS = 5.0
_MAX_CONNECTIONS = 16
_PHRASES = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
}


class StatusServer:
    """Answers on the pod's address, and on loopback for port-forward.

    Args:
        selector: of the main loop.
        pod_ip: where to listen; empty for loopback only.
        port: TCP port, 0 for no server.
        describe: returns the body of /status as JSON values.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        pod_ip: str,
        port: int,
        describe: Callable[[], dict[str, Any]],
    ) -> None:
        self._selector = selector
        self._describe = describe
        self._connections: set[_Connection] = set()
        self._listeners: list[socket.socket] = []
        if port:
            for address in _addresses(pod_ip):
                self._listen(address, port)

    def deadline(self) -> float | None:
        """Return when the oldest connection runs out of time; None while there is none."""
        return min((connection.deadline for connection in self._connections), default=None)

    def step(self, now: float) -> None:
        """Close the connections that had their time."""
        for connection in [item for item in self._connections if item.deadline <= now]:
            self._close(connection)

    def close(self) -> None:
        """Stop listening and close every connection."""
        for connection in list(self._connections):
            self._close(connection)
        for listener in self._listeners:
            self._selector.unregister(listener)
            listener.close()
        self._listeners = []

    def _listen(self, address: str, port: int) -> None:
        family = family_of(address) or socket.AF_INET
        try:
            listener = socket.create_server((address, port), family=family, backlog=16)
        except OSError as error:
            found = data(address=f"{address}:{port}", error=os.strerror(error.errno or 0))
            log.warning("status server cannot listen", extra=found)
            return
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        self._listeners.append(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            channel, peer = listener.accept()
        except OSError:
            return  # the caller has gone again
        if len(self._connections) >= _MAX_CONNECTIONS:
            channel.close()
            return
        channel.setblocking(False)
        connection = _Connection(channel, is_loopback=is_loopback(peer[0]))
        self._connections.add(connection)
        self._selector.register(channel, selectors.EVENT_READ, lambda: self._read(connection))

    def _read(self, connection: _Connection) -> None:
        try:
            part = connection.channel.recv(_MAX_REQUEST_BYTES)
        except OSError:
            part = b""
        connection.request += part
        if not part or len(connection.request) > _MAX_REQUEST_BYTES:
            self._close(connection)
        elif b"\r\n\r\n" in connection.request:
            connection.response = self._answer(connection)
            self._selector.modify(
                connection.channel, selectors.EVENT_WRITE, lambda: self._write(connection)
            )

    def _write(self, connection: _Connection) -> None:
        try:
            sent = connection.channel.send(connection.response)
        except OSError:
            self._close(connection)
            return
        connection.response = connection.response[sent:]
        if not connection.response:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.channel)
        connection.channel.close()

    def _answer(self, connection: _Connection) -> bytes:
        words = connection.request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3:
            return _render(400, {"message": "this is no HTTP request"})
        method, target, _ = words
        if method != "GET":
            return _render(405, {"message": "only GET is served here"})
        match target.partition("?")[0]:
            case "/healthz" | "/readyz":
                return _render(200, {"status": "ok"})
            case "/status" if connection.is_loopback:
                return _render(200, self._describe())
            case "/status":
                message = (
                    "use `kubectl port-forward` or `kubectl exec`: it answers loopback callers only"
                )
                return _render(403, {"message": message})
            case _:
                return _render(404, {"message": "there are /healthz, /readyz and /status"})


class _Connection:
    """A caller: what came in so far, and what is still to go out."""

    def __init__(self, channel: socket.socket, *, is_loopback: bool) -> None:
        self.channel = channel
        self.is_loopback = is_loopback
        self.deadline = monotonic_seconds() + _CONNECTION_SECONDS
        self.request = b""
        self.response = b""


def _addresses(pod_ip: str) -> list[str]:
    if not pod_ip:
        return ["127.0.0.1"]
    # `kubectl port-forward` connects to loopback. Where the pod's address is a loopback address
    # itself, pods share that interface, and the port there would be taken by the first of them.
    if is_loopback(pod_ip):
        return [pod_ip]
    return [pod_ip, "::1" if family_of(pod_ip) == socket.AF_INET6 else "127.0.0.1"]


def _render(status: int, body: dict[str, Any]) -> bytes:
    content = json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content
