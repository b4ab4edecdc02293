"""Ids that the controller adds to a reserve list (SPEC 6.7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.ids import parse_reserve_list
from aggregator.gameserverset.reserve import MAX_ITEMS, add_ids


@pytest.mark.parametrize(
    ("items", "ids", "expected"),
    [
        pytest.param((), [4, 3], (3, 4), id="plain numbers, ascending"),
        pytest.param((9,), [3], (9, 3), id="what is there keeps its place"),
        pytest.param((3,), [4], (3, 4), id="a number does not grow"),
        pytest.param(("3-3",), [4], ("3-3", 4), id="nor does a range of one"),
        pytest.param(("3-5",), [6], ("3-6",), id="a range grows at its end"),
        pytest.param(("3-5",), [2], ("2-5",), id="a range grows at its start"),
        pytest.param(("3-5",), [7], ("3-5", 7), id="a range that does not touch stays"),
        pytest.param(("3-5",), [6, 7, 9], ("3-7", 9), id="a range grows again and again"),
        pytest.param(("3-5",), [2, 1], ("2-5", 1), id="ids are added in ascending order"),
        pytest.param(("0-2", "4-5"), [3], ("0-3", "4-5"), id="the first of two grows"),
        pytest.param((1, "3-5"), [1, 4], (1, "3-5"), id="known ids"),
        pytest.param(("x", "5-3", "3-4"), [5], ("x", "5-3", "3-5"), id="nonsense stays"),
        pytest.param(("0-2147483646",), [2147483647], ("0-2147483647",), id="the last id"),
    ],
)
def test_lists(items, ids, expected):
    assert add_ids(items, ids) == expected


ITEMS = st.lists(
    st.one_of(
        st.integers(0, 30),
        st.tuples(st.integers(0, 30), st.integers(0, 5)).map(lambda r: f"{r[0]}-{r[0] + r[1]}"),
        st.just("nonsense"),
    ),
    max_size=8,
).map(tuple)


@given(ITEMS, st.lists(st.integers(0, 40), max_size=8))
def test_a_list_means_what_it_meant_and_the_new_ids(items, ids):
    before, _ = parse_reserve_list(items)
    after, _ = parse_reserve_list(add_ids(items, ids))
    assert after == before.with_ids(ids)
    assert add_ids(add_ids(items, ids), ids) == add_ids(items, ids)


@given(ITEMS)
def test_nothing_to_add_changes_nothing(items):
    assert add_ids(items, []) == items


def test_a_full_list_is_written_as_ranges():
    full = tuple(range(0, 2 * MAX_ITEMS, 2))
    assert add_ids(full, [1]) == ("0-2", *range(4, 2 * MAX_ITEMS, 2))


def test_a_list_that_is_just_full_stays_as_it_was_written():
    items = tuple(range(MAX_ITEMS - 2, -1, -1))
    assert add_ids(items, [MAX_ITEMS]) == (*items, MAX_ITEMS)
