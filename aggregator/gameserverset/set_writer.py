"""Every write to a GameServerSet: what deletions cost its spec, and its status. Not pure.

A write carries the version of the set that it was decided on, and the version of the answer is
remembered: who planned on an older set would create what has just been accounted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.gameserverset.accounting import Accounting, parse_accounted, render_accounted
from aggregator.gameserverset.reserve import add_ids
from aggregator.kube.errors import Conflict
from aggregator.kube.expectations import OwnWrites
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import GAMESERVERSETS, ObjectKey
from shared.api import names
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Collection

    from aggregator.kube.transport import Json, KubeClient
    from shared.api.gameserverset import GameServerSet, GameServerSetStatus


class SetWriter:
    """Writes to sets, and knows whether a cache shows what it wrote."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._own_writes = OwnWrites()

    def is_stale(self, owner: GameServerSet) -> bool:
        """Tell whether `owner` is older than our own last write to the set."""
        version = owner.metadata.resource_version
        return self._own_writes.is_stale(key_of(owner), version, monotonic_seconds())

    def forget(self, key: ObjectKey) -> None:
        """Forget a set that is gone."""
        self._own_writes.forget(key)

    async def confirm(self, owner: GameServerSet) -> None:
        """Make sure that the spec is still the one that was decided on, before servers change.

        The caches of sets and of pods are filled by different watches: who sees that a killed pod
        is gone, and not yet that `replicas` went down with it, would create another.

        Raises:
            Conflict: it is another by now.
            AppError: the API server could not be asked.
        """
        stored = await self._client.get(GAMESERVERSETS, key_of(owner))
        metadata = stored["metadata"] if stored is not None else {}
        seen = (owner.metadata.uid, owner.metadata.generation)
        if seen != (metadata.get("uid"), metadata.get("generation")):
            raise Conflict("StaleSet", f"{key_of(owner)} changed while it was planned")

    async def account(
        self, owner: GameServerSet, accounting: Accounting | None, dropped: Collection[str] = ()
    ) -> None:
        """Write what deletions cost the spec, and forget uids that need not be remembered."""
        annotations = owner.metadata.annotations
        uids = accounting.pod_uids if accounting is not None else ()
        text = render_accounted(parse_accounted(annotations), uids, dropped)
        document: dict[str, Any] = {
            "metadata": _preconditions(owner)
            | {"annotations": {names.ACCOUNTED_ANNOTATION: text or None}},
        }
        spec: dict[str, Any] = {}
        if accounting is not None:
            if accounting.replicas != owner.spec.replicas:
                spec["replicas"] = accounting.replicas
            items = owner.spec.reserve_game_server_ids
            extended = add_ids(items, accounting.ids)
            if extended != items:
                spec["reserveGameServerIds"] = list(extended)
        if spec:
            document["spec"] = spec
        self._remember(
            owner, await self._client.patch(GAMESERVERSETS, key_of(owner), MergePatch(document))
        )

    async def write_status(self, owner: GameServerSet, status: GameServerSetStatus) -> None:
        """Write the status, only onto the object it was observed on."""
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        patch = MergePatch({"metadata": _preconditions(owner), "status": body})
        stored = await self._client.patch(GAMESERVERSETS, key_of(owner), patch, "status")
        self._remember(owner, stored)

    def _remember(self, owner: GameServerSet, stored: Json) -> None:
        version = str(stored["metadata"]["resourceVersion"])
        self._own_writes.remember_version(key_of(owner), version, monotonic_seconds())


def key_of(owner: GameServerSet) -> ObjectKey:
    """Return the key of a set."""
    return ObjectKey(owner.metadata.namespace, owner.metadata.name)


def _preconditions(owner: GameServerSet) -> dict[str, Any]:
    return {"uid": owner.metadata.uid, "resourceVersion": owner.metadata.resource_version}
