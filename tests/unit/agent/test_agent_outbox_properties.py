"""What holds for the outbox in any interleaving of changes, losses, repetitions and stale copies.

The other side is the aggregator's real rule of admission, so what is proved is the protocol: losing
any message costs time, never truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.outbox import (
    COALESCE_SECONDS,
    MAX_RETRY_AFTER_SECONDS,
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
from agent.reporting import build_report
from aggregator.intake.admit import Duplicate, Invalid, Stale, admit
from aggregator.ledger import Accepted as Admitted

if TYPE_CHECKING:
    from shared.protocol.report import Report

NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Retry-After at most, and as much again as the jitter adds.
LONGEST_SILENCE = MAX_RETRY_AFTER_SECONDS + 30


class Fate(Enum):
    """What becomes of a request."""

    ARRIVES = "arrives"
    REQUEST_LOST = "request lost"
    RESPONSE_LOST = "response lost"
    REFUSED = "refused"
    TOLD_TO_WAIT = "told to wait"


@dataclass
class Protocol:
    """An agent whose state is a number, an aggregator, and a network that may do anything."""

    outbox: Outbox = field(default_factory=lambda: Outbox(epoch=1000, due_at=0.0))
    now: float = 0.0
    state: int = 0
    sent: list[tuple[float, Report]] = field(default_factory=list)
    last: Admitted | None = None
    known: list[int] = field(default_factory=list)

    def change(self) -> None:
        self.state += 1
        self.happen(Changed(), 0.5)

    def happen(self, event: Event, share: float) -> None:
        self.outbox = advance(self.outbox, event, self.now, share)

    def send_if_due(self) -> bool:
        due = next_send_at(self.outbox)
        if due is None or due > self.now:
            return False
        self.happen(Sent(), 0.5)
        self.sent.append(
            (self.now, build_report("uid", self.outbox, NOW, str(self.state), ((), ())))
        )
        return True

    def admit(self, report: Report) -> Event:
        """Let the aggregator have a report; return what its answer means to the agent."""
        match admit(self.last, report, NOW):
            case Admitted() as admitted:
                self.last = admitted
                self.known.append(int(report.probes_revision))
                return Accepted(10)
            case Duplicate():
                return Accepted(10)
            case Stale(accepted_epoch):
                return Superseded(accepted_epoch)
            case Invalid(field, message):
                raise AssertionError((field, message))

    def deliver(self, fate: Fate, share: float) -> None:
        report = self.sent[-1][1]
        match fate:
            case Fate.ARRIVES:
                self.happen(self.admit(report), share)
            case Fate.REQUEST_LOST:
                self.happen(Failed(), share)
            case Fate.RESPONSE_LOST:
                self.admit(report)
                self.happen(Failed(), share)
            case Fate.REFUSED:
                self.happen(Refused(), share)
            case Fate.TOLD_TO_WAIT:
                self.happen(Failed(share * 1e6), share)

    def repeat(self, which: int) -> None:
        """Let a copy of an old request arrive, whose answer nobody waits for."""
        if self.sent:
            self.admit(self.sent[which % len(self.sent)][1])


STEPS = st.lists(
    st.one_of(
        st.just("change"),
        st.floats(0, 40),  # seconds that pass
        st.tuples(st.sampled_from(Fate), st.floats(0, 1, exclude_max=True)),
        st.integers(0, 50),  # a copy of that request arrives
    ),
    max_size=80,
)


def play(steps: list[object]) -> Protocol:
    protocol = Protocol()
    for step in steps:
        match step:
            case "change":
                protocol.change()
            case float():
                protocol.now += step
            case (Fate() as fate, float() as share):
                if protocol.outbox.in_flight:
                    protocol.deliver(fate, share)
            case int():
                protocol.repeat(step)
        protocol.send_if_due()
    return protocol


@given(STEPS)
def test_the_numbers_of_reports_only_grow(steps: list[object]) -> None:
    numbers = [(report.epoch, report.sequence) for _, report in play(steps).sent]
    assert numbers == sorted(set(numbers))


@given(STEPS)
def test_what_the_aggregator_knows_never_steps_back(steps: list[object]) -> None:
    known = play(steps).known
    assert known == sorted(known)


@given(STEPS)
def test_accepted_reports_leave_changes_time_to_travel_together(steps: list[object]) -> None:
    kind = [(Fate.ARRIVES, step[1]) if isinstance(step, tuple) else step for step in steps]
    times = [at for at, _ in play(kind).sent]
    assert all(later - earlier >= COALESCE_SECONDS - 1e-9 for earlier, later in pairwise(times))


@given(STEPS)
def test_no_change_is_forgotten(steps: list[object]) -> None:
    protocol = play(steps)
    carried = int(protocol.sent[-1][1].probes_revision) if protocol.sent else 0
    assert protocol.outbox.changed_at is not None or carried == protocol.state


@given(STEPS)
def test_an_agent_with_nothing_under_way_sends_before_the_longest_silence(
    steps: list[object],
) -> None:
    protocol = play(steps)
    due = next_send_at(protocol.outbox)
    assert (due is None) is protocol.outbox.in_flight
    assert due is None or due <= protocol.now + LONGEST_SILENCE


@given(STEPS)
@settings(max_examples=60)
def test_once_the_network_is_good_again_the_aggregator_knows_the_newest_state(
    steps: list[object],
) -> None:
    protocol = play(steps)
    protocol.change()
    for _ in range(4):
        if not protocol.outbox.in_flight:
            due = next_send_at(protocol.outbox)
            assert due is not None
            protocol.now = max(protocol.now, due)
            assert protocol.send_if_due()
        protocol.deliver(Fate.ARRIVES, 0.5)
    assert protocol.known[-1] == protocol.state
