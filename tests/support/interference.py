"""A client between an aggregator and the API server: its process dies at a write, or is held up.

It sits below the gate, where the request has been let through already.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aggregator.kube.errors import Unavailable
from aggregator.kube.transport import PAGE_SIZE, Json, KubeClient, RawList, Selection


@dataclass(frozen=True)
class Aim:
    """Which write is meant: `resource` is plural, with a subresource as in pods/status."""

    verb: str
    resource: str


class Interference(KubeClient):
    """Passes everything on, but for the first write that is aimed at.

    Args:
        client: the API server.
        before: awaited before it is sent.
        after: awaited after it was answered.

    Attributes:
        aim: the write; None for none yet.
        struck: set when that write comes.
    """

    def __init__(
        self,
        client: KubeClient,
        before: Callable[[], Awaitable[None]] | None = None,
        after: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._client = client
        self._before = before
        self._after = after
        self._dead = False
        self.aim: Aim | None = None
        self.struck = asyncio.Event()

    async def die(self) -> None:
        """Let the process die here: it sends nothing any more."""
        self._dead = True
        self._live()

    def _live(self) -> None:
        if self._dead:
            raise Unavailable("Dead", "this process has died")

    async def _write(self, verb: str, resource: str, send: Callable[[], Awaitable[Any]]) -> Any:
        self._live()
        if self.struck.is_set() or self.aim != Aim(verb, resource):
            return await send()
        self.struck.set()
        if self._before is not None:
            await self._before()
        answer = await send()
        if self._after is not None:
            await self._after()
        return answer

    async def server_version(self) -> str:
        self._live()
        return await self._client.server_version()

    async def get(self, *args: Any) -> Json | None:
        self._live()
        return await self._client.get(*args)

    async def list_pages(
        self, selection: Selection, page: int = PAGE_SIZE
    ) -> AsyncGenerator[RawList, None]:
        self._live()
        async for part in self._client.list_pages(selection, page):
            yield part

    async def create(self, resource: Any, *args: Any) -> Json:
        return await self._write(
            "create", resource.plural, lambda: self._client.create(resource, *args)
        )

    async def patch(self, resource: Any, key: Any, patch: Any, subresource: Any = None) -> Json:
        name = f"{resource.plural}/{subresource}" if subresource else resource.plural
        return await self._write(
            "patch", name, lambda: self._client.patch(resource, key, patch, subresource)
        )

    async def delete(self, resource: Any, key: Any, **options: Any) -> bool:
        return await self._write(
            "delete", resource.plural, lambda: self._client.delete(resource, key, **options)
        )

    async def watch(self, *args: Any) -> AsyncGenerator[bytes, None]:
        self._live()
        async for line in self._client.watch(*args):
            yield line
