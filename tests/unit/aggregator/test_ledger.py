"""The memory of reports and of silence."""

from datetime import UTC, datetime

import pytest

from aggregator.ledger import Accepted, Ledger
from shared.protocol.report import Report

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def accepted(pod_uid: str = "u", *, changed: bool = False) -> Accepted:
    return Accepted(Report(pod_uid, 1, 1, NOW, "0.1.0", "r"), NOW, changed)


@pytest.mark.parametrize(
    ("heartbeat", "patience"),
    [
        pytest.param(1.0, 30.0, id="at least 30 s"),
        pytest.param(10.0, 30.0, id="three heartbeats"),
        pytest.param(20.0, 60.0, id="three long heartbeats"),
    ],
)
def test_an_agent_is_lost_after_three_heartbeats(heartbeat: float, patience: float) -> None:
    ledger = Ledger(started_seconds=0, heartbeat_seconds=heartbeat)
    ledger.accept(accepted(), now=100)
    assert ledger.seconds_until_lost("u", 100) == patience
    assert not ledger.is_lost("u", 100 + patience - 0.1)
    assert ledger.is_lost("u", 100 + patience)
    assert ledger.repeat("u", 100 + patience)
    assert not ledger.repeat("u", 100 + patience)
    assert not ledger.is_lost("u", 100 + patience)


def test_nobody_is_lost_to_a_leader_that_has_just_begun() -> None:
    ledger = Ledger(started_seconds=1000, heartbeat_seconds=10)
    assert (ledger.is_lost("u", 1029), ledger.is_lost("u", 1030)) == (False, True)


def test_a_new_term_knows_no_report_and_has_patience_with_everybody() -> None:
    ledger = Ledger(started_seconds=0, heartbeat_seconds=10)
    ledger.accept(accepted(), 1)
    ledger.begin(500)
    assert (ledger.get("u"), ledger.is_lost("u", 529), ledger.is_lost("u", 530)) == (
        None,
        False,
        True,
    )


def test_a_pod_that_comes_later_has_the_same_patience() -> None:
    ledger = Ledger(started_seconds=0, heartbeat_seconds=10)
    ledger.expect("u", 500)
    ledger.expect("u", 520)
    assert (ledger.is_lost("u", 529), ledger.is_lost("u", 530)) == (False, True)
    assert ledger.get("u") is None


def test_silence_is_counted_from_the_last_report_or_from_the_begin_of_the_term() -> None:
    ledger = Ledger(started_seconds=100, heartbeat_seconds=10)
    ledger.accept(accepted(), now=107)
    assert (ledger.seconds_silent("u", 112), ledger.seconds_silent("never heard", 112)) == (5, 12)
    ledger.repeat("u", 110)
    ledger.expect("u", 111)
    assert ledger.seconds_silent("u", 112) == 2


def test_a_report_is_looked_at_when_it_changed_something_or_its_agent_had_been_lost() -> None:
    ledger = Ledger(started_seconds=0, heartbeat_seconds=10)
    looked_at = [
        ledger.accept(accepted(changed=True), 1),
        ledger.accept(accepted(), 2),
        ledger.accept(accepted(), 40),
        ledger.accept(accepted(), 41),
    ]
    assert looked_at == [True, False, True, False]


def test_a_pod_that_is_gone_is_forgotten() -> None:
    ledger = Ledger(started_seconds=0, heartbeat_seconds=10)
    ledger.accept(accepted(), 1)
    ledger.forget("u")
    ledger.forget("never known")
    ledger.repeat("u", 2)
    assert (ledger.get("u"), len(ledger)) == (None, 0)


def test_beyond_its_capacity_the_longest_silent_is_forgotten() -> None:
    ledger = Ledger(started_seconds=0, heartbeat_seconds=10, capacity=2)
    for now, pod_uid in enumerate(("a", "b", "a", "c")):
        ledger.accept(accepted(pod_uid), now)
    assert [ledger.get(pod_uid) is not None for pod_uid in "abc"] == [True, False, True]
    assert len(ledger) == 2
