"""Sets of ids as intervals (SPEC 6.3, 6.7)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.ids import (
    IdProblem,
    IdSet,
    parse_reserve_list,
    parse_server_id,
    server_name,
)
from shared.api.meta import INT32_MAX

UNIVERSE = range(30)
INTERVALS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 8)).map(lambda pair: (pair[0], sum(pair))),
    max_size=6,
)


def members(intervals: list[tuple[int, int]]) -> set[int]:
    return {id_ for start, end in intervals for id_ in range(start, end + 1)}


@given(INTERVALS)
def test_membership_agrees_with_a_plain_set(intervals):
    ids = IdSet.of(intervals)
    assert {id_ for id_ in UNIVERSE if id_ in ids} == members(intervals)


@given(st.permutations([(0, 3), (2, 5), (7, 7), (8, 9), (20, 30)]))
def test_the_normal_form_depends_on_the_members_only(intervals):
    assert IdSet.of(intervals) == IdSet(((0, 5), (7, 9), (20, 30)))


@given(INTERVALS)
def test_intervals_are_sorted_and_do_not_touch(intervals):
    found = IdSet.of(intervals).intervals
    assert all(start <= end for start, end in found)
    assert all(end + 1 < start for (_, end), (start, _) in pairwise(found))


@given(INTERVALS, st.sets(st.integers(0, 29)), st.integers(-1, 12))
def test_the_smallest_ids_outside_agree_with_a_plain_set(intervals, taken, count):
    free = sorted(set(range(200)) - members(intervals) - taken)
    assert IdSet.of(intervals).smallest_outside(count, taken) == free[: max(0, count)]


def test_a_range_of_two_billion_ids_is_one_interval_and_leaves_none():
    everything, problems = parse_reserve_list(["0-2147483647"])
    assert (everything, problems) == (IdSet(((0, INT32_MAX),)), ())
    assert 0 in everything
    assert INT32_MAX in everything
    assert everything.smallest_outside(5, set()) == []


def test_ids_end_at_the_largest():
    nearly_all, _ = parse_reserve_list([f"0-{INT32_MAX - 2}"])
    assert nearly_all.smallest_outside(5, {INT32_MAX - 1}) == [INT32_MAX]


@pytest.mark.parametrize(
    ("items", "intervals"),
    [
        pytest.param([], (), id="empty"),
        pytest.param([3, 4], ((3, 4),), id="ints"),
        pytest.param(["3-5"], ((3, 5),), id="range"),
        pytest.param(["3"], ((3, 3),), id="an int as a text"),
        pytest.param([3, "3-3", 3], ((3, 3),), id="duplicates are allowed"),
        pytest.param(["0-5", "4-9", 10], ((0, 10),), id="overlaps are allowed"),
        pytest.param(["007-9"], ((7, 9),), id="leading zeros"),
    ],
)
def test_reserve_lists(items, intervals):
    assert parse_reserve_list(items) == (IdSet(intervals), ())


@pytest.mark.parametrize(
    "item",
    ["5-3", "-1", -1, "1-", "-", "", "a", "1-2-3", "1 - 2", "\u0663", "2147483648", 2**31, "0-x"],
)
def test_one_bad_item_is_named_and_empties_nothing(item):
    problem = IdProblem(1, f'{item!r} is neither an id nor a range "a-b" with a <= b <= 2147483647')
    assert parse_reserve_list([3, item, "5-6"]) == (IdSet(((3, 3), (5, 6))), (problem,))


@given(st.integers(0, INT32_MAX), st.sampled_from(["minecraft", "a-1", "a-b-2"]))
def test_a_name_gives_its_id_back(id_, set_name):
    assert parse_server_id(set_name, server_name(set_name, id_)) == id_


@pytest.mark.parametrize(
    "name",
    ["game", "game-", "game-x", "game-01", "game--1", "game-1-2", "other-1", "game-\u0661", "-1"],
)
def test_other_names_have_no_id(name):
    assert parse_server_id("game", name) is None
