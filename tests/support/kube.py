"""A KubeClient without a server: objects in a dict, watches that tests feed, failures on order.

It keeps the promises that callers rely on (versions grow, absent is None, a lost uid is a conflict)
and no more: what an API server does to an object is tested against one.
"""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterable
from copy import deepcopy
from typing import Any

from aggregator.kube.errors import AlreadyExists, Conflict, NotFound
from aggregator.kube.patch import MergePatch, Patch
from aggregator.kube.resources import ObjectKey, Resource
from aggregator.kube.transport import PAGE_SIZE, Json, KubeClient, RawList, Selection


class FakeKubeClient(KubeClient):
    """Objects by resource and key.

    Attributes:
        objects: what is stored; tests may write into it.
        calls: verb and name of every request that came, in order.
        failures: by verb, raised by its next requests, one each.
        watches: by plural name, the scripts of the next watches: an event or raw line is sent, a
            number is seconds to wait, an Event is waited for, an exception is raised. A watch
            without a script stays open and silent.
        watched_from: the resourceVersion of every watch, in order.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, ObjectKey], Json] = {}
        self.calls: list[tuple[str, str]] = []
        self.failures: dict[str, deque[Exception]] = defaultdict(deque)
        self.watches: dict[str, deque[list[Any]]] = defaultdict(deque)
        self.watched_from: list[str] = []
        self.version = 100

    def put(self, resource: Resource, name: str, uid: str = "", **fields: Any) -> Json:
        """Store an object as if somebody else had written it."""
        self.version += 1
        metadata = {
            "namespace": "games",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(self.version),
        }
        stored = {"metadata": metadata, **fields}
        self.objects[resource.plural, ObjectKey("games", name)] = stored
        return deepcopy(stored)

    def _call(self, verb: str, name: str) -> None:
        self.calls.append((verb, name))
        if self.failures[verb]:
            raise self.failures[verb].popleft()

    async def get(
        self, resource: Resource, key: ObjectKey, subresource: str | None = None
    ) -> Json | None:
        self._call("get", key.name)
        return deepcopy(self.objects.get((resource.plural, key)))

    async def list_pages(
        self, selection: Selection, page: int = PAGE_SIZE
    ) -> AsyncGenerator[RawList, None]:
        self._call("list", selection.resource.plural)
        items = [
            json.dumps(value).encode()
            for (plural, _), value in self.objects.items()
            if plural == selection.resource.plural
        ]
        version = str(self.version)
        for start in range(0, max(len(items), 1), page):
            yield RawList(tuple(items[start : start + page]), version)

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        name = body.get("metadata", {}).get("name", "")
        self._call("create", name)
        key = ObjectKey(namespace, name)
        if (resource.plural, key) in self.objects:
            raise AlreadyExists("AlreadyExists", f"{key} exists")
        self.version += 1
        stored = deepcopy(body)
        stored.setdefault("metadata", {}).update(
            uid=f"uid-{self.version}", resourceVersion=str(self.version)
        )
        self.objects[resource.plural, key] = stored
        return deepcopy(stored)

    async def patch(
        self, resource: Resource, key: ObjectKey, patch: Patch, subresource: str | None = None
    ) -> Json:
        self._call("patch", key.name)
        stored = self.objects.get((resource.plural, key))
        if stored is None:
            raise NotFound("NotFound", f"{key} does not exist")
        assert isinstance(patch, MergePatch), "JSON patches are tested against an API server"
        self.version += 1
        stored.update(patch.document)
        return deepcopy(stored)

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> bool:
        self._call("delete", key.name)
        stored = self.objects.get((resource.plural, key))
        if stored is None:
            return False
        if uid not in (None, stored["metadata"]["uid"]):
            raise Conflict("Conflict", f"{key} has another uid")
        del self.objects[resource.plural, key]
        return True

    async def watch(
        self, selection: Selection, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[bytes, None]:
        self.watched_from.append(resource_version)
        scripts = self.watches[selection.resource.plural]
        script: Iterable[Any] = scripts.popleft() if scripts else [asyncio.Event()]
        for step in script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, int | float):
                await asyncio.sleep(step)
            else:
                yield step if isinstance(step, bytes) else json.dumps(step).encode()
