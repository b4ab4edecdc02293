"""From outcomes to published verdicts: the table of SPEC 2.4, and what holds for any sequence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probes.outcome import Outcome
from agent.verdict import PROBE_PENDING, Thresholds, Verdict, VerdictState, advance, begin
from shared.protocol.report import Status

START = datetime(2026, 1, 1, tzinfo=UTC)
PENDING = "pending"


def seen(code: str) -> Outcome:
    """`T` or `F`, with a result after a colon; `U` with a reason after it."""
    letter, _, text = code.partition(":")
    if letter == "U":
        return Outcome(Status.UNKNOWN, reason=text, message=f"about {text}")
    status = Status.TRUE if letter == "T" else Status.FALSE
    return Outcome(status, result=text, started_at=START)


def short(verdict: Verdict) -> str:
    if verdict.reason == PROBE_PENDING:
        return PENDING
    tail = verdict.reason if verdict.status is Status.UNKNOWN else verdict.result
    return verdict.status[0] + (f":{tail}" if tail else "")


def play(thresholds: tuple[int, int], codes: str) -> list[VerdictState]:
    states = []
    state = begin(Thresholds(*thresholds))
    for second, code in enumerate(codes.split()):
        state = advance(state, seen(code), START + timedelta(seconds=second))
        states.append(state)
    return states


@pytest.mark.parametrize(
    ("thresholds", "outcomes", "published"),
    [
        pytest.param((1, 3), "T", "T", id="the default makes True at once"),
        pytest.param((1, 3), "F F F", "pending pending F", id="and False at the third"),
        pytest.param((2, 2), "T F T T", "pending pending pending T", id="only equal states count"),
        pytest.param((1, 3), "T F F T F", "T T T T T", id="below the threshold it stays"),
        pytest.param((1, 3), "T F F F", "T T T F", id="at the threshold it changes"),
        pytest.param((2, 1), "F T F T T", "F F F F T", id="both thresholds count"),
        pytest.param(
            (3, 1), "T:a T:b T:a T:b", "pending pending T:a T:b", id="results do not reset counts"
        ),
        pytest.param((3, 3), "T T T:x T:y", "pending pending T:x T:y", id="a result is at once"),
        pytest.param(
            (1, 3), "T:a F:b T:a F:b", "T:a T:a T:a T:a", id="a result below its threshold waits"
        ),
        pytest.param((1, 2), "F:a F:b F:c", "pending F:b F:c", id="the latest result is published"),
        pytest.param((1, 3), "T U:Gone", "T U:Gone", id="Unknown is at once"),
        pytest.param((1, 3), "U:A U:B", "U:A U:B", id="with the latest reason"),
        pytest.param(
            (2, 3), "T T U:A T T", "pending T U:A pending T", id="Unknown starts the counting again"
        ),
        pytest.param((1, 3), "T U:A F F F", "T U:A pending pending F", id="for False too"),
    ],
)
def test_outcomes_become_verdicts(
    thresholds: tuple[int, int], outcomes: str, published: str
) -> None:
    assert [short(state.published) for state in play(thresholds, outcomes)] == published.split()


def test_the_transition_time_is_that_of_the_last_change_of_status_or_result() -> None:
    states = play((1, 1), "T:a T:a T:b T:b F:b U:A U:B")
    seconds = [(state.transition_at or START) - START for state in states]
    assert [second.seconds for second in seconds] == [0, 0, 2, 2, 4, 5, 5]


def test_runs_count_only_what_was_started_and_consecutive_counts_states() -> None:
    states = play((1, 1), "U:A T:a T:b F F U:B")
    assert [(state.runs, state.consecutive) for state in states] == [
        (0, 1),
        (1, 1),
        (2, 2),
        (3, 1),
        (4, 2),
        (4, 1),
    ]


def test_a_pending_verdict_says_so_in_words() -> None:
    state = begin(Thresholds(1, 3))
    assert (state.published.status, state.published.reason) == (Status.UNKNOWN, "ProbePending")
    assert state.transition_at is None


codes = st.lists(
    st.sampled_from(["T", "T:a", "T:b", "F", "F:a", "U:A", "U:B"]), min_size=1, max_size=40
)
thresholds = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(thresholds, codes)
def test_a_published_state_was_seen_as_often_as_its_threshold_asks(
    both: tuple[int, int], sequence: list[str]
) -> None:
    states = play(both, " ".join(sequence))
    for number, state in enumerate(states):
        before = states[number - 1].published.status if number else Status.UNKNOWN
        after = state.published.status
        if after is not before and after is not Status.UNKNOWN:
            needed = both[0] if after is Status.TRUE else both[1]
            assert {seen(code).status for code in sequence[number - needed + 1 : number + 1]} == {
                after
            }
            assert number + 1 >= needed


@given(thresholds, codes)
def test_what_is_published_is_the_latest_outcome_of_that_state(
    both: tuple[int, int], sequence: list[str]
) -> None:
    for number, state in enumerate(play(both, " ".join(sequence))):
        published = state.published
        if published.reason == PROBE_PENDING:
            continue
        same = [o for o in map(seen, sequence[: number + 1]) if o.status is published.status]
        assert (published.result, published.reason) == (same[-1].result, same[-1].reason)


@given(thresholds, codes)
def test_enough_equal_outcomes_always_win(both: tuple[int, int], sequence: list[str]) -> None:
    final = play(both, " ".join([*sequence, *["F:end"] * both[1]]))[-1]
    assert short(final.published) == "F:end"
