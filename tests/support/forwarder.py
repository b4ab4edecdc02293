"""Forwards TCP connections, as a Service or a cable does, and can fail as they do.

Bytes pass unread, so TLS is between the two ends. A Service is a forwarder whose target is looked
up for each connection; a broken network is one that is cut: connections stay open, and nothing
arrives any more.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    # Host and port of whom a connection leads to now; None when there is nobody.
    Target = Callable[[], Awaitable[tuple[str, int] | None]]

_CHUNK_BYTES = 65_536


class Forwarder:
    """One address that leads to another; in force within `listening`.

    Args:
        target: asked for each connection.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Let nothing pass from now on; nobody is told."""
        self._flowing.clear()

    def mend(self) -> None:
        """Let everything pass again, also what was sent meanwhile."""
        self._flowing.set()

    def drop(self) -> None:
        """End every connection that is open now."""
        for task in self._connections:
            task.cancel()

    @asynccontextmanager
    async def listening(self, reserved: socket.socket | None = None) -> AsyncIterator[int]:
        """Take connections on loopback for the time of the block; gives the port.

        Args:
            reserved: a listening socket, for who must know the port earlier; it is closed.
        """
        listener = reserved or socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(self._serve, sock=listener)
        try:
            yield listener.getsockname()[1]
        finally:
            server.close()
            self.drop()
            while self._connections:
                await asyncio.wait(self._connections)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            # A connection that breaks at either end has broken at both when this returns.
            with suppress(OSError, asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            self._connections.discard(task)
            await _close(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        target = await self._target()
        if target is None:
            return
        far_reader, far_writer = await asyncio.open_connection(*target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer))
                both.create_task(self._pump(far_reader, writer))
        finally:
            await _close(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, and then that nothing more comes; the other way is left alone."""
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        await self._flowing.wait()
        with suppress(OSError):
            writer.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    # What was not sent by now never will be: a close that waits for it could wait for ever.
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
