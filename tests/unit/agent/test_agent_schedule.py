"""When probes run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.schedule import Due, first_start, next_start, startable


@pytest.mark.parametrize(
    ("container_started_at", "delay", "now", "expected"),
    [
        pytest.param(100.0, 10.0, 100.5, 110.0, id="counted from the container's start"),
        pytest.param(100.0, 10.0, 500.0, 500.0, id="an old container is probed at once"),
        pytest.param(100.0, 0.0, 100.0, 100.0, id="without a delay at once"),
    ],
)
def test_the_first_run_is_the_delay_after_the_container_started(
    container_started_at: float, delay: float, now: float, expected: float
) -> None:
    assert first_start(container_started_at, delay, now) == expected


@pytest.mark.parametrize(
    ("finished_after", "share", "expected"),
    [
        pytest.param(0.2, 0.0, 3.0, id="a quick probe runs every period"),
        pytest.param(0.2, 0.5, 3.15, id="plus its share of a tenth"),
        pytest.param(3.0, 0.0, 3.0, id="one that ends on the tick starts at once"),
        pytest.param(3.1, 0.0, 6.0, id="one that overran it skips a tick"),
        pytest.param(7.5, 0.0, 9.0, id="or two"),
        pytest.param(0.0, 0.0, 3.0, id="one that could not start waits, too"),
    ],
)
def test_the_next_run_is_counted_from_the_previous_start(
    finished_after: float, share: float, expected: float
) -> None:
    assert next_start(50.0, 50.0 + finished_after, 3, share) == pytest.approx(50 + expected)


@given(
    st.floats(0, 1e6), st.floats(0, 1e4), st.integers(1, 86_400), st.floats(0, 1, exclude_max=True)
)
def test_the_next_run_is_never_before_the_end_nor_a_whole_interval_after_it(
    start: float, took: float, period: int, share: float
) -> None:
    at = next_start(start, start + took, period, share)
    assert at >= start + took - 1e-6
    assert at - max(start + took, start + period) <= period * 1.1 + 1e-6


@pytest.mark.parametrize(
    ("free", "expected"),
    [(0, []), (-1, []), (1, ["late"]), (2, ["late", "later"]), (9, ["late", "later", "now"])],
)
def test_what_is_due_starts_in_the_order_of_its_time_as_far_as_there_are_slots(
    free: int, expected: list[str]
) -> None:
    waiting = [Due("now", 10.0), Due("soon", 10.1), Due("later", 9.0), Due("late", 8.0)]
    assert startable(waiting, 10.0, free) == expected
