"""What one pass saw and decided, and what follows from that beside the decision itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from aggregator.autoscaler.explain import Explained
from aggregator.autoscaler.status import Outcome, describe, victims_of
from aggregator.scaling.census import ServerClass, class_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aggregator.autoscaler.memory import Memory
    from aggregator.pods import Pod
    from aggregator.scaling.evaluate import Decision
    from aggregator.scaling.policy import Policy, Snapshot
    from aggregator.scaling.schedule import Scheduled
    from shared.api.autoscaler import GameServerSetAutoscaler
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet

    Pairs = Mapping[str, tuple[Pod, GameServer | None]]
    """The pods that a set controls by uid, each with the GameServer of its name."""

# Nothing tells when an HPA appears, or that a clock has moved on.
INTERVAL = timedelta(seconds=15)
# Game servers that load maps for a minute or two are no alarm.
PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that one pass decided on, and its decision."""

    autoscaler: GameServerSetAutoscaler
    owner: GameServerSet
    pairs: Pairs
    snapshot: Snapshot
    scheduled: Scheduled
    decision: Decision
    now: datetime

    @property
    def change(self) -> int:
        """By how much spec.replicas is to be written larger (smaller, if negative)."""
        return self.decision.spec_replicas - self.owner.spec.replicas


def in_use(snapshot: Snapshot, policy: Policy) -> list[str]:
    """Return the pod uids of the servers that are in use."""
    servers = snapshot.servers
    return [each.pod_uid for each in servers if class_of(each, policy) is ServerClass.IN_USE]


def claimable(decision: Decision, pairs: Pairs) -> list[tuple[GameServer, str]]:
    """Return the victims that can be claimed: those with a GameServer, each with its pod's uid.

    One without has only just begun; it is looked at again when its GameServer is there.
    """
    found = ((pairs[victim.pod_uid][1], victim.pod_uid) for victim in decision.victims)
    return [(server, uid) for server, uid in found if server is not None]


def removed_for_their_mark(observed: Observed) -> list[str]:
    """Return the pod uids of those that go because they are marked, not for being too many."""
    if observed.scheduled.policy.marks_idle:
        return []
    return [server.pod_uid for server in observed.decision.census.ripe]


def wake_at(observed: Observed) -> datetime:
    """Return when to look again although nothing changes."""
    dues = (observed.decision.due, observed.scheduled.until, observed.now + INTERVAL)
    return min(due for due in dues if due is not None)


def overdue(observed: Observed, short_since: datetime | None) -> tuple[str, ...]:
    """Return the names of servers that should be ready by now, and how many are missing long.

    Args:
        observed: the pass.
        short_since: since when servers have been missing without a break; None for not.
    """
    limit = observed.now - PATIENCE
    census = observed.decision.census
    pods = [observed.pairs[server.pod_uid][0] for server in census.booting]
    late = [
        pod.metadata.name
        for pod in pods
        if (created := pod.metadata.creation_timestamp) is not None and created <= limit
    ]
    if short_since is not None and short_since <= limit:
        late.append(f"{census.missing} not created yet")
    return tuple(sorted(late))


def outcome_of(observed: Observed, memory: Memory) -> Outcome:
    """Return what the status tells of the pass; `memory` is that after acting."""
    decision = observed.decision
    return Outcome(
        decision,
        describe(decision),
        victims_of(observed.owner.metadata.name, decision),
        overdue(observed, memory.short_since),
        acted=memory.scaled_at == observed.now,
    )


def explained(observed: Observed) -> Explained:
    """Return what an explanation of the pass needs."""
    return Explained(
        observed.owner.metadata.name,
        observed.snapshot,
        observed.scheduled,
        observed.decision,
        observed.now,
        wake_at(observed),
    )
