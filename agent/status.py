"""The pod's HTTP side of the agent: /healthz, /readyz, /metrics, /status. GET only, no keep-alive.

Runs on the main loop's selector and never blocks it. A failed bind is a log line: probing goes on.
Readiness says that the agent runs, never that the aggregator is reachable: an outage of ours must
not take the game's pod out of its Services.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import selectors
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.address import family_of, is_loopback
from agent.log import data
from agent.metrics import CONTENT_TYPE
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_MAX_REQUEST_BYTES = 8 * 1024
_CONNECTION_SECONDS = 5.0
_MAX_CONNECTIONS = 16
# What accept(2) fails with while the caller stays in the queue: the listener remains readable.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS = 1.0
_PHRASES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
}


@dataclass(frozen=True, slots=True)
class Pages:
    """What the server shows.

    Attributes:
        describe: returns the body of /status as JSON values.
        measure: returns the text of /metrics.
        allows: tells whether a bearer token opens /status to a caller from elsewhere.
    """

    describe: Callable[[], dict[str, Any]]
    measure: Callable[[], str]
    allows: Callable[[str], bool]


class StatusServer:
    """Answers on the pod's address, and on loopback for port-forward.

    Args:
        selector: of the main loop.
        pod_ip: where to listen; empty for loopback only.
        port: TCP port, 0 for no server.
        pages: what it shows.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        pod_ip: str,
        port: int,
        pages: Pages,
    ) -> None:
        self._selector = selector
        self._pages = pages
        self._connections: set[_Connection] = set()
        self._listeners: list[socket.socket] = []
        self._accept_at: float | None = None
        self._is_short = False
        if port:
            for address in _addresses(pod_ip):
                self._listen(address, port)

    def deadline(self) -> float | None:
        """Return when `step` has something to do, on the monotonic clock; None for never."""
        times = [connection.deadline for connection in self._connections]
        if self._accept_at is not None:
            times.append(self._accept_at)
        return min(times, default=None)

    def step(self, now: float) -> None:
        """Close the connections that had their time; accept again after a pause."""
        for connection in [item for item in self._connections if item.deadline <= now]:
            self._close(connection)
        if self._accept_at is not None and self._accept_at <= now:
            self._accept_at = None
            for listener in self._listeners:
                self._await_callers(listener)

    def close(self) -> None:
        """Stop listening and close every connection."""
        for connection in list(self._connections):
            self._close(connection)
        if self._accept_at is None:
            self._ignore_callers()
        self._accept_at = None
        for listener in self._listeners:
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
        self._await_callers(listener)
        self._listeners.append(listener)

    def _await_callers(self, listener: socket.socket) -> None:
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))

    def _ignore_callers(self) -> None:
        for listener in self._listeners:
            self._selector.unregister(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            channel, peer = listener.accept()
        except OSError as error:
            if error.errno in _SHORTAGES:
                self._pause(error)
            return  # any other: the caller has gone again
        self._is_short = False
        if len(self._connections) >= _MAX_CONNECTIONS:
            channel.close()
            return
        channel.setblocking(False)
        connection = _Connection(channel, is_loopback=is_loopback(peer[0]))
        self._connections.add(connection)
        self._selector.register(channel, selectors.EVENT_READ, lambda: self._read(connection))

    def _pause(self, shortage: OSError) -> None:
        """Let callers wait for a moment: the loop would spin on a listener it cannot serve."""
        self._ignore_callers()
        self._accept_at = monotonic_seconds() + _PAUSE_SECONDS
        if not self._is_short:
            lack = data(error=os.strerror(shortage.errno or 0), retry_in_seconds=_PAUSE_SECONDS)
            log.warning("status server cannot accept", extra=lack)
        self._is_short = True

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
        request, *headers = connection.request.decode("latin-1").split("\r\n")
        words = request.split(" ")
        if len(words) != 3:
            return _render(400, {"message": "this is no HTTP request"})
        method, target, _ = words
        if method != "GET":
            return _render(405, {"message": "only GET is served here"})
        match target.partition("?")[0]:
            case "/healthz" | "/readyz":
                return _render(200, {"status": "ok"})
            case "/metrics":
                return _respond(200, CONTENT_TYPE, self._pages.measure().encode())
            case "/status":
                return self._answer_status(headers, is_loopback=connection.is_loopback)
            case _:
                message = "there are /healthz, /readyz, /metrics and /status"
                return _render(404, {"message": message})

    def _answer_status(self, headers: list[str], *, is_loopback: bool) -> bytes:
        token = _bearer_token(headers)
        if is_loopback or (token and self._pages.allows(token)):
            return _render(200, self._pages.describe())
        message = (
            "use `kubectl port-forward` or `kubectl exec`: without a bearer token it answers"
            " loopback callers only"
        )
        return _render(401, {"message": message}, "WWW-Authenticate: Bearer")


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


def _bearer_token(headers: list[str]) -> str:
    """Return the token of the first Authorization header, empty when there is none."""
    for line in headers:
        name, _, value = line.partition(":")
        if name.strip().lower() == "authorization":
            scheme, _, token = value.strip().partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return ""


def _render(status: int, body: dict[str, Any], *headers: str) -> bytes:
    content = json.dumps(body, indent=2, ensure_ascii=False).encode() + b"\n"
    return _respond(status, "application/json", content, *headers)


def _respond(status: int, content_type: str, content: bytes, *headers: str) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Connection: close",
        *headers,
        "",
        "",
    )
    return "\r\n".join(head).encode() + content
