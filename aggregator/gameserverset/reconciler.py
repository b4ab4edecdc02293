"""Reconciles one set: observe, plan, apply. Not pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.gameserverset.plan import Observed, Plan, plan
from aggregator.kube.controller import Result
from aggregator.kube.expectations import OwnWrites
from aggregator.kube.resources import ObjectKey
from shared.clock import monotonic_seconds, utc_now

if TYPE_CHECKING:
    from aggregator.caches import Caches
    from aggregator.gameserverset.apply import Applier
    from aggregator.kube.expectations import Expectations
    from shared.api.gameserverset import GameServerSet

# A set of a thousand servers changes all the time; its status is written at most this often.
STATUS_INTERVAL_SECONDS = 1.0


class GameServerSetReconciler:
    """Makes exactly the right servers exist, and says in the status what was observed."""

    def __init__(self, caches: Caches, applier: Applier, expectations: Expectations) -> None:
        self._caches = caches
        self._applier = applier
        self._expectations = expectations
        self._own_writes = OwnWrites()
        self._status_written_at: dict[ObjectKey, float] = {}

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring one set closer to its spec."""
        owner = self._caches.sets.get(key)
        if owner is None:
            self._expectations.forget(key)
            self._applier.forget(key)
            self._own_writes.forget(key)
            self._status_written_at.pop(key, None)
            return Result()
        if owner.metadata.deletion_timestamp is not None:
            # Owner references take the servers; a controller that went on would fight them.
            return Result()
        if not self._expectations.satisfied(key, monotonic_seconds()):
            # The event that shows our own writes adds the key again.
            return Result()
        observed = self._observe(owner)
        if not await self._applier.claims_are_shown(observed):
            return Result(STATUS_INTERVAL_SECONDS)
        decision = plan(observed)
        try:
            await self._applier.scale(observed, decision)
        finally:
            # A set whose pods are refused still says what it has.
            wait = await self._write_status(key, owner, decision)
        due = decision.requeue_after
        waits = [wait, due.total_seconds() if due is not None else None]
        return Result(
            min((each for each in waits if each is not None), default=None),
            decision.scale.describe(),
        )

    def _observe(self, owner: GameServerSet) -> Observed:
        # By name and not by label: a label that a person removed must not hide a server.
        pods = self._caches.pods_of(owner)
        keys = [ObjectKey(pod.metadata.namespace, pod.metadata.name) for pod in pods]
        servers = {key.name: self._caches.servers.get(key) for key in keys}
        return Observed(
            owner=owner,
            pods=pods,
            servers={name: server for name, server in servers.items() if server is not None},
            now=utc_now(),
        )

    async def _write_status(
        self, key: ObjectKey, owner: GameServerSet, decision: Plan
    ) -> float | None:
        """Write a changed status, at most once a second; return when to come back for it."""
        if decision.status == owner.status:
            return None
        now = monotonic_seconds()
        if self._own_writes.is_stale(key, owner.metadata.resource_version, now):
            return None
        wait = self._status_written_at.get(key, -STATUS_INTERVAL_SECONDS) - now
        wait += STATUS_INTERVAL_SECONDS
        if wait > 0:
            return wait
        version = await self._applier.write_status(owner, decision.status)
        self._status_written_at[key] = monotonic_seconds()
        self._own_writes.remember_version(key, version, monotonic_seconds())
        return None
