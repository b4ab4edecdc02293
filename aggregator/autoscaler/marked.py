"""Removes marked servers by name for sets that KEDA scales with `removal: Claim`. Not pure.

A count-based HPA cannot name whom it removes. So for these sets the aggregator claims whoever has
been marked for long enough, exactly as the built-in autoscaler does, and the metric leaves the
marked alone. KEDA asks again and again; who has not been asked about for a while is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.kube.controller import Result
from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.policy import History
from aggregator.snapshots import take_snapshot
from shared.clock import monotonic_seconds, utc_now

if TYPE_CHECKING:
    from aggregator.autoscaler.apply import Applier
    from aggregator.caches import Caches
    from aggregator.kube.resources import ObjectKey
    from aggregator.scaling.policy import Policy

# KEDA's HPA asks every fifteen seconds, KEDA itself at its polling interval: thirty by default.
FORGET_SECONDS = 120.0


@dataclass(slots=True)
class _Task:
    """What is kept of one set.

    Attributes:
        policy: only its dwell counts.
        asked_at: when KEDA last asked.
        claimed: uids of pods that we claimed, until they are gone.
        uncertain: servers whose claim may be written, with the uid of the pod.
    """

    policy: Policy
    asked_at: float
    claimed: set[str] = field(default_factory=set)
    uncertain: dict[ObjectKey, str] = field(default_factory=dict)


class MarkedRemover:
    """Claims marked servers of the sets that it was asked for."""

    def __init__(self, caches: Caches, applier: Applier) -> None:
        self._caches = caches
        self._applier = applier
        self._tasks: dict[ObjectKey, _Task] = {}

    def ask(self, set_key: ObjectKey, policy: Policy) -> None:
        """Remember that marked servers of a set are to be removed for now."""
        now = monotonic_seconds()
        task = self._tasks.setdefault(set_key, _Task(policy, now))
        task.policy, task.asked_at = policy, now

    def knows(self, set_key: ObjectKey) -> bool:
        """Tell whether anybody asked for this set."""
        return set_key in self._tasks

    async def reconcile(self, set_key: ObjectKey) -> Result:
        """Claim the marked servers of one set that are ripe."""
        task = self._tasks.get(set_key)
        owner = self._caches.sets.get(set_key)
        if task is None:
            return Result()
        if owner is None or monotonic_seconds() - task.asked_at >= FORGET_SECONDS:
            del self._tasks[set_key]
            return Result()
        for key, uid in list(task.uncertain.items()):
            if await self._applier.is_claimed(key, uid):
                task.claimed.add(uid)
            del task.uncertain[key]
        pairs = self._caches.pairs_of(owner)
        uids = {pod.metadata.uid for pod, _ in pairs}
        task.claimed &= uids
        now = utc_now()
        snapshot = take_snapshot(owner, pairs, now, task.claimed)
        decision = evaluate(snapshot, task.policy, History(), now)
        servers = {pod.metadata.uid: server for pod, server in pairs}
        victims = [
            (server, victim.pod_uid)
            for victim in decision.victims
            if (server := servers[victim.pod_uid]) is not None
        ]
        removed = await self._applier.remove(victims, now)
        task.claimed.update(removed.claimed)
        task.uncertain.update(removed.uncertain)
        if removed.failure is not None:
            raise removed.failure
        due = decision.due
        wait = None if due is None else (due - now).total_seconds()
        changes = (f"claim {len(removed.claimed)}",) if removed.claimed else ()
        return Result(wait, changes)
