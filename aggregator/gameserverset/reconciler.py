"""Reconciles one set: observe, plan, apply. Not pure.

To look at a set costs time that grows with its servers: tens of milliseconds for ten thousand. A
set that takes notable time rests ten times as long, so that a storm of events (ten thousand pods
become Ready) costs at most a tenth of the process, and each event a fraction of a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aggregator.gameserverset.adoption import revision_label
from aggregator.gameserverset.creations import UNSHOWN_SECONDS
from aggregator.gameserverset.facts import Facts, read_facts
from aggregator.gameserverset.namesakes import sort_namesakes
from aggregator.gameserverset.plan import Observed, Plan, plan
from aggregator.gameserverset.returning import Returning, look_again, without
from aggregator.gameserverset.roster import Roster
from aggregator.kube.controller import Result
from aggregator.kube.resources import ObjectKey
from shared.api import names
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.caches import Caches
    from aggregator.gameserverset.apply import Applier
    from aggregator.gameserverset.failures import Failure
    from aggregator.gameserverset.revision import Template
    from aggregator.kube.expectations import Expectations
    from shared.api.gameserverset import GameServerSet

# A set of a thousand servers changes all the time; its status is written at most this often.
STATUS_INTERVAL_SECONDS = 1.0
# Sets up to about a thousand servers are looked at without a rest.
NOTABLE_SECONDS = 0.005
REST_FACTOR = 10.0
MOST_REST_SECONDS = 1.0


@dataclass(slots=True)
class _Memory:
    """What is remembered of one set; nothing that could not be lost.

    Attributes:
        facts: what its spec means, and of which generation and collision that was read.
        failures: pods that ended, by id.
        returning: ids whose servers are to come back.
        status_written_at: in seconds of the monotonic clock.
        rests_until: in seconds of the monotonic clock.
    """

    roster: Roster = field(default_factory=Roster)
    facts: tuple[tuple[str, int, int | None], Facts] | None = None
    failures: Mapping[int, Failure] = field(default_factory=dict)
    returning: Returning = field(default_factory=Returning)
    status_written_at: float = -STATUS_INTERVAL_SECONDS
    rests_until: float = 0.0


class GameServerSetReconciler:
    """Makes exactly the right servers exist, and says in the status what was observed."""

    def __init__(self, caches: Caches, applier: Applier, expectations: Expectations) -> None:
        self._caches = caches
        self._applier = applier
        self._expectations = expectations
        self._memories: dict[ObjectKey, _Memory] = {}

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring one set closer to its spec."""
        owner = self._caches.sets.get(key)
        if owner is None:
            self._expectations.forget(key)
            self._applier.forget(key)
            self._memories.pop(key, None)
            return Result()
        if owner.metadata.deletion_timestamp is not None:
            # Owner references take the servers; a controller that went on would fight them.
            return Result()
        if not self._expectations.satisfied(key, monotonic_seconds()):
            # The event that shows our own writes adds the key again, if there will be one.
            await self._applier.creations.forget_vanished(key)
            settled = self._expectations.satisfied(key, monotonic_seconds())
            return Result(0.0 if settled else UNSHOWN_SECONDS)
        if self._applier.sets.is_stale(owner):
            return Result()
        memory = self._memories.setdefault(key, _Memory())
        started = monotonic_seconds()
        if memory.rests_until > started:
            return Result(memory.rests_until - started)
        observed = self._observe(key, owner, memory)
        _rest(memory, started)
        if not await self._applier.own_patches_are_shown(observed):
            return Result(STATUS_INTERVAL_SECONDS)
        return await self._bring_closer(key, observed, memory)

    async def _bring_closer(self, key: ObjectKey, observed: Observed, memory: _Memory) -> Result:
        failures: list[AppError] = []
        paused = observed.owner.metadata.annotations.get(names.PAUSED_ANNOTATION) == "true"
        if not paused:
            observed = await self._look_up(key, observed, failures)
        started = monotonic_seconds()
        decision = plan(observed)
        _rest(memory, started)
        memory.failures = decision.replacements.failures
        claimed = (claim.server.id for claim in decision.scale.claims)
        memory.returning = without(memory.returning, claimed)
        if decision.complete:
            memory.returning = replace(memory.returning, ids=frozenset())
        failures += await self._applier.apply(observed, decision) if not paused else []
        refusal = self._applier.creations.refusal(key)
        if refusal != observed.refusal:
            # What was just refused belongs into the status now, not after the next change.
            decision = replace(decision, status=plan(replace(observed, refusal=refusal)).status)
        wait = await self._write_status(observed.owner, decision, memory, failures)
        if failures:
            raise failures[0]
        due = decision.requeue_after
        waits = [
            wait,
            due.total_seconds() if due is not None else None,
            self._applier.creations.retry_seconds(key),
        ]
        return Result(
            min((each for each in waits if each is not None), default=None),
            decision.describe(),
        )

    def _observe(self, key: ObjectKey, owner: GameServerSet, memory: _Memory) -> Observed:
        # By name and not by label: a label that a person removed must not hide a server.
        servers, now = self._caches.servers, utc_now()
        pairs = [
            (pod, servers.get(ObjectKey(key.namespace, pod.metadata.name)))
            for pod in self._caches.pods_of(owner)
        ]
        present = memory.roster.call(owner, pairs, now)
        memory.returning = look_again(memory.returning, present.servers)
        return Observed(
            owner=owner,
            facts=self._facts(owner, memory),
            present=present,
            now=now,
            namesakes=sort_namesakes(owner, self._caches.namesakes_of(owner)),
            failures=memory.failures,
            refusal=self._applier.creations.refusal(key),
            returning=memory.returning.ids,
        )

    async def _look_up(
        self, key: ObjectKey, observed: Observed, failures: list[AppError]
    ) -> Observed:
        """Return the observation with what only the API server knows, as far as it answers."""
        templates: Mapping[str, Template] | None = None
        in_use = {server.revision for server in observed.present.servers}
        in_use |= {revision_label(pod) for pod in observed.namesakes.orphans}
        try:
            templates = await self._applier.history.sync(observed.owner, in_use)
            taken = await self._applier.creations.taken(key)
        except AppError as error:
            failures.append(error)
            return replace(observed, templates=templates)
        namesakes = replace(observed.namesakes, taken=observed.namesakes.taken | taken)
        return replace(observed, templates=templates, namesakes=namesakes)

    def _facts(self, owner: GameServerSet, memory: _Memory) -> Facts:
        metadata = owner.metadata
        version = (metadata.uid, metadata.generation, owner.status.collision_count)
        if memory.facts is None or memory.facts[0] != version:
            memory.facts = (version, read_facts(owner))
        return memory.facts[1]

    async def _write_status(
        self, owner: GameServerSet, decision: Plan, memory: _Memory, failures: list[AppError]
    ) -> float | None:
        """Write a changed status, at most once a second; return when to come back for it."""
        if decision.status == owner.status or self._applier.sets.is_stale(owner):
            # After a write of our own to this set the next run says what was observed.
            return None
        now = monotonic_seconds()
        wait = memory.status_written_at - now + STATUS_INTERVAL_SECONDS
        if wait > 0:
            return wait
        try:
            await self._applier.sets.write_status(owner, decision.status)
        except AppError as error:
            failures.append(error)
            return None
        memory.status_written_at = monotonic_seconds()
        return None


def _rest(memory: _Memory, started: float) -> None:
    """Have the set rest for what has just been done since `started`."""
    now = monotonic_seconds()
    if now - started < NOTABLE_SECONDS:
        return
    rest = min(MOST_REST_SECONDS, REST_FACTOR * (now - started))
    memory.rests_until = max(memory.rests_until, now) + rest
