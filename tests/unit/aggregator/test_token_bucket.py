"""Token buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.token_bucket import TokenBuckets


def test_a_burst_is_taken_at_once_and_then_at_the_rate() -> None:
    buckets: TokenBuckets[str] = TokenBuckets(rate_per_second=2.0, burst=3, capacity=10)
    waits = [buckets.take("a", now) for now in (0, 0, 0, 0, 0.25, 0.5, 0.5)]
    assert waits == [0, 0, 0, 0.5, 0.25, 0, 0.5]
    assert buckets.take("b", 0.5) == 0


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    buckets: TokenBuckets[str] = TokenBuckets(rate_per_second=1.0, burst=2, capacity=10)
    waits = [buckets.take("a", now) for now in (0, 1000, 1000, 1000)]
    assert waits == [0, 0, 0, 1]


def test_the_key_that_acted_longest_ago_is_forgotten_first() -> None:
    buckets: TokenBuckets[str] = TokenBuckets(rate_per_second=0.001, burst=1, capacity=2)
    for key in ("a", "b", "c"):
        assert buckets.take(key, 0) == 0
    assert (buckets.take("b", 0) > 0, buckets.take("a", 0)) == (True, 0)


@given(st.lists(st.floats(0, 100), min_size=1))
def test_in_any_time_no_more_is_taken_than_burst_and_rate_allow(times: list[float]) -> None:
    buckets: TokenBuckets[str] = TokenBuckets(rate_per_second=0.5, burst=3, capacity=1)
    times.sort()
    taken = sum(buckets.take("a", now) == 0 for now in times)
    assert taken <= 3 + (times[-1] - times[0]) * 0.5 + 1e-6


@pytest.mark.parametrize("early", [0.0, 0.4])
def test_who_waits_as_long_as_told_gets_a_token(early: float) -> None:
    buckets: TokenBuckets[str] = TokenBuckets(rate_per_second=1.0, burst=1, capacity=1)
    buckets.take("a", 0)
    wait = buckets.take("a", early)
    assert buckets.take("a", early + wait) == 0
