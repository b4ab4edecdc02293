"""What a reconciler remembers of its own writes."""

import pytest
from structlog.testing import capture_logs

from aggregator.kube.expectations import Expectations, OwnWrites
from aggregator.kube.resources import ObjectKey

OWNER, OTHER = ObjectKey("games", "set"), ObjectKey("games", "other")


def test_an_owner_waits_until_the_cache_shows_each_of_its_writes() -> None:
    expected = Expectations()
    expected.expect_creation(OWNER, "set-0", 0)
    expected.expect_creation(OWNER, "set-1", 0)
    expected.expect_deletion(OWNER, "uid-9", 0)
    states = [expected.satisfied(OWNER, 1), expected.satisfied(OTHER, 1)]
    expected.observed_creation(OWNER, "set-0")
    expected.observed_deletion(OWNER, "uid-9")
    states.append(expected.satisfied(OWNER, 1))
    expected.observed_creation(OWNER, "set-1")
    states.append(expected.satisfied(OWNER, 1))
    assert states == [False, True, False, True]


def test_what_nobody_expected_may_be_observed() -> None:
    expected = Expectations()
    expected.observed_creation(OWNER, "set-0")
    expected.observed_deletion(OWNER, "uid-0")
    expected.expect_creation(OWNER, "set-1", 0)
    expected.observed_creation(OWNER, "set-0")
    assert not expected.satisfied(OWNER, 1)


@pytest.mark.parametrize(
    ("now", "satisfied", "errors"),
    [pytest.param(299.9, False, 0, id="just before"), pytest.param(300.0, True, 2, id="too late")],
)
def test_an_event_that_never_comes_stops_an_owner_for_five_minutes_only(
    now: float, satisfied: bool, errors: int
) -> None:
    expected = Expectations()
    expected.expect_creation(OWNER, "set-0", 0)
    expected.expect_deletion(OWNER, "uid-0", 0)
    with capture_logs() as logs:
        assert expected.satisfied(OWNER, now) is satisfied
        assert len(logs) == errors
        assert expected.satisfied(OWNER, now) is satisfied
    assert len(logs) == errors


def test_creations_that_were_not_shown_for_long_are_named() -> None:
    expected = Expectations()
    for name, at in (("set-0", 0), ("set-1", 1), ("set-2", 0)):
        expected.expect_creation(OWNER, name, at)
    expected.expect_deletion(OWNER, "uid-9", 0)
    expected.observed_creation(OWNER, "set-2")
    assert expected.overdue_creations(OWNER, 5, 5) == ["set-0"]
    assert expected.overdue_creations(OTHER, 5, 5) == []


def test_an_owner_that_is_gone_is_forgotten() -> None:
    expected = Expectations()
    expected.expect_creation(OWNER, "set-0", 0)
    expected.forget(OWNER)
    assert expected.satisfied(OWNER, 0)


@pytest.mark.parametrize(
    ("cached", "stale"),
    [
        pytest.param(None, True, id="the cache has no such object yet"),
        pytest.param("99", True, id="an older version, which is longer as text than it looks"),
        pytest.param("100", False, id="our own version"),
        pytest.param("101", False, id="a newer version of somebody else"),
    ],
)
def test_a_cache_older_than_our_last_write_is_stale(cached: str | None, stale: bool) -> None:
    writes = OwnWrites()
    writes.remember_version(OWNER, "100", 0)
    assert (writes.is_stale(OWNER, cached, 1), writes.is_stale(OTHER, cached, 1)) == (stale, False)


def test_a_version_once_seen_is_forgotten() -> None:
    writes = OwnWrites()
    writes.remember_version(OWNER, "100", 0)
    assert not writes.is_stale(OWNER, "100", 1)
    assert not writes.is_stale(OWNER, None, 1)


def test_versions_that_are_no_numbers_must_be_the_very_same() -> None:
    writes = OwnWrites()
    writes.remember_version(OWNER, "b-2", 0)
    assert writes.is_stale(OWNER, "b-10", 1)
    assert not writes.is_stale(OWNER, "b-2", 1)


def test_a_stale_cache_is_believed_after_five_minutes() -> None:
    writes = OwnWrites()
    writes.remember_version(OWNER, "100", 0)
    assert (writes.is_stale(OWNER, "1", 299), writes.is_stale(OWNER, "1", 300)) == (True, False)


def test_an_object_that_is_gone_is_never_stale() -> None:
    writes = OwnWrites()
    writes.remember_version(OWNER, "100", 0)
    writes.forget(OWNER)
    assert not writes.is_stale(OWNER, None, 1)
