"""Removes marked servers by name for sets that KEDA scales with `removal: Claim`. Not pure.

A count-based HPA cannot name whom it removes. So for these sets the aggregator claims whoever has
been marked for long enough, exactly as the built-in autoscaler does, and the metric leaves the
marked alone. KEDA asks again and again; who has not been asked about for a while is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.autoscaler.observed import claimable
from aggregator.autoscaler.own_claims import OwnClaims
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
    """

    policy: Policy
    asked_at: float
    claims: OwnClaims = field(default_factory=OwnClaims)


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
        await self._applier.settle(task.claims)
        pairs = {pair[0].metadata.uid: pair for pair in self._caches.pairs_of(owner)}
        task.claims.see(owner, pairs)
        now = utc_now()
        snapshot = take_snapshot(owner, pairs.values(), now, task.claims.claimed)
        decision = evaluate(snapshot, task.policy, History(), now)
        removed = await self._applier.remove(claimable(decision, pairs), now)
        task.claims.note(removed.claimed, removed.uncertain)
        if removed.failure is not None:
            raise removed.failure
        due = decision.due
        wait = None if due is None else (due - now).total_seconds()
        return Result(wait, tuple(removed.told))
