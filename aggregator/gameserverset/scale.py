"""Which servers should exist (SPEC 6.2 to 6.5). Pure.

The theory: decide in sets of (id, pod uid), never in counts and holes. A server is *live* when
its pod exists and is not terminating; *going* when it is claimed; *condemned* when its id is
reserved or its opsState is Kill; *wanted* when it is live and neither going nor condemned. There
must be exactly `replicas` wanted servers, after the deletions that lower it are accounted:

- condemned servers are claimed whatever else there is; a Kill names its server, so it comes first
  and counts as a Kill even when the id is reserved, too;
- too many: the first in the deletion order are claimed; nobody else dies, whatever terminates
  meanwhile;
- too few: the smallest ids that are neither wanted nor reserved are missing, after those whose
  servers were never unwanted. A missing id whose
  former pod is still there is waited for; no other id is taken in its place, so that after 5 -> 3
  -> 5 the same ids return. If that former pod only waits for its preDelete hook, its scale-down is
  taken back.

Deleting is claim, account, then delete: a claim that is already written is carried out whatever
happened since, and what it costs is written into the spec before its pod is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aggregator.gameserverset.accounting import (
    LOWERS_REPLICAS,
    MAX_ACCOUNTED,
    Accounting,
    Strategy,
    lowered,
    needs_accounting,
    plan_accounting,
)
from aggregator.selection import victims
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aggregator.gameserverset.ids import IdSet
    from aggregator.gameserverset.server import Server
    from shared.api.gameserver import DeletionReason

# Ids that one plan creates or waits for; more come with the next. A slip of the finger that asks
# for two billion servers must not hold up every other set while their ids are counted.
MAX_MISSING = 10_000


# A log line has room for a few of each kind.
_DESCRIBED = 10


@dataclass(frozen=True, slots=True)
class ScaleRules:
    """What else the set says about its size.

    Attributes:
        strategy: ReserveIds puts the ids of victims into the reserve list.
        accounted: uids of pods whose deletion the spec already counts.
        protects_allocated: Allocated servers are never chosen by a scale-down.
        max_unavailable: servers that may be not available while the set grows, None for any.
        former: ids whose pod belongs to a set of this name that is gone, and is going, too.
        taken: ids whose pod belongs to somebody else.
        returning: ids that are made again before smaller ones: their servers were never unwanted.
    """

    strategy: Strategy = "General"
    accounted: frozenset[str] = frozenset()
    protects_allocated: bool = False
    max_unavailable: int | None = None
    former: frozenset[int] = frozenset()
    taken: frozenset[int] = frozenset()
    returning: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Claim:
    """A server chosen for deletion by this plan."""

    server: Server
    reason: DeletionReason


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """What to do so that exactly the right servers exist, in this order.

    Attributes:
        releases: servers whose scale-down is taken back.
        claims: servers to claim, in order.
        accounting: the patch of the spec that those claims, and older ones, cost.
        deletions: servers whose claim is written and accounted and whose pod can be deleted.
        creations: ids to create, ascending.
        waiting_for: ids that are missing but whose former pod is still there.
        taken: ids that are missing but whose name belongs to somebody else's pod.
        deferred: number of missing ids that wait until servers become available.
        blocked: number of servers too many that are protected.
    """

    releases: tuple[Server, ...] = ()
    claims: tuple[Claim, ...] = ()
    accounting: Accounting | None = None
    deletions: tuple[Server, ...] = ()
    creations: tuple[int, ...] = ()
    waiting_for: tuple[int, ...] = ()
    taken: tuple[int, ...] = ()
    deferred: int = 0
    blocked: int = 0

    def describe(self) -> tuple[str, ...]:
        """Return what the plan does in a few words, for the log line of the run."""
        words = [f"release {server.id}" for server in self.releases[:_DESCRIBED]]
        words += [f"claim {claim.server.id} ({claim.reason})" for claim in self.claims[:_DESCRIBED]]
        words += [f"delete {server.id}" for server in self.deletions[:_DESCRIBED]]
        words += [f"create {id_}" for id_ in self.creations[:_DESCRIBED]]
        doings = (self.releases, self.claims, self.deletions, self.creations)
        left_out = sum(map(len, doings)) - len(words)
        if self.accounting is not None:
            words.append(f"replicas {self.accounting.replicas}")
        return (*words, f"and {left_out} more") if left_out else tuple(words)


@dataclass(slots=True)
class _Sorted:
    """The servers by what becomes of them; terminating ones only where they are claimed."""

    wanted: list[Server] = field(default_factory=list)
    claimed: list[Server] = field(default_factory=list)
    killed: list[Server] = field(default_factory=list)
    condemned: list[Server] = field(default_factory=list)


def plan_scale(
    servers: Sequence[Server], replicas: int, reserved: IdSet, rules: ScaleRules | None = None
) -> ScalePlan:
    """Return the plan that leads to exactly the right servers.

    Args:
        servers: every pod of the set, terminating ones included; ids are unique.
        replicas: spec.replicas.
        reserved: the ids of spec.reserveGameServerIds.
        rules: what else the set says.
    """
    rules = rules or ScaleRules()
    found = _sort(servers, reserved)
    kills = len(found.killed) + sum(
        server.claimed in LOWERS_REPLICAS and server.pod_uid not in rules.accounted
        for server in found.claimed
    )
    target = lowered(replicas, len(found.wanted), kills)
    excess = len(found.wanted) - target
    chosen = _choose_victims(found.wanted, excess, rules)
    claims = [Claim(server, "Kill") for server in sorted(found.killed, key=_by_id)]
    claims += [Claim(server, "Reserved") for server in sorted(found.condemned, key=_by_id)]
    claims += [Claim(server, "ScaleDown") for server in chosen]

    due = _due(found.claimed, claims, rules)
    accounting = plan_accounting(
        due, replicas, len(found.wanted), MAX_ACCOUNTED - len(rules.accounted), rules.strategy
    )
    known = rules.accounted.union(accounting.pod_uids if accounting else ())
    # Ids that this plan, or the next, puts into the reserve list are not to be had any more.
    unusable = reserved
    if rules.strategy == "ReserveIds":
        unusable = reserved.with_ids(server.id for server, _ in due)
    missing = _plan_missing(servers, found.wanted, target, unusable, rules)
    released = {server.pod_uid for server in missing.releases}
    deletions = [
        server
        for server in found.claimed
        if not server.terminating
        and not server.held
        and server.pod_uid not in released
        and (server.pod_uid in known or not needs_accounting(server.claimed, rules.strategy))
    ]
    return replace(
        missing,
        claims=tuple(claims),
        accounting=accounting,
        deletions=tuple(sorted(deletions, key=_by_id)),
        blocked=max(0, excess - len(chosen)),
    )


def _sort(servers: Sequence[Server], reserved: IdSet) -> _Sorted:
    found = _Sorted()
    for server in servers:
        if server.claimed is not None:
            found.claimed.append(server)
        elif server.terminating:
            continue
        elif server.ops_state == names.OPS_STATE_KILL:
            found.killed.append(server)
        elif server.id in reserved:
            found.condemned.append(server)
        else:
            found.wanted.append(server)
    return found


def _choose_victims(wanted: Sequence[Server], excess: int, rules: ScaleRules) -> list[Server]:
    if excess <= 0:
        return []
    if rules.protects_allocated:
        wanted = [each for each in wanted if each.ops_state != names.OPS_STATE_ALLOCATED]
    return victims(wanted, excess)


def _due(
    claimed: Sequence[Server], claims: Sequence[Claim], rules: ScaleRules
) -> list[tuple[Server, DeletionReason]]:
    """Return the claims, those of this plan included, that the spec does not count yet."""
    due = [
        (server, server.claimed)
        for server in claimed
        if server.claimed is not None and server.pod_uid not in rules.accounted
    ]
    due += [(claim.server, claim.reason) for claim in claims]
    return [pair for pair in due if needs_accounting(pair[1], rules.strategy)]


def _plan_missing(
    servers: Sequence[Server],
    wanted: Sequence[Server],
    target: int,
    unusable: IdSet,
    rules: ScaleRules,
) -> ScalePlan:
    """Return what to do about the ids that are missing."""
    if target <= len(wanted):
        return ScalePlan()
    count = min(target - len(wanted), MAX_MISSING)
    kept = {server.id for server in wanted}
    back = sorted(id_ for id_ in rules.returning if id_ not in kept and id_ not in unusable)[:count]
    others = unusable.smallest_outside(count - len(back), kept.union(back))
    present = {server.id: server for server in servers}
    releases, creations, waiting_for, taken = [], [], [], []
    for id_ in sorted((*back, *others)):
        former = present.get(id_)
        if former is not None and former.claimed == "ScaleDown" and _still_serves(former):
            releases.append(former)
        elif former is not None or id_ in rules.former:
            waiting_for.append(id_)
        elif id_ in rules.taken:
            taken.append(id_)
        else:
            creations.append(id_)
    room = len(creations)
    if rules.max_unavailable is not None:
        unavailable = sum(not server.available for server in wanted)
        room = max(0, rules.max_unavailable - unavailable)
    return ScalePlan(
        releases=tuple(releases),
        creations=tuple(creations[:room]),
        waiting_for=tuple(waiting_for),
        taken=tuple(taken),
        deferred=len(creations[room:]),
    )


def _still_serves(server: Server) -> bool:
    """Tell whether a claimed server only waits for its hook, and nobody wants it dead besides."""
    alive = server.held and not server.terminating
    return alive and server.ops_state != names.OPS_STATE_KILL


def _by_id(server: Server) -> int:
    return server.id
