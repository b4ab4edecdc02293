"""One HTTP server of the aggregator: its port, its certificate, its connections. Not pure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from aiohttp import web

from shared.errors import InvalidInput

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# Agents hold their connections open; a stop must not wait for them.
_SHUTDOWN_SECONDS = 1.0
_IDLE_SECONDS = 75.0


class HttpServer:
    """An application on a port, for the time of an `async with` block.

    Args:
        app: what is served; a bare handler where the cost of a router counts.
        address: IP address to listen on.
        port: 0 for any that is free.
        context: certificate; None for plain HTTP.
        idle_seconds: after which a connection is hung up that has not said a whole request, be it
            the first or the next; without it anybody could hold any number for an hour.
    """

    def __init__(
        self,
        app: web.Application | Handler,
        address: str,
        port: int,
        context: ssl.SSLContext | None = None,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._app = app
        self._idle_seconds = idle_seconds
        self._runner: web.BaseRunner | None = None
        self._address = address
        self._port = port
        self._context = context

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            InvalidInput: the port is in use or not allowed.
        """
        runner = self._runner = _runner(self._app, self._idle_seconds)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._address, self._port, ssl_context=self._context).start()
        except OSError as error:
            await runner.cleanup()
            message = f"cannot listen on {self._address}:{self._port}: {error.strerror or error}"
            remedy = "choose another port or stop what uses it"
            raise InvalidInput("", f"{message}; {remedy}") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening and end the connections, those that are answered after their answer."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def close_connections(self) -> None:
        """End every connection that is open now, after the answer that it waits for; go on.

        NB: the server's own `pre_shutdown` leaves the idle ones open, and its `shutdown` forgets
        those that come meanwhile.
        """
        if self._runner is None or self._runner.server is None:
            return
        async with asyncio.TaskGroup() as tasks:
            for connection in self._runner.server.connections:
                tasks.create_task(connection.shutdown(_SHUTDOWN_SECONDS))


def _runner(app: web.Application | Handler, idle_seconds: float) -> web.BaseRunner:
    """Return what runs a server; must be called in its event loop."""
    if isinstance(app, web.Application):
        return web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            keepalive_timeout=idle_seconds,
        )
    server = web.Server(app, access_log=None, keepalive_timeout=idle_seconds)
    return web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
