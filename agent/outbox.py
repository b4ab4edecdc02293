"""When the next report goes out and what its number is. Pure: events come in, a state comes out.

The outbox holds no reports: a report is always the newest state at the moment of sending, so
nothing queues. Rules (SPEC 3):
 1. One request at a time.
 2. A change goes out at once, but never within 50 ms of the report before: what else changes in
    that time travels together. Waiting first instead would add 50 ms to every edge. Without
    changes a heartbeat goes out, +-10 %.
 3. After a failure nothing is sent before the backoff, changes included: full jitter, 0.5 s to
    30 s. At 30 s the lower half is left out: agents that retry for long forget when they began, and
    whoever comes back then sees them at the rate 1 / mean wait. With waits from 0 s on that is
    twice the uniform share of a 30 s window; with 15 s to 30 s it is a third more than it.
    A server that names a time (Retry-After) is obeyed, plus up to as much again, so that those who
    were sent away together do not come back together.
 4. A refused body (400, 413) is final: the next change or heartbeat makes another.
 5. A conflict (409) names an epoch that was accepted; ours becomes larger and the sequence begins
    again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from shared.backoff import Backoff
from shared.protocol.paths import HEARTBEAT_JITTER, HEARTBEAT_SECONDS

COALESCE_SECONDS = 0.05
MAX_RETRY_AFTER_SECONDS = 300.0  # an absurd Retry-After must not mute an agent for a day
_BACKOFF = Backoff(base_seconds=0.5, cap_seconds=30)
_LEAST_SHARE_AT_CAP = 0.5


@dataclass(frozen=True, slots=True)
class Outbox:
    """What the agent remembers about its reports.

    Attributes:
        epoch, sequence: numbers of the last report sent.
        heartbeat_seconds: as the aggregator last said.
        due_at: when the next report goes out if nothing changes.
        sent_at: when the last report left.
        changed_at: first change that no report has carried yet.
        not_before: no report earlier than this, whatever changes.
        in_flight: a request is outstanding.
        failures: in a row.
    """

    epoch: int
    due_at: float
    sequence: int = 0
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    sent_at: float = 0.0
    changed_at: float | None = None
    not_before: float = 0.0
    in_flight: bool = False
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that a report says has changed."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A report with `epoch` and `sequence` of the state after this event has left."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The aggregator has the report."""

    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The aggregator will never take that body."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """The aggregator has accepted a report of this epoch that is not older than ours."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, or one that asks to come again."""

    retry_after_seconds: float | None = None


Event = Changed | Sent | Accepted | Refused | Superseded | Failed


def next_send_at(outbox: Outbox) -> float | None:
    """Return when the next report should go out; None while one is outstanding."""
    if outbox.in_flight:
        return None
    at = outbox.due_at
    if outbox.changed_at is not None:
        at = min(at, max(outbox.changed_at, outbox.sent_at + COALESCE_SECONDS))
    return max(at, outbox.not_before)


def advance(outbox: Outbox, event: Event, now: float, share: float) -> Outbox:
    """Return the outbox after an event.

    Args:
        outbox: the state so far.
        event: what happened.
        now: seconds of a monotonic clock.
        share: random in [0, 1), for the jitter.
    """
    match event:
        case Changed():
            first = now if outbox.changed_at is None else outbox.changed_at
            return replace(outbox, changed_at=first)
        case Sent():
            numbered = replace(outbox, sequence=outbox.sequence + 1, sent_at=now)
            return replace(numbered, changed_at=None, in_flight=True)
        case Accepted(heartbeat_seconds):
            return _rest(replace(outbox, heartbeat_seconds=heartbeat_seconds), now, share)
        case Refused():
            return _rest(outbox, now, share)
        case Superseded(epoch):
            larger = replace(outbox, epoch=max(outbox.epoch, epoch) + 1, sequence=0)
            return _retry(larger, now, share, named=0.0)
        case Failed(retry_after_seconds):
            named = min(retry_after_seconds or 0.0, MAX_RETRY_AFTER_SECONDS)
            return _retry(outbox, now, share, named)
        case _:
            assert_never(event)


def _rest(outbox: Outbox, now: float, share: float) -> Outbox:
    jitter = 1 + HEARTBEAT_JITTER * (2 * share - 1)
    due_at = now + outbox.heartbeat_seconds * jitter
    return replace(outbox, due_at=due_at, not_before=now, in_flight=False, failures=0)


def _retry(outbox: Outbox, now: float, share: float, named: float) -> Outbox:
    failures = outbox.failures + 1
    at = now + _wait(failures, share, named)
    return replace(outbox, due_at=at, not_before=at, in_flight=False, failures=failures)


def _wait(failures: int, share: float, named: float) -> float:
    if named:
        # The server is there and steers its load itself: failures in a row mean nothing to it.
        return named + share * min(named, _BACKOFF.cap_seconds)
    if _BACKOFF.ceiling_seconds(failures) >= _BACKOFF.cap_seconds:
        share = _LEAST_SHARE_AT_CAP + (1 - _LEAST_SHARE_AT_CAP) * share
    return _BACKOFF.delay_seconds(failures, share)
