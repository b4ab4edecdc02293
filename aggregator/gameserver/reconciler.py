"""Reconciles one game server: observe, plan, apply. Not pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.gameserver.apply import Applier
from aggregator.gameserver.plan import Observed, PatchServer, plan
from aggregator.kube.controller import Result
from aggregator.kube.expectations import OwnWrites
from shared.clock import monotonic_seconds, utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from aggregator.caches import Caches
    from aggregator.kube.events import EventRecorder
    from aggregator.kube.resources import ObjectKey
    from aggregator.kube.transport import KubeClient


class GameServerReconciler:
    """Brings the GameServer, its status and its pod's labels to what was observed and reported."""

    def __init__(self, client: KubeClient, events: EventRecorder, caches: Caches) -> None:
        self._applier = Applier(client, events)
        self._caches = caches
        self._own_writes = OwnWrites()
        self._remembered_at: dict[ObjectKey, datetime] = {}

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring one server closer; `key` is that of the pod and of the GameServer."""
        observed = self._observe(key)
        server = observed.server
        if observed.pod is None and server is None:
            self._remembered_at.pop(key, None)
            self._own_writes.forget(key)
            return Result()
        version = server.metadata.resource_version if server is not None else None
        if self._own_writes.is_stale(key, version, monotonic_seconds()):
            # The event that shows our own last write adds the key again.
            return Result()
        decision = plan(observed)
        uid = server.metadata.uid if server is not None else ""
        written = await self._applier.apply(key, decision.operations, uid)
        if written:
            self._own_writes.remember_version(key, written, monotonic_seconds())
        for operation in decision.operations:
            if isinstance(operation, PatchServer) and operation.only_remembers:
                self._remembered_at[key] = observed.now
        after = decision.requeue_after
        return Result(None if after is None else after.total_seconds())

    def _observe(self, key: ObjectKey) -> Observed:
        caches = self._caches
        pod = caches.pods.get(key)
        accepted = caches.ledger.get(pod.metadata.uid) if pod is not None else None
        return Observed(
            pod=pod,
            server=caches.servers.get(key),
            owner=caches.set_of(pod) if pod is not None else None,
            report=accepted.report if accepted is not None else None,
            lost=pod is not None and caches.ledger.is_lost(pod.metadata.uid, monotonic_seconds()),
            remembered_at=self._remembered_at.get(key),
            now=utc_now(),
        )
