"""Snapshots for the autoscaler's tests in a few words, and a set that lives by its decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from aggregator.scaling.census import ServerClass, class_of
from aggregator.scaling.policy import (
    History,
    Policy,
    RatePolicy,
    Sample,
    ScalingRules,
    ServerView,
    Snapshot,
)
from aggregator.scaling.quantity import Amount, parse_amount

if TYPE_CHECKING:
    from aggregator.scaling.evaluate import Decision

START = datetime(2026, 1, 1, tzinfo=UTC)
MARKED = "WaitToBeDeleted"


def at(seconds: float) -> datetime:
    """A moment, in seconds of the test."""
    return START + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Group:
    """Servers that are alike. `since` in seconds; None for long ago."""

    count: int
    ops_state: str = "None"
    state: str = "Ready"
    since: float | None = None
    priority: int = 0
    leaving: bool = False
    unaccounted: bool = False
    stale: bool = False


def servers(*groups: Group) -> tuple[ServerView, ...]:
    """The servers of the groups, with ids in their order."""
    result: list[ServerView] = []
    for group in groups:
        result += [
            ServerView(
                id=len(result) + number,
                ops_state=group.ops_state,
                state=group.state,
                marked_since=None if group.since is None else at(group.since),
                deletion_priority=group.priority,
                leaving=group.leaving,
                unaccounted=group.unaccounted,
                stale=group.stale,
            )
            for number in range(group.count)
        ]
    return tuple(result)


def snapshot(*groups: Group, spec: int | None = None, observed: bool = True) -> Snapshot:
    """A set; `spec` is by default the number of servers that do not leave."""
    views = servers(*groups)
    present = sum(not view.leaving for view in views)
    return Snapshot(present if spec is None else spec, views, observed)


def amount(raw: int | str | None) -> Amount | None:
    return None if raw is None else parse_amount(raw, "amount")


def policy(
    *,
    least: int = 0,
    most: int = 100,
    min_available: int | str | None = None,
    max_available: int | str | None = None,
    floor: int = 0,
    supply: tuple[str, ...] = ("None",),
    dwell: int = 0,
    **rules: ScalingRules,
) -> Policy:
    """A policy without limits but those that are given; times in seconds."""
    return Policy(
        least,
        most,
        amount(min_available),
        floor,
        amount(max_available),
        frozenset(supply),
        wait_to_be_deleted=timedelta(seconds=dwell),
        **rules,
    )


def rules(*policies: tuple[Any, int, int], window: int = 0, select: Any = "Max") -> ScalingRules:
    """Rules from (type, value, period in seconds); without any there is no limit."""
    listed = policies or (("Pods", 1_000_000, 15),)
    return ScalingRules(
        tuple(
            RatePolicy(type_, value, timedelta(seconds=period)) for type_, value, period in listed
        ),
        timedelta(seconds=window),
        select,
    )


def history(**samples: list[tuple[int, float]]) -> History:
    """A history from (value, second)."""
    return History(
        **{name: tuple(Sample(value, at(s)) for value, s in made) for name, made in samples.items()}
    )


def apply(snapshot: Snapshot, policy: Policy, decision: Decision) -> Snapshot:
    """The set after a decision was carried out and everybody has started: a whole round later."""
    empty = MARKED if policy.marks_idle else "None"
    gone = {server.id for server in decision.victims}
    stayed = [
        _started(server, empty)
        for server in snapshot.servers
        if server.id not in gone and class_of(server, policy) not in _GOING
    ]
    taken = {server.id for server in stayed}
    free = (id_ for id_ in count() if id_ not in taken)
    born = max(0, decision.desired - len(stayed))
    fresh = [ServerView(next(free), empty, "Ready") for _ in range(born)]
    return Snapshot(decision.desired, (*stayed, *fresh))


_GOING = frozenset({ServerClass.LEAVING, ServerClass.KILL})


def _started(server: ServerView, empty: str) -> ServerView:
    boots = server.state != "Ready" and server.ops_state == "None"
    ops_state = empty if boots or not server.ops_state else server.ops_state
    return replace(server, state="Ready", ops_state=ops_state)
