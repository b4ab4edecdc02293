"""Random sets and policies for the autoscaler's properties, from a seeded generator.

Small sets with few values find more than large ones: every class, bound and tie comes up often.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import cache
from random import Random

from aggregator.scaling.policy import (
    History,
    Policy,
    RatePolicy,
    Sample,
    ScalingRules,
    ServerView,
    Snapshot,
)
from tests.support.scaling import MARKED, at

NOW = 1000
MOST_SERVERS = 12
# Different servers of each id, and pasts; ten times as many policies.
_KINDS = 300
OPS_STATES = (
    "None",
    "None",
    "None",
    MARKED,
    MARKED,
    "Allocated",
    "Maintaining",
    "Custom",
    "Kill",
    "",
)
STATES = ("Ready", "Ready", "Ready", "NotReady", "Creating", "Deleting", "PreDelete", "Crash")
SUPPLY = (
    frozenset({"None"}),
    frozenset({"None"}),
    frozenset({"None", "Custom"}),
    frozenset({MARKED}),
    frozenset({MARKED, "Custom"}),
)
AMOUNTS = (None, 0, 1, 2, 3, 7, Fraction(1, 5), Fraction(1, 3), Fraction(1, 2), Fraction(9, 10))
MOMENTS = tuple(at(second) for second in range(900, NOW + 1, 10))


@dataclass(frozen=True)
class Situation:
    """Everything that one pass looks at."""

    snapshot: Snapshot
    policy: Policy
    history: History


def random_situation(random: Random, *, limits: bool = True) -> Situation:
    """A set, a policy that a user could have written, and a past; without limits if asked for."""
    servers = tuple(map(random.choice, _servers()[: random.randrange(MOST_SERVERS + 1)]))
    spec = max(0, len(servers) + random.choice((-3, -1, 0, 0, 0, 0, 1, 4)))
    observed = not limits or random.random() < 0.9
    return Situation(
        Snapshot(spec, servers, observed),
        random.choice(_policies(limits)),
        random.choice(_histories()) if limits else History(),
    )


# A hundred thousand situations made one by one would take longer than what is tested: their parts
# come from a stock, and each takes its own.


@cache
def _servers() -> tuple[tuple[ServerView, ...], ...]:
    return tuple(
        tuple(_server(Random(id_ * _KINDS + kind), id_) for kind in range(_KINDS))
        for id_ in range(MOST_SERVERS)
    )


@cache
def _policies(limits: bool) -> tuple[Policy, ...]:
    return tuple(_policy(Random(kind), limits) for kind in range(_KINDS * 10))


@cache
def _histories() -> tuple[History, ...]:
    randoms = (Random(kind) for kind in range(_KINDS))
    return tuple(History(*(_samples(random) for _ in range(4))) for random in randoms)


def _server(random: Random, id_: int) -> ServerView:
    ops_state = random.choice(OPS_STATES)
    leaving = random.random() < 0.1
    return ServerView(
        id=id_,
        ops_state=ops_state,
        state=random.choice(STATES),
        marked_since=random.choice((None, *MOMENTS)) if ops_state == MARKED else None,
        deletion_priority=random.choice((0, 0, 1, -1)),
        leaving=leaving,
        unaccounted=leaving and random.random() < 0.5,
        stale=random.random() < 0.1,
    )


def _policy(random: Random, limits: bool) -> Policy:
    least = random.choice((0, 0, 1, 4))
    most = least + random.choice((0, 2, 8, 100))
    low, high = random.choice(AMOUNTS), random.choice(AMOUNTS)
    if isinstance(low, int) and isinstance(high, int):
        low, high = min(low, high), max(low, high)
    return Policy(
        min_replicas=least,
        max_replicas=most,
        min_available=low,
        min_available_floor=random.choice((0, 0, 0, 2)),
        max_available=high,
        supply_ops_states=random.choice(SUPPLY),
        scale_up=_rules(random) if limits else FREE,
        scale_down=_rules(random) if limits else FREE,
        wait_to_be_deleted=timedelta(seconds=random.choice((0, 30, 60)) if limits else 0),
    )


FREE = ScalingRules((RatePolicy("Pods", 1000, timedelta(seconds=15)),))


def _rules(random: Random) -> ScalingRules:
    policies = tuple(
        RatePolicy(
            random.choice(("Pods", "Percent")),
            random.choice((1, 2, 10, 100)),
            timedelta(seconds=random.choice((15, 60))),
        )
        for _ in range(random.randrange(1, 3))
    )
    select = random.choice(("Max", "Max", "Min", "Disabled"))
    return ScalingRules(policies, timedelta(seconds=random.choice((0, 0, 30))), select)


def _samples(random: Random) -> tuple[Sample, ...]:
    moments = sorted(random.sample(MOMENTS, random.choice((0, 0, 1, 3))))
    return tuple(Sample(random.randrange(5), moment) for moment in moments)
