"""What holds for every sequence of outcomes, against the rule told another way round."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.probes.outcome import Outcome
from agent.verdict import Thresholds, Verdict, VerdictState, advance, begin
from shared.protocol.report import Status

START = datetime(2026, 1, 1, tzinfo=UTC)
PENDING = Verdict()

OUTCOMES = st.builds(
    Outcome,
    status=st.sampled_from(Status),
    result=st.sampled_from(["", "a", "b"]),
    reason=st.sampled_from(["", "Timeout", "Gone"]),
    message=st.just(""),
    started_at=st.sampled_from([None, START]),
)
HISTORIES = st.lists(OUTCOMES, max_size=30)
THRESHOLDS = st.builds(Thresholds, st.integers(1, 5), st.integers(1, 5))


def play(thresholds: Thresholds, history: list[Outcome]) -> list[VerdictState]:
    """Return the states, the one before any outcome included."""
    states = [begin(thresholds)]
    for second, outcome in enumerate(history):
        states.append(advance(states[-1], outcome, START + timedelta(seconds=second)))
    return states


def length_of_last_row(history: list[Outcome]) -> int:
    """Return how many outcomes at the end have the same state."""
    length = 0
    for outcome in reversed(history):
        if outcome.status != history[-1].status:
            break
        length += 1
    return length


def published(thresholds: Thresholds, history: list[Outcome]) -> Verdict:
    """Tell what a whole history means, from its end backwards."""
    if not history:
        return PENDING
    last, row = history[-1], length_of_last_row(history)
    seen = Verdict(last.status, last.result, last.reason, last.message)
    needed = {Status.TRUE: thresholds.success, Status.FALSE: thresholds.failure, Status.UNKNOWN: 1}
    if row >= needed[last.status]:
        return seen
    before = published(thresholds, history[:-row])
    if before.status == last.status:
        return seen
    return PENDING if before.status == Status.UNKNOWN else before


@given(THRESHOLDS, HISTORIES)
def test_the_verdict_is_what_the_whole_history_means(
    thresholds: Thresholds, history: list[Outcome]
) -> None:
    verdicts = [state.published for state in play(thresholds, history)]
    assert verdicts == [
        published(thresholds, history[:number]) for number in range(len(history) + 1)
    ]


@given(THRESHOLDS, HISTORIES)
def test_the_transition_time_is_that_of_the_last_change_and_never_steps_back(
    thresholds: Thresholds, history: list[Outcome]
) -> None:
    for number, (before, after) in enumerate(pairwise(play(thresholds, history))):
        shown = [(s.published.status, s.published.result) for s in (before, after)]
        now = START + timedelta(seconds=number)
        assert after.transition_at == (now if shown[0] != shown[1] else before.transition_at)


@given(THRESHOLDS, HISTORIES)
def test_the_counters_count_rows_and_runs(thresholds: Thresholds, history: list[Outcome]) -> None:
    for number, state in enumerate(play(thresholds, history)):
        past = history[:number]
        assert (state.consecutive, state.runs) == (
            length_of_last_row(past) if past else 0,
            sum(outcome.started_at is not None for outcome in past),
        )


@given(THRESHOLDS, HISTORIES, OUTCOMES)
def test_the_same_outcome_for_long_enough_is_published_and_then_changes_nothing(
    thresholds: Thresholds, history: list[Outcome], last: Outcome
) -> None:
    states = play(thresholds, [*history, *[last] * 7])
    assert states[-1].published == Verdict(last.status, last.result, last.reason, last.message)
    assert states[-1].transition_at == states[-2].transition_at


@given(THRESHOLDS, HISTORIES, HISTORIES)
def test_after_an_unknown_nothing_before_it_matters(
    thresholds: Thresholds, before: list[Outcome], after: list[Outcome]
) -> None:
    gone = Outcome(Status.UNKNOWN, reason="Gone")
    with_past = play(thresholds, [*before, gone, *after])[len(before) + 1 :]
    without = play(thresholds, [gone, *after])[1:]
    assert [state.published for state in with_past] == [state.published for state in without]
