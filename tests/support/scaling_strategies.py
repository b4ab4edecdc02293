"""Sets, policies and pasts for the autoscaler's properties, as hypothesis looks for them.

The same values as those of the seeded generator (tests/support/random_scaling.py), but made of
strategies, so that what fails is shrunk to what matters.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from aggregator.scaling.policy import (
    History,
    Policy,
    RatePolicy,
    Sample,
    ScalingRules,
    ServerView,
    Snapshot,
)
from tests.support.random_scaling import (
    AMOUNTS,
    FREE,
    MOMENTS,
    MOST_SERVERS,
    OPS_STATES,
    STATES,
    SUPPLY,
    Situation,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def _seconds(*values: int) -> st.SearchStrategy[timedelta]:
    return st.sampled_from([timedelta(seconds=value) for value in values])


def _numbered(servers: Iterable[ServerView]) -> tuple[ServerView, ...]:
    return tuple(replace(server, id=number) for number, server in enumerate(servers))


# One choice for five fields: each choice of a strategy costs more than the pass that is tested.
_ALIKE = [
    ServerView(0, ops_state, state, leaving=leaving, unaccounted=unaccounted, stale=stale)
    for leaving, unaccounted, stale, state, ops_state in product(
        (False, True),
        (False, True),
        (False, True),
        dict.fromkeys(STATES),
        dict.fromkeys(OPS_STATES),
    )
]
SERVERS = st.lists(
    st.builds(
        lambda server, since, priority: replace(
            server, marked_since=since, deletion_priority=priority
        ),
        st.sampled_from(_ALIKE),
        st.sampled_from([None, *MOMENTS]),
        st.integers(-1, 1),
    ),
    max_size=MOST_SERVERS,
).map(_numbered)

_SAMPLES = st.lists(st.builds(Sample, st.integers(0, 4), st.sampled_from(MOMENTS)), max_size=3).map(
    lambda samples: tuple(sorted(samples, key=lambda each: each.at))
)
_RULES = st.builds(
    ScalingRules,
    policies=st.lists(
        st.builds(
            RatePolicy,
            st.sampled_from(["Pods", "Percent"]),
            st.sampled_from([1, 2, 10, 100]),
            _seconds(15, 60),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
    window=_seconds(0, 30),
    select=st.sampled_from(["Max", "Min", "Disabled"]),
)


def _in_order(policy: Policy) -> Policy:
    """The policy with counts and replicas that a user could have written together."""
    low, high = policy.min_available, policy.max_available
    if isinstance(low, int) and isinstance(high, int):
        low, high = min(low, high), max(low, high)
    most = policy.min_replicas + policy.max_replicas
    return replace(policy, min_available=low, max_available=high, max_replicas=most)


def _policies(**limits: Any) -> st.SearchStrategy[Policy]:
    return st.builds(
        Policy,
        min_replicas=st.sampled_from([0, 1, 4]),
        max_replicas=st.sampled_from([0, 2, 8, 100]),
        min_available=st.sampled_from(AMOUNTS),
        min_available_floor=st.sampled_from([0, 2]),
        max_available=st.sampled_from(AMOUNTS),
        supply_ops_states=st.sampled_from(SUPPLY),
        **limits,
    ).map(_in_order)


def _situations(
    policies: st.SearchStrategy[Policy],
    histories: st.SearchStrategy[History],
    observed: st.SearchStrategy[bool],
) -> st.SearchStrategy[Situation]:
    return st.builds(
        lambda servers, surplus, seen, policy, history: Situation(
            Snapshot(max(0, len(servers) + surplus), servers, seen), policy, history
        ),
        SERVERS,
        st.sampled_from([0, -3, -1, 1, 4]),
        observed,
        policies,
        histories,
    )


SITUATIONS = _situations(
    _policies(scale_up=_RULES, scale_down=_RULES, wait_to_be_deleted=_seconds(0, 30, 60)),
    st.builds(History, _SAMPLES, _SAMPLES, _SAMPLES, _SAMPLES),
    st.booleans(),
)
WITHOUT_LIMITS = _situations(
    _policies(scale_up=st.just(FREE), scale_down=st.just(FREE)),
    st.just(History()),
    st.just(True),
)
