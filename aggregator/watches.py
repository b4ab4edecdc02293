"""Which resources are followed, and who is told of their changes. Not pure.

Sets, servers and pods are what we decide on: without them nothing begins. Autoscalers are followed
where their definition is installed. Nodes, claims and volumes are for conditions only: they are
followed where the rights allow it, and claims and volumes not before a pod has any.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from aggregator.infrastructure import (
    Claim,
    Node,
    Volume,
    decode_claim,
    decode_node,
    decode_volume,
)
from aggregator.kube.reflector import Pace, Reflector
from aggregator.kube.resources import (
    AUTOSCALERS,
    GAMESERVERS,
    GAMESERVERSETS,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODS,
    ObjectKey,
)
from aggregator.kube.transport import Selection
from aggregator.pods import Pod, decode_our_pod
from shared.api.autoscaler import GameServerSetAutoscaler
from shared.api.gameserver import GameServer
from shared.api.gameserverset import GameServerSet
from shared.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aggregator.caches import Caches
    from aggregator.kube.transport import KubeClient

# A right that is missing will hardly be granted in the next minutes.
_PATIENT = Pace(Backoff(base_seconds=1.0, cap_seconds=600.0))
# What we can do without must not hold up what we cannot.
_OPTIONAL_SECONDS = 5.0


class Listener(Protocol):
    """Who is told. Both are given: None, new for an addition; old, None for a deletion."""

    def set_changed(self, old: GameServerSet | None, new: GameServerSet | None) -> None:
        """Note a set."""

    def server_changed(self, old: GameServer | None, new: GameServer | None) -> None:
        """Note a server."""

    def pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """Note a pod of ours."""

    def autoscaler_changed(
        self, old: GameServerSetAutoscaler | None, new: GameServerSetAutoscaler | None
    ) -> None:
        """Note an autoscaler."""

    def look_at_server(self, key: ObjectKey) -> None:
        """Something around this server has changed."""


class Watches:
    """The reflectors of one aggregator.

    Args:
        client: the API server.
        namespace: the only one to follow; empty for all.
        caches: are filled.
        listener: is told.

    Attributes:
        required: by name; nothing begins before all of them are synced.
    """

    def __init__(
        self, client: KubeClient, namespace: str, caches: Caches, listener: Listener
    ) -> None:
        self._client = client
        self._caches = caches
        self._listener = listener
        self._mounts_claims = asyncio.Event()
        self.required: dict[str, Reflector[Any]] = {
            "GameServerSets": Reflector(
                client,
                Selection(GAMESERVERSETS, namespace),
                caches.sets,
                GameServerSet.model_validate_json,
                listener.set_changed,
            ),
            "GameServers": Reflector(
                client,
                Selection(GAMESERVERS, namespace),
                caches.servers,
                GameServer.model_validate_json,
                listener.server_changed,
            ),
            "pods": Reflector(
                client, Selection(PODS, namespace), caches.pods, decode_our_pod, self._pod_changed
            ),
        }
        self._autoscalers = Reflector(
            client,
            Selection(AUTOSCALERS, namespace),
            caches.autoscalers,
            GameServerSetAutoscaler.model_validate_json,
            listener.autoscaler_changed,
            _PATIENT,
        )
        self._nodes = Reflector(
            client, Selection(NODES), caches.nodes, decode_node, self._node_changed, _PATIENT
        )
        self._claims = Reflector(
            client,
            Selection(PERSISTENTVOLUMECLAIMS, namespace),
            caches.claims,
            decode_claim,
            self._claim_changed,
            _PATIENT,
        )
        self._volumes = Reflector(
            client,
            Selection(PERSISTENTVOLUMES),
            caches.volumes,
            decode_volume,
            self._volume_changed,
            _PATIENT,
        )

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, reflector in self.required.items():
                tasks.create_task(reflector.run(), name=f"reflect {name}")
            tasks.create_task(self._autoscalers.run(), name="reflect autoscalers")
            tasks.create_task(self._nodes.run(), name="reflect nodes")
            tasks.create_task(self._note_readable(NODES.plural, self._nodes))
            tasks.create_task(self._follow_volumes(), name="reflect volumes")

    async def synced(self) -> None:
        """Return when the caches are whole, those we can do without only if that is soon."""
        for reflector in self.required.values():
            await reflector.synced.wait()
        optional: list[Reflector[Any]] = [self._autoscalers, self._nodes]
        if self._mounts_claims.is_set():
            optional += [self._claims, self._volumes]
        try:
            async with asyncio.timeout(_OPTIONAL_SECONDS):
                for each in optional:
                    await each.tried.wait()
        except TimeoutError:
            return

    async def refresh(self) -> None:
        """Return once the caches that we decide on have equalled consistent lists made now."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self.required.values():
                tasks.create_task(reflector.refresh())

    async def _follow_volumes(self) -> None:
        await self._mounts_claims.wait()
        async with asyncio.TaskGroup() as tasks:
            for plural, reflector in (
                (PERSISTENTVOLUMECLAIMS.plural, self._claims),
                (PERSISTENTVOLUMES.plural, self._volumes),
            ):
                tasks.create_task(reflector.run(), name=f"reflect {plural}")
                tasks.create_task(self._note_readable(plural, reflector))

    async def _note_readable(self, plural: str, reflector: Reflector[Any]) -> None:
        """Say that a resource can be read; then what is not in its cache does not exist."""
        await reflector.synced.wait()
        self._caches.readable.add(plural)
        self._look_at(self._caches.pods.values())

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None and new.claim_names:
            self._mounts_claims.set()
        self._listener.pod_changed(old, new)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        node = new or old
        # Heartbeats change the version of a node and nothing that we read.
        if node is not None and old != new:
            self._look_at(self._caches.pods_on(node.metadata.name))

    def _claim_changed(self, old: Claim | None, new: Claim | None) -> None:
        claim = new or old
        if claim is not None and old != new:
            key = ObjectKey(claim.metadata.namespace, claim.metadata.name)
            self._look_at(self._caches.pods_with(key))

    def _volume_changed(self, old: Volume | None, new: Volume | None) -> None:
        for volume in (old, new):
            if volume is not None and volume.spec.claim_ref is not None and old != new:
                claim = volume.spec.claim_ref
                self._look_at(self._caches.pods_with(ObjectKey(claim.namespace, claim.name)))

    def _look_at(self, pods: Iterable[Pod]) -> None:
        for pod in pods:
            self._listener.look_at_server(ObjectKey(pod.metadata.namespace, pod.metadata.name))
