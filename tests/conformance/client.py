"""The HTTP client of the suite: any API server, seen as a black box.

It knows paths, media types and how to wait; what an answer has to be stands in the cases.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import aiohttp

Json = dict[str, Any]

GROUP = "conformance.gamekeeper.dev"
SPECIMEN = f"{GROUP}/v1"
PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
# Plural name -> (apiVersion, kind).
KINDS = {
    "configmaps": ("v1", "ConfigMap"),
    "pods": ("v1", "Pod"),
    "secrets": ("v1", "Secret"),
    "services": ("v1", "Service"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "poddisruptionbudgets": ("policy/v1", "PodDisruptionBudget"),
    "specimens": (SPECIMEN, "Specimen"),
    "gameserversets": ("game.kruise.io/v1alpha1", "GameServerSet"),
    "gameservers": ("game.kruise.io/v1alpha1", "GameServer"),
}
# Controllers of a real cluster work within seconds, a namespace's end may take half a minute.
WAIT_SECONDS = 45.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """A response.

    Args:
        code: HTTP status.
        body: decoded JSON, or the text of anything else.
        warnings: the Warning headers.
    """

    code: int
    body: Any
    warnings: tuple[str, ...] = ()

    @property
    def outcome(self) -> tuple[int, str | None]:
        """The status, and the reason of a refusal."""
        refused = isinstance(self.body, dict) and self.body.get("kind") == "Status"
        return self.code, (self.body.get("reason") if refused else None)

    @property
    def causes(self) -> set[tuple[str, str]]:
        """Reason and field of every cause."""
        causes = (self.body.get("details") or {}).get("causes") or []
        named = {(cause["reason"], cause.get("field", "")) for cause in causes}
        # A cause without a field says that rules were not asked because the rest is wrong already.
        return {cause for cause in named if cause[1] != "<nil>"}

    def ok(self) -> Any:
        """Return the body; fails the test when the request was refused."""
        assert self.code < 300, self.body
        return self.body


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server and one user of it.

    Args:
        session: sends the credentials of an administrator.
        server: base URL.
        local: whether the suite started it.
    """

    session: aiohttp.ClientSession
    server: str
    local: bool

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; a body that is no bytes is sent as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = dict(headers or {})
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method, self.server + path, data=data, params=query, headers=sent
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json" and text
            return Answer(
                response.status,
                json.loads(text) if is_json else text,
                tuple(response.headers.getall("Warning", ())),
            )

    async def get(self, path: str, **query: str) -> Answer:
        """Read a path."""
        return await self.request("GET", path, query=query)

    async def patch(self, form: str, path: str, body: Any, **query: str) -> Answer:
        """Patch an object; `form` is a key of PATCH_TYPES or a media type."""
        if form == "apply":
            query.setdefault("fieldManager", "conformance")
        headers = {"Content-Type": PATCH_TYPES.get(form, form)}
        return await self.request("PATCH", path, body, query=query, headers=headers)

    async def delete(self, path: str, options: Json | None = None, **query: str) -> Answer:
        """Delete a path with DeleteOptions."""
        return await self.request("DELETE", path, options, query=query)

    async def watch(self, path: str, seconds: int = 30, **query: str) -> AsyncIterator[Json]:
        """Yield the events of a watch until the server ends it after `seconds`."""
        query = {"watch": "true", "timeoutSeconds": str(seconds), **query}
        async with self.session.get(self.server + path, params=query) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                yield json.loads(line)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace that belongs to one test.

    Args:
        cluster: where it is.
        name: of the namespace.
    """

    cluster: Cluster
    name: str

    def path(self, plural: str, *rest: str) -> str:
        """Return the path of a collection, or with a name of an object, or of a subresource."""
        version = KINDS[plural][0]
        root = "/apis" if "/" in version else "/api"
        return "/".join((root, version, "namespaces", self.name, plural, *rest))

    async def create(self, plural: str, name: str, fields: Json | None = None) -> Json:
        """Store an object and return it."""
        return dict((await self.post(plural, make(plural, name, fields))).ok())

    async def post(self, plural: str, body: Any, **query: str) -> Answer:
        """Send a create."""
        return await self.cluster.request("POST", self.path(plural), body, query=query)

    async def put(self, plural: str, name: str, body: Any, **query: str) -> Answer:
        """Send an update; `name` may be followed by a subresource."""
        return await self.cluster.request("PUT", self.path(plural, name), body, query=query)

    async def patch(self, form: str, plural: str, name: str, body: Any, **query: str) -> Answer:
        """Send a patch; `name` may be followed by a subresource."""
        return await self.cluster.patch(form, self.path(plural, name), body, **query)

    async def delete(
        self, plural: str, name: str, options: Json | None = None, **query: str
    ) -> Answer:
        """Send a delete."""
        return await self.cluster.delete(self.path(plural, name), options, **query)

    async def get(self, plural: str, name: str, **query: str) -> Answer:
        """Read an object; `name` may be followed by a subresource."""
        return await self.cluster.get(self.path(plural, name), **query)

    async def list(self, plural: str, **query: str) -> Answer:
        """Read a collection."""
        return await self.cluster.get(self.path(plural), **query)

    async def names(self, plural: str, **query: str) -> list[str]:
        """Return the names in a collection, in the server's order."""
        items = (await self.list(plural, **query)).ok()["items"]
        return [item["metadata"]["name"] for item in items]

    async def gone(self, plural: str, name: str) -> None:
        """Return once an object is not found any more."""

        async def absent() -> bool:
            return (await self.get(plural, name)).code == 404

        await until(absent)


def make(plural: str, name: str, fields: Json | None = None) -> Json:
    """Return an object of a kind; `fields` are merged into it, `metadata` one level deep."""
    version, kind = KINDS[plural]
    fields = dict(fields or {})
    metadata = {"name": name, **fields.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def pod(name: str = "game", *, metadata: Json | None = None, **spec: Any) -> Json:
    """Return a pod that no scheduler and no kubelet takes, so that only the API server acts."""
    return make(
        "pods",
        name,
        {
            "metadata": metadata or {},
            "spec": {
                "schedulerName": GROUP,
                "containers": [{"name": "main", "image": "game"}],
                "automountServiceAccountToken": False,
                **spec,
            },
        },
    )


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = WAIT_SECONDS) -> None:
    """Return once `holds`; fails the test after `seconds`."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(_POLL_SECONDS)
