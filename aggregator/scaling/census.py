"""Which class each server belongs to, and how many there are of each. Pure and exact.

Classes are taken from the GameServer objects, never from totals in a status or label mirrors,
because those lag behind. The first class that fits counts:

| class | who | counts as |
| --- | --- | --- |
| Leaving | terminates, waits for its preDelete hook, or is claimed | nothing |
| Kill | opsState Kill | nothing |
| Marked | opsState WaitToBeDeleted | to be removed, after its own dwell |
| IdleReady | opsState in supplyOpsStates, or still empty; Ready | supply |
| IdleBooting | the same, in any other state, for however long | supply |
| InUse | all others: Allocated, Maintaining, custom, a stale mark | never removed, no supply |

Booting has no time limit: servers that crash or wait for a quota are not asked for again.
*missing* servers, asked for and not created yet, are supply too.

Where WaitToBeDeleted is itself a supply opsState, the set's probe marks every empty server. Then a
marked server is IdleReady, one without opsState or with None and not yet Ready is IdleBooting, and
None and Ready means that players are inside: InUse.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from aggregator.scaling.policy import Policy, ServerView, Snapshot

_LEAVING_STATES = frozenset({names.STATE_DELETING, names.STATE_PRE_DELETE})


class ServerClass(StrEnum):
    """What a server is to the autoscaler."""

    LEAVING = "Leaving"
    KILL = "Kill"
    MARKED = "Marked"
    IDLE_READY = "IdleReady"
    IDLE_BOOTING = "IdleBooting"
    IN_USE = "InUse"


def class_of(server: ServerView, policy: Policy) -> ServerClass:
    """Return the class of a server."""
    if server.leaving or server.state in _LEAVING_STATES:
        return ServerClass.LEAVING
    ops_state = server.ops_state
    if ops_state == names.OPS_STATE_KILL:
        return ServerClass.KILL
    if policy.marks_idle:
        return _class_among_marked(server, policy)
    if ops_state == names.OPS_STATE_WAIT_TO_BE_DELETED:
        return ServerClass.IN_USE if server.stale else ServerClass.MARKED
    if ops_state == "" or ops_state in policy.supply_ops_states:
        return _idle(server)
    return ServerClass.IN_USE


def _class_among_marked(server: ServerView, policy: Policy) -> ServerClass:
    """Return the class of a server of a set whose probe marks every empty server."""
    ops_state = server.ops_state
    if ops_state == names.OPS_STATE_WAIT_TO_BE_DELETED:
        # Its probe saw it empty: it runs, whatever the Ready condition says at this moment.
        return ServerClass.IN_USE if server.stale else ServerClass.IDLE_READY
    if ops_state == "":
        return ServerClass.IDLE_BOOTING
    if ops_state == names.OPS_STATE_NONE:
        booting = server.state != names.STATE_READY
        return ServerClass.IDLE_BOOTING if booting else ServerClass.IN_USE
    return _idle(server) if ops_state in policy.supply_ops_states else ServerClass.IN_USE


def _idle(server: ServerView) -> ServerClass:
    ready = server.state == names.STATE_READY
    return ServerClass.IDLE_READY if ready else ServerClass.IDLE_BOOTING


@dataclass(frozen=True, slots=True)
class Census:
    """The servers of a set by class, and the numbers that follow. Names as in the formulas.

    Attributes:
        spec: spec.replicas.
        leaving: number of servers that leave.
        kill: K, servers that will lower spec.replicas by themselves and have not yet.
        present: n, servers that neither leave nor are to be killed.
        expected: E, servers that there will be if nothing is done.
        missing: of those, not created yet.
        marked: number of servers that are to be removed; none where a mark means idle.
        ripe: marked, by whatever class, and for long enough.
        dwelling: marked, by whatever class, and not for long enough.
        ready: idle and Ready.
        booting: idle and not Ready yet.
        in_use: number of all others.
        settled: everything is known and nobody else shrinks the set.
    """

    spec: int
    leaving: int
    kill: int
    present: int
    expected: int
    missing: int
    marked: int
    ripe: tuple[ServerView, ...]
    dwelling: tuple[ServerView, ...]
    ready: tuple[ServerView, ...]
    booting: tuple[ServerView, ...]
    in_use: int
    settled: bool

    @property
    def idle(self) -> int:
        """Supply: servers that players can join now or soon."""
        return len(self.ready) + len(self.booting) + self.missing

    @property
    def base(self) -> int:
        """B: of how many servers a share is taken."""
        return self.expected - self.marked


def take_census(snapshot: Snapshot, policy: Policy, now: datetime) -> Census:
    """Return the servers by class. Costs one look at each server."""
    by_class = _by_class(snapshot, policy)
    leaving = by_class[ServerClass.LEAVING]
    killed = by_class[ServerClass.KILL]
    present = len(snapshot.servers) - len(leaving) - len(killed)
    spec = snapshot.spec_replicas
    kill = len(killed) + sum(server.unaccounted for server in leaving)
    # A Kill lowers replicas by one, but not below the servers that are there: a scale-down that is
    # already decided covers it.
    expected = spec - min(max(spec - present, 0), kill)
    marked = by_class[ServerClass.MARKED]
    removable = by_class[ServerClass.IDLE_READY] if policy.marks_idle else marked
    ripe, dwelling = _by_dwell(removable, now - policy.wait_to_be_deleted)
    return Census(
        spec=spec,
        leaving=len(leaving),
        kill=kill,
        present=present,
        expected=expected,
        missing=max(0, expected - present),
        marked=len(marked),
        ripe=ripe,
        dwelling=dwelling,
        ready=tuple(by_class[ServerClass.IDLE_READY]),
        booting=tuple(by_class[ServerClass.IDLE_BOOTING]),
        in_use=len(by_class[ServerClass.IN_USE]),
        settled=snapshot.observed and expected >= present,
    )


def _by_class(snapshot: Snapshot, policy: Policy) -> dict[ServerClass, list[ServerView]]:
    by_class: dict[ServerClass, list[ServerView]] = {each: [] for each in ServerClass}
    # The class follows from four fields with few values: thousands of servers are a few kinds.
    kinds: dict[tuple[str, str, bool, bool], list[ServerView]] = {}
    for server in snapshot.servers:
        kind = (server.ops_state, server.state, server.leaving, server.stale)
        alike = kinds.get(kind)
        if alike is None:
            alike = kinds[kind] = by_class[class_of(server, policy)]
        alike.append(server)
    return by_class


def _by_dwell(
    servers: Iterable[ServerView], ripe_since: datetime
) -> tuple[tuple[ServerView, ...], tuple[ServerView, ...]]:
    """Return the marked servers that are ripe, and those that are not yet."""
    ripe: list[ServerView] = []
    dwelling: list[ServerView] = []
    for server in servers:
        if server.ops_state == names.OPS_STATE_WAIT_TO_BE_DELETED:
            since = server.marked_since
            (ripe if since is None or since <= ripe_since else dwelling).append(server)
    return tuple(ripe), tuple(dwelling)
