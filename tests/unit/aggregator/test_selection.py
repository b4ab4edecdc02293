"""Who goes first (SPEC 6.4)."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.selection import (
    Priority,
    deletion_order,
    meant_ops_state,
    parse_priority,
    victims,
)


@dataclass(frozen=True)
class Candidate:
    id: int
    ops_state: str = "None"
    deletion_priority: int = 0


ORDER = [
    Candidate(0, "Kill"),
    Candidate(1, "WaitToBeDeleted", 2),
    Candidate(9, "WaitToBeDeleted", 1),
    Candidate(2, "None", 10),
    Candidate(3, "Custom", 9),
    Candidate(8, "", 0),
    Candidate(7, "None", 0),
    Candidate(4, "None", -1),
    Candidate(5, "Allocated", 99),
    Candidate(10, "Maintaining", 1),
    Candidate(6, "Maintaining", 0),
]


@given(st.permutations(ORDER))
def test_the_order_is_the_seeds_whatever_the_order_of_arrival(candidates):
    assert victims(candidates, len(ORDER)) == ORDER


@pytest.mark.parametrize(("count", "chosen"), [(-1, 0), (0, 0), (1, 1), (5, 5), (99, 11)])
def test_victims_are_the_first_of_the_order(count, chosen):
    assert victims(reversed(ORDER), count) == ORDER[:chosen]


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.integers(0, 50),
        st.sampled_from(["None", "", "Custom", "WaitToBeDeleted", "Allocated", "Maintaining"]),
        st.integers(-5, 5),
    ),
    unique_by=lambda candidate: candidate.id,
    max_size=12,
)


@given(CANDIDATES, st.integers(0, 12))
def test_nobody_who_stays_comes_before_somebody_who_goes(candidates, count):
    before = list(candidates)
    chosen = victims(candidates, count)
    rest = [candidate for candidate in candidates if candidate not in chosen]
    assert len(chosen) == min(count, len(candidates))
    assert all(deletion_order(one) < deletion_order(other) for one in chosen for other in rest)
    assert candidates == before


@given(CANDIDATES)
def test_the_order_is_total(candidates):
    assert len({deletion_order(candidate) for candidate in candidates}) == len(candidates)


@pytest.mark.parametrize(
    ("raw", "value", "valid"),
    [
        (None, 0, True),
        (0, 0, True),
        ("10", 10, True),
        ("9", 9, True),
        ("-0", 0, True),
        ("007", 7, True),
        (2_147_483_647, 2_147_483_647, True),
        ("-2147483648", -2_147_483_648, True),
        (2_147_483_648, 0, False),
        ("-2147483649", 0, False),
        ("99999999999", 0, False),
        ("", 0, False),
        ("+1", 0, False),
        (" 1", 0, False),
        ("1_0", 0, False),
        ("\u0661", 0, False),
        ("1.5", 0, False),
        ("many", 0, False),
    ],
)
def test_priorities_are_integers_of_32_bits(raw, value, valid):
    assert parse_priority(raw) == Priority(value, valid=valid)


@pytest.mark.parametrize(
    ("ops_state", "meant"),
    [
        ("allocated", "Allocated"),
        ("waitToBeDeleted", "WaitToBeDeleted"),
        ("KILL", "Kill"),
        ("none", "None"),
        ("mAINTAINING", "Maintaining"),
        ("Allocated", None),
        ("Kill", None),
        ("GateMaintaining", None),
        ("", None),
    ],
)
def test_a_state_of_other_letter_case_is_recognised(ops_state, meant):
    assert meant_ops_state(ops_state) == meant
