"""The GameServerSetAutoscaler reconciler: observe, decide, act, remember, say so. Not pure.

A pass is the same whatever woke it: a change of the set or of a server (at most once a second), the
end of a dwell, a window, a period or a schedule, or fifteen seconds without any of that. What it
decides is pure (`judgement`, `conflicts`, `aggregator.scaling`), and so is what follows from that
(`observed`, `memory`, `status`); here is only what it looks at and in which order it writes: first
spec.replicas, then the claims, then the status.

What we wrote and the cache does not show yet is remembered: no pass decides on a set that is older
than our own patch, and a server that we claimed counts as leaving at once (`own_claims`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aggregator.autoscaler.conflicts import find_conflict
from aggregator.autoscaler.explain import Explained, explain, explain_verdict
from aggregator.autoscaler.judgement import Verdict, judge
from aggregator.autoscaler.memory import (
    Memory,
    begin,
    note_growth,
    note_removals,
    pause,
    see_decision,
    see_replicas,
)
from aggregator.autoscaler.observed import (
    INTERVAL,
    Observed,
    claimable,
    explained,
    in_use,
    outcome_of,
    removed_for_their_mark,
    wake_at,
)
from aggregator.autoscaler.own_claims import OwnClaims
from aggregator.autoscaler.status import Outcome, describe, last_decision, plan_status
from aggregator.kube.controller import Result
from aggregator.kube.expectations import OwnWrites
from aggregator.kube.resources import ObjectKey
from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.schedule import schedule
from aggregator.snapshots import ViewMemo, take_snapshot
from shared.clock import monotonic_seconds, utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from aggregator.autoscaler.apply import Applier
    from aggregator.autoscaler.rivals import RivalReader
    from aggregator.caches import Caches
    from aggregator.kube.store import Store
    from aggregator.scaling.spec import Intent
    from shared.api.autoscaler import AutoscalerStatus, GameServerSetAutoscaler
    from shared.api.gameserverset import GameServerSet

# A set of a thousand servers changes all the time.
DEBOUNCE_SECONDS = 1.0
STATUS_INTERVAL_SECONDS = 1.0


@dataclass(slots=True)
class _State:
    """What is kept of one autoscaler in memory.

    Attributes:
        uid: of the autoscaler; a namesake begins anew.
        verdict: whether it may act, and why not; None before the first pass.
        explained: the last decision, made into words when somebody asks; None when none was made.
        views: of the set's servers.
    """

    uid: str
    memory: Memory
    claims: OwnClaims = field(default_factory=OwnClaims)
    verdict: Verdict | None = None
    explained: Explained | None = None
    views: ViewMemo = field(default_factory=dict)
    status_written_at: float = -STATUS_INTERVAL_SECONDS


class AutoscalerReconciler:
    """Keeps the supply of sets as their autoscalers ask for.

    Args:
        caches: sets, servers and pods.
        autoscalers: all that there are.
        applier: writes decisions.
        rivals: who else could scale.
    """

    def __init__(
        self,
        caches: Caches,
        autoscalers: Store[GameServerSetAutoscaler],
        applier: Applier,
        rivals: RivalReader,
    ) -> None:
        self._caches = caches
        self._autoscalers = autoscalers
        self._applier = applier
        self._rivals = rivals
        self._states: dict[ObjectKey, _State] = {}
        self._own_writes = OwnWrites()
        self._own_statuses = OwnWrites()

    def explanation(self, key: ObjectKey) -> dict[str, Any] | None:
        """Return every number of the last decision as plain JSON, and what keeps it from acting.

        Where nothing could be decided, only the latter; None before anything was looked at.
        """
        state = self._states.get(key)
        if state is None or state.verdict is None:
            return None
        head = {"namespace": key.namespace, "name": key.name}
        decision = {} if state.explained is None else explain(state.explained)
        return head | explain_verdict(state.verdict) | decision

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring the set of one autoscaler closer to what it asks for."""
        autoscaler = self._autoscalers.get(key)
        if autoscaler is None:
            self._states.pop(key, None)
            self._own_statuses.forget(key)
            return Result()
        if autoscaler.metadata.deletion_timestamp is not None:
            return Result()
        now = utc_now()
        state = self._state(key, autoscaler, now)
        set_key = ObjectKey(key.namespace, autoscaler.spec.game_server_set_name)
        owner = self._caches.sets.get(set_key)
        if owner is not None and self._own_writes.is_stale(
            set_key, owner.metadata.resource_version, monotonic_seconds()
        ):
            # The event that shows our own patch adds the key again; the wait is for its loss.
            return Result(INTERVAL.total_seconds())
        verdict, intent = judge(autoscaler, owner, now)
        if owner is None or intent is None:
            return await self._stand_by(key, autoscaler, state, verdict, now)
        await self._applier.settle(state.claims)
        observed = self._decide(autoscaler, owner, intent, state, now)
        rivals = await self._rivals.read(key.namespace)
        others = [
            each for each in self._autoscalers.values() if each.metadata.namespace == key.namespace
        ]
        conflict = find_conflict(autoscaler, others, rivals, state.memory.resets)
        return await self._carry_out(key, state, observed, replace(verdict, conflict=conflict))

    # -- observe and decide ---------------------------------------------------------------------

    def _state(self, key: ObjectKey, autoscaler: GameServerSetAutoscaler, now: datetime) -> _State:
        state = self._states.get(key)
        if state is None or state.uid != autoscaler.metadata.uid:
            state = self._states[key] = _State(autoscaler.metadata.uid, begin(now))
        return state

    def _decide(
        self,
        autoscaler: GameServerSetAutoscaler,
        owner: GameServerSet,
        intent: Intent,
        state: _State,
        now: datetime,
    ) -> Observed:
        pairs = {pair[0].metadata.uid: pair for pair in self._caches.pairs_of(owner)}
        lowered = state.claims.see(owner, pairs)
        state.memory = see_replicas(state.memory, owner.spec.replicas, lowered, now)
        scheduled = schedule(intent.policy, intent.windows, now)
        policy = scheduled.policy
        snapshot = take_snapshot(
            owner,
            pairs.values(),
            now,
            state.claims.claimed,
            marks_idle=policy.marks_idle,
            memo=state.views,
        )
        decision = evaluate(snapshot, policy, state.memory.history, now)
        state.memory = see_decision(state.memory, decision, in_use(snapshot, policy), now)
        return Observed(autoscaler, owner, pairs, snapshot, scheduled, decision, now)

    # -- act and say so -------------------------------------------------------------------------

    async def _stand_by(
        self,
        key: ObjectKey,
        autoscaler: GameServerSetAutoscaler,
        state: _State,
        verdict: Verdict,
        now: datetime,
    ) -> Result:
        """Say why nothing is decided, and come back in a while."""
        state.verdict, state.explained = verdict, None
        state.memory = pause(state.memory, now)
        status = plan_status(autoscaler, verdict, Outcome(), state.memory, now)
        wait = await self._write_status(key, state, status)
        return Result(wait or INTERVAL.total_seconds())

    async def _carry_out(
        self, key: ObjectKey, state: _State, observed: Observed, verdict: Verdict
    ) -> Result:
        state.verdict, state.explained = verdict, explained(observed)
        changes: list[str] = []
        try:
            if verdict.may_act:
                await self._act(observed, state, changes)
        finally:
            # What could not be carried out is shown all the same.
            outcome = outcome_of(observed, state.memory)
            former = state.memory.last_decision or observed.autoscaler.status.last_decision
            decided = last_decision(former, outcome, observed.now)
            state.memory = replace(state.memory, last_decision=decided)
            status = plan_status(observed.autoscaler, verdict, outcome, state.memory, observed.now)
            wait = await self._write_status(key, state, status)
        seconds = (wake_at(observed) - observed.now).total_seconds()
        return Result(min(seconds, wait) if wait is not None else seconds, tuple(changes))

    async def _act(self, observed: Observed, state: _State, changes: list[str]) -> None:
        """Write the decision, and add to `changes` what became of it, a few words each.

        Raises:
            AppError: something could not be written; what could is remembered.
        """
        decision, owner, now = observed.decision, observed.owner, observed.now
        if change := observed.change:
            version = await self._applier.set_replicas(
                observed.autoscaler, owner, decision.spec_replicas, describe(decision)
            )
            set_key = ObjectKey(owner.metadata.namespace, owner.metadata.name)
            self._own_writes.remember_version(set_key, version, monotonic_seconds())
            state.memory = note_growth(state.memory, decision.spec_replicas, change, now)
            changes.append(f"replicas {owner.spec.replicas} -> {decision.spec_replicas}")
        removed = await self._applier.remove(claimable(decision, observed.pairs), now)
        state.claims.note(removed.claimed, removed.uncertain)
        marked = removed_for_their_mark(observed)
        state.memory = note_removals(state.memory, removed.claimed, marked, now)
        changes += removed.told
        if removed.failure is not None:
            raise removed.failure

    async def _write_status(
        self, key: ObjectKey, state: _State, status: AutoscalerStatus
    ) -> float | None:
        """Write a changed status, at most once a second; return when to come back for it."""
        autoscaler = self._autoscalers.get(key)
        if autoscaler is None or status == autoscaler.status:
            return None
        now = monotonic_seconds()
        if self._own_statuses.is_stale(key, autoscaler.metadata.resource_version, now):
            return STATUS_INTERVAL_SECONDS
        wait = state.status_written_at + STATUS_INTERVAL_SECONDS - now
        if wait > 0:
            return wait
        version = await self._applier.write_status(autoscaler, status)
        state.status_written_at = now
        self._own_statuses.remember_version(key, version, now)
        return None
