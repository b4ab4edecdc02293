"""Keeps the PersistentVolumeClaims of servers as their set wants them. Not pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aggregator.gameserverset import volumes
from aggregator.gameserverset.set_writer import key_of
from aggregator.kube.errors import AlreadyExists
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import PERSISTENTVOLUMECLAIMS, ObjectKey
from shared.api import names
from shared.errors import TransientError

if TYPE_CHECKING:
    from aggregator.kube.transport import Json, KubeClient
    from shared.api.gameserverset import GameServerSet


class VolumeClaims:
    """Makes claims before pods, and hands them to the pods that they shall go with."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        # By set: the policy that the owner references of its claims follow.
        self._synced: dict[ObjectKey, tuple[str, bool]] = {}

    def forget(self, key: ObjectKey) -> None:
        """Forget a set that is gone."""
        self._synced.pop(key, None)

    async def ensure(self, owner: GameServerSet, id_: int) -> None:
        """Make the claims of a server that is about to be created.

        Raises:
            TransientError: a claim of its former pod or set is still going; no pod may bind it.
        """
        for body in volumes.render_claims(owner, id_):
            key = ObjectKey(owner.metadata.namespace, body["metadata"]["name"])
            try:
                await self._client.create(PERSISTENTVOLUMECLAIMS, key.namespace, body)
            except AlreadyExists as error:
                stored = await self._client.get(PERSISTENTVOLUMECLAIMS, key)
                if stored is None or volumes.is_going(stored, owner):
                    message = f"the volume claim {key.name} of the former server is still going"
                    raise TransientError("VolumeClaimGoing", message, 1.0) from error

    async def release(self, owner: GameServerSet, pod: ObjectKey, pod_uid: str) -> None:
        """Let the claims of a server go with its pod, if the set wants that (whenScaled Delete)."""
        if not volumes.deletes_when_scaled(owner):
            return
        for template in owner.spec.game_server_template.volume_claim_templates:
            key = ObjectKey(pod.namespace, volumes.claim_name(template, pod.name))
            stored = await self._client.get(PERSISTENTVOLUMECLAIMS, key)
            if stored is not None:
                present = stored["metadata"].get("ownerReferences") or []
                await self._write_owners(stored, volumes.owners_for_pod(pod.name, pod_uid, present))

    async def sync(self, owner: GameServerSet) -> None:
        """Make all claims of a set follow its whenDeleted policy: one list for each change of it.

        It cannot wait for the deletion of the set, because nobody asks us then.
        """
        wanted = (owner.metadata.uid, volumes.deletes_when_deleted(owner))
        has_claims = bool(owner.spec.game_server_template.volume_claim_templates)
        if not has_claims or self._synced.get(key_of(owner)) == wanted:
            return
        selector = f"{names.OWNER_LABEL}={owner.metadata.name}"
        found = await self._client.list(PERSISTENTVOLUMECLAIMS, owner.metadata.namespace, selector)
        for item in found.items:
            stored = json.loads(item)
            if volumes.is_of_another_set(stored, owner):
                # A former set took it along; to keep it now would be a race with the collector.
                continue
            present = stored["metadata"].get("ownerReferences") or []
            await self._write_owners(stored, volumes.owners_for_set(owner, present))
        self._synced[key_of(owner)] = wanted

    async def _write_owners(self, stored: Json, owners: list[Json]) -> None:
        metadata = stored["metadata"]
        if owners == (metadata.get("ownerReferences") or []):
            return
        key = ObjectKey(metadata["namespace"], metadata["name"])
        precondition = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        patch = MergePatch({"metadata": precondition | {"ownerReferences": owners or None}})
        await self._client.patch(PERSISTENTVOLUMECLAIMS, key, patch)
