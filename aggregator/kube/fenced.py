"""The gate of every write: only the leader writes, whatever its callers believe. Not pure.

All parts of the aggregator get this client, so no caller can forget to look. Reads pass, and so do
reviews, which are questions in the form of a creation. The lease itself is written with the client
below this one.
A write that was let through and then held up (a full connection pool, a paused process) may reach
the API server after the lease has ended: it is given up at that moment, and what is on the wire
already is stopped by the precondition that it carries (uid, resourceVersion or `test`).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aggregator.kube.errors import NotLeading, Unavailable
from aggregator.kube.resources import SUBJECTACCESSREVIEWS, TOKENREVIEWS
from aggregator.kube.transport import PAGE_SIZE, Json, KubeClient, RawList, Selection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from aggregator.kube.leadership import Leadership
    from aggregator.kube.patch import Patch
    from aggregator.kube.resources import ObjectKey, Resource

_QUESTIONS = frozenset({TOKENREVIEWS, SUBJECTACCESSREVIEWS})


class FencedClient(KubeClient):
    """A client whose writes raise `NotLeading` unless this process leads at that very moment.

    Args:
        client: sends the requests.
        leadership: whether they may be sent.
    """

    def __init__(self, client: KubeClient, leadership: Leadership) -> None:
        self._client = client
        self._leadership = leadership

    async def server_version(self) -> str:
        """Return the version of the API server."""
        return await self._client.server_version()

    async def get(
        self, resource: Resource, key: ObjectKey, subresource: str | None = None
    ) -> Json | None:
        """Return the object, None when it does not exist."""
        return await self._client.get(resource, key, subresource)

    def list_pages(
        self, selection: Selection, page: int = PAGE_SIZE
    ) -> AsyncGenerator[RawList, None]:
        """Yield a consistent list in pages."""
        return self._client.list_pages(selection, page)

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        """Create the object, if this process leads or the object is a question."""
        if resource in _QUESTIONS:
            return await self._client.create(resource, namespace, body)
        async with self._term():
            return await self._client.create(resource, namespace, body)

    async def patch(
        self, resource: Resource, key: ObjectKey, patch: Patch, subresource: str | None = None
    ) -> Json:
        """Change the object, if this process leads."""
        async with self._term():
            return await self._client.patch(resource, key, patch, subresource)

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> bool:
        """Ask for the deletion, if this process leads."""
        async with self._term():
            return await self._client.delete(
                resource, key, uid=uid, resource_version=resource_version
            )

    def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a watch."""
        return self._client.watch(selection, resource_version, timeout_seconds)

    @asynccontextmanager
    async def _term(self) -> AsyncIterator[None]:
        """Let a write through, but no longer than this process is sure to lead.

        NB: the end is fixed when the write begins. A renewal meanwhile moves it, but a write that
        takes longer than a whole lease is lost in any case.
        """
        remaining = self._leadership.remaining_seconds
        if not remaining:
            raise NotLeading("NotLeading", "another process holds the lease: nothing was written")
        try:
            async with asyncio.timeout(remaining):
                yield
        except TimeoutError as error:
            message = "the lease could end before the write did; it may have happened"
            raise Unavailable("LeaseEnded", message, outcome_unknown=True) from error
