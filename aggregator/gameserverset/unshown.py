"""Our own writes that the caches may not show yet. Not pure.

A claim whose answer was lost may be written, and a pod gone; a pod that was just patched still
looks outdated. Who decides without them takes a second victim as soon as another server looks
better. So an object is noted before the first request, and looked up in the API server before the
next decision: a crash of the run must leave the note behind, and an answer that came is no proof
that the cache has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.kube.resources import PODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.gameserverset.roster import Entry
    from aggregator.kube.resources import ObjectKey, Resource
    from aggregator.kube.transport import KubeClient


class UnshownWrites:
    """Objects of each set that we patched, until the cache shows them as they are."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._noted: dict[ObjectKey, set[tuple[Resource, ObjectKey]]] = {}

    def note(self, owner: ObjectKey, resource: Resource, key: ObjectKey) -> None:
        """Remember that an object is about to be patched."""
        self._noted.setdefault(owner, set()).add((resource, key))

    def drop(self, owner: ObjectKey, resource: Resource, key: ObjectKey) -> None:
        """Forget a patch that was refused, or that something else waits for by now."""
        self._noted.get(owner, set()).discard((resource, key))

    def forget(self, owner: ObjectKey) -> None:
        """Forget a set that is gone."""
        self._noted.pop(owner, None)

    async def are_shown(self, owner: ObjectKey, entries: Mapping[str, Entry]) -> bool:
        """Tell whether the cache shows all of them as the API server has them.

        Raises:
            AppError: the API server could not be asked.
        """
        noted = self._noted.get(owner, set())
        for resource, key in sorted(noted, key=lambda pair: (pair[0].plural, pair[1])):
            entry = entries.get(key.name)
            cached = None if entry is None else entry.pod if resource == PODS else entry.found
            if cached is not None:
                stored = await self._client.get(resource, key)
                version = cached.metadata.resource_version
                if stored is None or version != stored["metadata"]["resourceVersion"]:
                    return False
            noted.discard((resource, key))
        return True
