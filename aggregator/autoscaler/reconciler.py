"""The GameServerSetAutoscaler reconciler: observe, decide, act, remember, say so. Not pure.

A pass is the same whatever woke it: a change of the set or of a server (at most once a second), the
end of a dwell, a window, a period or a schedule, or fifteen seconds without any of that. What it
decides is pure (`aggregator.scaling`); here is only what it looks at and in which order it writes:
first spec.replicas, then the claims, then the status.

What we wrote and the cache does not show yet is remembered: no pass decides on a set that is older
than our own patch, and a server that we claimed counts as leaving at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aggregator.autoscaler.conflicts import find_conflict
from aggregator.autoscaler.explain import Explained, explain, explain_verdict
from aggregator.autoscaler.memory import (
    Memory,
    begin,
    note_growth,
    note_removals,
    pause,
    see_decision,
    see_replicas,
)
from aggregator.autoscaler.status import (
    PATIENCE,
    Outcome,
    Verdict,
    describe,
    last_decision,
    plan_status,
    victims_of,
)
from aggregator.kube.controller import Result
from aggregator.kube.expectations import OwnWrites
from aggregator.kube.resources import ObjectKey
from aggregator.scaling.census import ServerClass, class_of
from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.schedule import schedule
from aggregator.scaling.spec import read_spec
from aggregator.snapshots import ViewMemo, take_snapshot
from shared.api import names
from shared.clock import monotonic_seconds, utc_now
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from aggregator.autoscaler.apply import Applier
    from aggregator.autoscaler.rivals import RivalReader
    from aggregator.caches import Caches
    from aggregator.kube.store import Store
    from aggregator.pods import Pod
    from aggregator.scaling.evaluate import Decision
    from aggregator.scaling.policy import Snapshot
    from aggregator.scaling.schedule import Scheduled
    from aggregator.scaling.spec import Intent
    from shared.api.autoscaler import AutoscalerStatus, GameServerSetAutoscaler
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet

# Nothing tells when an HPA appears, or that a clock has moved on.
INTERVAL = timedelta(seconds=15)
# A set of a thousand servers changes all the time.
DEBOUNCE_SECONDS = 1.0
STATUS_INTERVAL_SECONDS = 1.0


@dataclass(slots=True)
class _State:
    """What is kept of one autoscaler in memory.

    Attributes:
        uid: of the autoscaler; a namesake begins anew.
        claimed: uids of pods that we claimed, until the cache shows it or they are gone.
        uncertain: servers whose claim may be written, with the uid of the pod.
        accounted: uids in the set's annotation at the last pass.
        verdict: whether it may act, and why not; None before the first pass.
        explained: the last decision, made into words when somebody asks; None when none was made.
        views: of the set's servers.
    """

    uid: str
    memory: Memory
    claimed: set[str] = field(default_factory=set)
    uncertain: dict[ObjectKey, str] = field(default_factory=dict)
    accounted: frozenset[str] = frozenset()
    verdict: Verdict | None = None
    explained: Explained | None = None
    views: ViewMemo = field(default_factory=dict)
    status_written_at: float = -STATUS_INTERVAL_SECONDS


@dataclass(frozen=True, slots=True)
class _Pass:
    """Everything that one pass decides on."""

    autoscaler: GameServerSetAutoscaler
    owner: GameServerSet
    pairs: dict[str, tuple[Pod, GameServer | None]]
    snapshot: Snapshot
    scheduled: Scheduled
    decision: Decision
    now: datetime


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
        verdict, intent = _judge(autoscaler, owner, now)
        if owner is None or intent is None:
            state.verdict, state.explained = verdict, None
            state.memory = pause(state.memory, now)
            wait = await self._write_status(
                key, state, plan_status(autoscaler, verdict, Outcome(), state.memory, now)
            )
            return Result(wait or INTERVAL.total_seconds())
        await self._settle_claims(state)
        observed = self._decide(autoscaler, owner, intent, state, now)
        rivals = await self._rivals.read(key.namespace)
        others = [
            each for each in self._autoscalers.values() if each.metadata.namespace == key.namespace
        ]
        conflict = find_conflict(autoscaler, others, rivals, state.memory.resets)
        verdict = Verdict(verdict.able, verdict.inactive, conflict)
        return await self._carry_out(key, state, observed, verdict)

    # -- observe and decide ---------------------------------------------------------------------

    def _state(self, key: ObjectKey, autoscaler: GameServerSetAutoscaler, now: datetime) -> _State:
        state = self._states.get(key)
        if state is None or state.uid != autoscaler.metadata.uid:
            state = self._states[key] = _State(autoscaler.metadata.uid, begin(now))
        return state

    async def _settle_claims(self, state: _State) -> None:
        """Find out about claims whose answer was lost, before anybody else is chosen.

        Raises:
            AppError: the API server cannot be asked; nothing is decided until it can.
        """
        for key, uid in list(state.uncertain.items()):
            if await self._applier.is_claimed(key, uid):
                state.claimed.add(uid)
            del state.uncertain[key]

    def _decide(
        self,
        autoscaler: GameServerSetAutoscaler,
        owner: GameServerSet,
        intent: Intent,
        state: _State,
        now: datetime,
    ) -> _Pass:
        pairs = {pair[0].metadata.uid: pair for pair in self._caches.pairs_of(owner)}
        self._see_replicas(owner, pairs, state, now)
        scheduled = schedule(intent.policy, intent.windows, now)
        policy = scheduled.policy
        snapshot = take_snapshot(
            owner,
            pairs.values(),
            now,
            state.claimed,
            marks_idle=policy.marks_idle,
            memo=state.views,
        )
        decision = evaluate(snapshot, policy, state.memory.history, now)
        in_use = [
            server.pod_uid
            for server in snapshot.servers
            if class_of(server, policy) is ServerClass.IN_USE
        ]
        state.memory = see_decision(state.memory, decision, in_use, now)
        return _Pass(autoscaler, owner, pairs, snapshot, scheduled, decision, now)

    def _see_replicas(
        self,
        owner: GameServerSet,
        pairs: dict[str, tuple[Pod, GameServer | None]],
        state: _State,
        now: datetime,
    ) -> None:
        """Note spec.replicas, and which of our claims the caches show by now."""
        annotation = owner.metadata.annotations.get(names.ACCOUNTED_ANNOTATION, "")
        accounted = frozenset(part.strip() for part in annotation.split(",") if part.strip())
        shown = {
            uid
            for uid in state.claimed
            if uid not in pairs or _shows_claim(pairs[uid][1]) or uid in accounted
        }
        lowered = (accounted - state.accounted) | {uid for uid in shown if uid not in pairs}
        state.claimed -= shown
        state.accounted = accounted
        state.memory = see_replicas(state.memory, owner.spec.replicas, len(lowered), now)

    # -- act and say so -------------------------------------------------------------------------

    async def _carry_out(
        self, key: ObjectKey, state: _State, observed: _Pass, verdict: Verdict
    ) -> Result:
        decision = observed.decision
        text = describe(decision)
        wake_at = _wake_at(observed)
        state.verdict = verdict
        state.explained = Explained(
            observed.owner.metadata.name,
            observed.snapshot,
            observed.scheduled,
            decision,
            observed.now,
            wake_at,
        )
        changes: list[str] = []
        try:
            if verdict.may_act:
                await self._act(observed, state, text, changes)
        finally:
            # What could not be carried out is shown all the same.
            outcome = Outcome(
                decision,
                text,
                victims_of(observed.owner.metadata.name, decision),
                _slow(observed, state.memory),
                acted=bool(changes),
            )
            former = state.memory.last_decision or observed.autoscaler.status.last_decision
            decided = last_decision(former, outcome, observed.now)
            state.memory = replace(state.memory, last_decision=decided)
            status = plan_status(observed.autoscaler, verdict, outcome, state.memory, observed.now)
            wait = await self._write_status(key, state, status)
        seconds = (wake_at - observed.now).total_seconds()
        return Result(min(seconds, wait) if wait is not None else seconds, tuple(changes))

    async def _act(self, observed: _Pass, state: _State, text: str, changes: list[str]) -> None:
        """Write the decision, and add what was written to `changes`, a few words each.

        Raises:
            AppError: something could not be written; what could is remembered.
        """
        decision, owner, now = observed.decision, observed.owner, observed.now
        change = decision.spec_replicas - owner.spec.replicas
        if change:
            version = await self._applier.set_replicas(
                observed.autoscaler, owner, decision.spec_replicas, text
            )
            set_key = ObjectKey(owner.metadata.namespace, owner.metadata.name)
            self._own_writes.remember_version(set_key, version, monotonic_seconds())
            state.memory = note_growth(state.memory, decision.spec_replicas, change, now)
            changes.append(f"replicas {owner.spec.replicas} -> {decision.spec_replicas}")
        victims = [
            (server, victim.pod_uid)
            for victim in decision.victims
            if (server := observed.pairs[victim.pod_uid][1]) is not None
        ]
        removed = await self._applier.remove(victims, now)
        state.claimed.update(removed.claimed)
        state.uncertain.update(removed.uncertain)
        marked = (
            ()
            if observed.scheduled.policy.marks_idle
            else [server.pod_uid for server in decision.census.ripe]
        )
        state.memory = note_removals(state.memory, removed.claimed, marked, now)
        if removed.claimed:
            changes.append(f"claim {len(removed.claimed)}")
        if removed.spared:
            changes.append(f"spared {', '.join(removed.spared)}")
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


def _judge(
    autoscaler: GameServerSetAutoscaler, owner: GameServerSet | None, now: datetime
) -> tuple[Verdict, Intent | None]:
    """Return what is known before anything is decided, and what is to be decided."""
    spec = autoscaler.spec
    if spec.mode == "Off":
        return Verdict(inactive=("Off", "spec.mode is Off: set it to Active or DryRun")), None
    try:
        intent = read_spec(spec, now)
    except InvalidInput as error:
        return Verdict(inactive=("InvalidSpec", error.message)), None
    name = spec.game_server_set_name
    if owner is None:
        return Verdict(
            able=("SetNotFound", f"there is no GameServerSet {name} in this namespace")
        ), None
    inactive = (
        ("DryRun", "spec.mode is DryRun: nothing is written") if spec.mode == "DryRun" else None
    )
    if owner.metadata.deletion_timestamp is not None:
        return Verdict(able=("SetDeleted", f"{name} is being deleted"), inactive=inactive), intent
    if owner.metadata.annotations.get(names.PAUSED_ANNOTATION) == "true":
        message = f"{name} has the annotation {names.PAUSED_ANNOTATION}: take it away"
        return Verdict(able=("SetPaused", message), inactive=inactive), intent
    return Verdict(inactive=inactive), intent


def _shows_claim(server: GameServer | None) -> bool:
    return server is not None and server.spec.deletion is not None


def _wake_at(observed: _Pass) -> datetime:
    dues = (observed.decision.due, observed.scheduled.until, observed.now + INTERVAL)
    return min(due for due in dues if due is not None)


def _slow(observed: _Pass, memory: Memory) -> tuple[str, ...]:
    """Return the names of servers that should be ready by now, and ids that are missing long."""
    limit = observed.now - PATIENCE
    census = observed.decision.census
    slow = []
    for server in census.booting:
        pod, _ = observed.pairs[server.pod_uid]
        created = pod.metadata.creation_timestamp
        if created is not None and created <= limit:
            slow.append(pod.metadata.name)
    if memory.short_since is not None and memory.short_since <= limit:
        slow.append(f"{census.missing} not created yet")
    return tuple(sorted(slow))
