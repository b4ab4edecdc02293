"""The small interface between Gamekeeper and the API server: what fakes and the real client share.

Objects travel as plain JSON and are decoded by whoever reads them. `client` implements it; nothing
here does I/O or imports the Kubernetes library, whose import alone costs a second and 70 MiB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aggregator.kube.patch import Patch
    from aggregator.kube.resources import ObjectKey, Resource

Json = dict[str, Any]
PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a resource a list or watch is about; None or "" means no restriction."""

    resource: Resource
    namespace: str | None = None
    label_selector: str | None = None


class RawList(NamedTuple):
    """Objects as JSON texts, and the version of the list: a watch begins there."""

    items: tuple[bytes, ...]
    resource_version: str


class KubeClient(Protocol):
    """What Gamekeeper needs of the API server. Every method raises the errors of `errors`.

    Nothing is retried here, because only the caller knows whether the decision behind a request
    still stands.
    """

    async def server_version(self) -> str:
        """Return the version of the API server, such as "v1.36.0"."""

    async def get(
        self, resource: Resource, key: ObjectKey, subresource: str | None = None
    ) -> Json | None:
        """Return the object, None when it does not exist."""

    def list_pages(
        self, selection: Selection, page: int = PAGE_SIZE
    ) -> AsyncGenerator[RawList, None]:
        """Yield a consistent list in pages of at most `page` objects; all have the same version."""

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str | None = None,
        page: int = PAGE_SIZE,
    ) -> RawList:
        """Return a consistent list whole, for decisions that must not rest on a cache."""
        items: tuple[bytes, ...] = ()
        version = ""
        async for part in self.list_pages(Selection(resource, namespace, label_selector), page):
            items += part.items
            version = part.resource_version
        return RawList(items, version)

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        """Create the object and return it as stored; `namespace` is "" for a cluster-scoped one."""

    async def patch(
        self, resource: Resource, key: ObjectKey, patch: Patch, subresource: str | None = None
    ) -> Json:
        """Change the object and return it as stored.

        Raises:
            NotFound: it does not exist.
            TestFailed: a `test` of a JSON patch did not hold.
        """

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> bool:
        """Ask for the deletion; false when the object does not exist, which is success too.

        With a uid only that object is deleted, not a namesake; with a resource_version only what
        was seen. How long it may take, and what becomes of its children, is left to the object.

        Raises:
            Conflict: uid or resource_version is another.
        """

    def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a watch, each one event as JSON text.

        Ends without an error when the server ends it, or was silent for too long: watch again from
        the last version, which costs one request.

        Raises:
            Expired: the version is too old; list again.
        """
