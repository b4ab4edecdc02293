"""When reports go out: the rules of SPEC 3, and what holds for any sequence of events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.outbox import (
    Accepted,
    Changed,
    Event,
    Failed,
    Outbox,
    Refused,
    Sent,
    Superseded,
    advance,
    next_send_at,
)

# Halfway: the heartbeat has no jitter, the backoff is half its ceiling.
HALF = 0.5
NEW = Outbox(epoch=1000, due_at=100.0)
RESTING = Outbox(epoch=1000, due_at=110.0, sequence=3, not_before=100.0)
FLYING = replace(RESTING, sequence=4, in_flight=True)
SENT = replace(FLYING, sent_at=100.0)


def play(outbox: Outbox, *events: Event, now: float = 100.0, share: float = HALF) -> Outbox:
    for event in events:
        outbox = advance(outbox, event, now, share)
    return outbox


@pytest.mark.parametrize(
    ("outbox", "expected"),
    [
        pytest.param(NEW, 100.0, id="the first report goes at once"),
        pytest.param(RESTING, 110.0, id="without changes the heartbeat is next"),
        pytest.param(FLYING, None, id="nothing while one is outstanding"),
        pytest.param(play(RESTING, Changed(), now=101.0), 101.0, id="a change goes at once"),
        pytest.param(
            play(SENT, Accepted(10), Changed(), now=100.01),
            100.05,
            id="but not within 50 ms of the report before",
        ),
        pytest.param(
            play(play(SENT, Accepted(10), Changed(), now=100.01), Changed(), now=100.04),
            100.05,
            id="and others of its moment travel with it",
        ),
        pytest.param(
            play(replace(RESTING, sent_at=109.98), Changed(), now=109.99),
            110.0,
            id="the heartbeat takes it if that is sooner",
        ),
        pytest.param(
            play(play(FLYING, Changed(), now=101.0), Accepted(10), now=102.0),
            102.0,
            id="a change during a request goes right after it",
        ),
        pytest.param(
            play(play(FLYING, Failed(), now=101.0), Changed(), now=101.1),
            101.25,
            id="a change after a failure waits for the backoff",
        ),
    ],
)
def test_the_next_report(outbox: Outbox, expected: float | None) -> None:
    actual = next_send_at(outbox)
    assert actual == (None if expected is None else pytest.approx(expected))


def resting(**changes: object) -> Outbox:
    return replace(FLYING, in_flight=False, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(
            Accepted(5.0),
            resting(due_at=105.0, not_before=100.0, heartbeat_seconds=5.0),
            id="accepted: the next heartbeat as the aggregator says",
        ),
        pytest.param(
            Refused(), resting(due_at=110.0, not_before=100.0), id="refused: final for that body"
        ),
        pytest.param(
            Failed(), resting(due_at=100.25, not_before=100.25, failures=1), id="failed: backoff"
        ),
        pytest.param(
            Failed(7.0),
            resting(due_at=110.5, not_before=110.5, failures=1),
            id="Retry-After, and a share of as much again",
        ),
        pytest.param(
            Failed(0.0),
            resting(due_at=100.25, not_before=100.25, failures=1),
            id="Retry-After 0 keeps the backoff",
        ),
        pytest.param(
            Failed(1e9),
            resting(due_at=415.0, not_before=415.0, failures=1),
            id="an absurd Retry-After is bounded, and so is its share",
        ),
        pytest.param(
            Superseded(5000),
            resting(epoch=5001, sequence=0, due_at=100.25, not_before=100.25, failures=1),
            id="superseded by a larger epoch: beyond it",
        ),
        pytest.param(
            Superseded(10),
            resting(epoch=1001, sequence=0, due_at=100.25, not_before=100.25, failures=1),
            id="superseded by our own: the next",
        ),
    ],
)
def test_the_end_of_a_request(event: Event, expected: Outbox) -> None:
    assert advance(FLYING, event, 100.0, HALF) == expected


@pytest.mark.parametrize(
    ("share", "due_at"), [(0.0, 109.0), (0.5, 110.0), (1 - 1e-9, 111.0)], ids=["least", "", "most"]
)
def test_the_heartbeat_has_a_tenth_of_jitter_both_ways(share: float, due_at: float) -> None:
    assert advance(FLYING, Accepted(10), 100.0, share).due_at == pytest.approx(due_at)


def test_failures_in_a_row_wait_longer_up_to_half_a_minute_and_success_forgets_them() -> None:
    outbox = FLYING
    waits = []
    for _ in range(9):
        outbox = play(outbox, Failed(), share=1 - 1e-12)
        waits.append(round(outbox.due_at - 100.0, 3))
        outbox = play(outbox, Sent())
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert play(outbox, Accepted(10)).failures == 0


EVENTS = st.one_of(
    st.just(Changed()),
    st.builds(Accepted, st.floats(0.1, 3600)),
    st.just(Refused()),
    st.builds(Superseded, st.integers(0, 10**13)),
    st.builds(Failed, st.none() | st.floats(0, 1e9)),
)
STEPS = st.lists(
    st.tuples(EVENTS, st.floats(0, 60), st.floats(0, 1, exclude_max=True)), max_size=60
)


@given(STEPS)
def test_numbers_only_grow_one_request_flies_and_no_agent_falls_silent(
    steps: list[tuple[Event, float, float]],
) -> None:
    """Plays an agent that sends whenever it may, and checks every state on the way."""
    outbox, now = Outbox(epoch=1000, due_at=0.0), 0.0
    numbers: list[tuple[int, int]] = []
    for event, passes, share in steps:
        now += passes
        send_at = next_send_at(outbox)
        if send_at is not None and send_at <= now:
            outbox = advance(outbox, Sent(), now, share)
            numbers.append((outbox.epoch, outbox.sequence))
        if isinstance(event, Changed) or outbox.in_flight:
            outbox = advance(outbox, event, now, share)
        send_at = next_send_at(outbox)
        assert outbox.in_flight is (send_at is None)
        # The longest silence: a heartbeat with its jitter, or the bound of Retry-After with its.
        assert send_at is None or send_at <= now + max(330, 1.1 * outbox.heartbeat_seconds)
    assert numbers == sorted(set(numbers))


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 20))
def test_no_report_leaves_before_the_backoff_whatever_changes(share: float, changes: int) -> None:
    failed = advance(FLYING, Failed(), 100.0, share)
    changed = play(failed, *[Changed()] * changes, now=100.01)
    assert next_send_at(changed) == failed.not_before
