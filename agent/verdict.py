"""From outcomes to the published verdict of a probe: thresholds. Pure.

Rules (SPEC 2.4):
 1. A verdict is Unknown/ProbePending until the first threshold is reached.
 2. True needs `success` and False needs `failure` equal states in a row; below that the published
    verdict stays.
 3. In a state that is published already, a new *result* is published at once.
 4. An Unknown outcome (the probe could not run) is published at once: it never causes an action,
    and a verdict that nobody can check any more must not look fresh. It also starts all counting
    again.
 5. When a definite outcome follows a published Unknown below its threshold, the reason becomes
    ProbePending: the old one is no longer true. A restarted container begins with `begin` again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.protocol.report import Status

if TYPE_CHECKING:
    from datetime import datetime

    from agent.probes.outcome import Outcome

PROBE_PENDING = "ProbePending"
_PENDING_MESSAGE = "no verdict yet: it needs as many equal results in a row as the thresholds say"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How many equal states in a row make a verdict; both >= 1."""

    success: int
    failure: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is published. `reason` and `message` belong to Unknown, and to a False by timeout."""

    status: Status = Status.UNKNOWN
    result: str = ""
    reason: str = PROBE_PENDING
    message: str = _PENDING_MESSAGE


@dataclass(frozen=True, slots=True)
class VerdictState:
    """A probe's memory.

    Attributes:
        published: the verdict that others see.
        transition_at: when its status or result last changed; None before the first change.
        last: state of the latest outcome, None before any.
        consecutive: how many outcomes in a row had that state.
        runs: outcomes since `begin` that came from a run that started.
    """

    thresholds: Thresholds
    published: Verdict = Verdict()
    transition_at: datetime | None = None
    last: Status | None = None
    consecutive: int = 0
    runs: int = 0


def begin(thresholds: Thresholds) -> VerdictState:
    """Return the state of a probe that has not run since its container started."""
    return VerdictState(thresholds)


def advance(state: VerdictState, outcome: Outcome, now: datetime) -> VerdictState:
    """Return the state after one more outcome; `now` is the transition time if it changes."""
    consecutive = state.consecutive + 1 if outcome.status == state.last else 1
    runs = state.runs + (outcome.started_at is not None)
    counted = replace(state, last=outcome.status, consecutive=consecutive, runs=runs)
    published = _published(counted, outcome)
    before = state.published
    if (published.status, published.result) == (before.status, before.result):
        return replace(counted, published=published)
    return replace(counted, published=published, transition_at=now)


def _published(state: VerdictState, outcome: Outcome) -> Verdict:
    seen = Verdict(outcome.status, outcome.result, outcome.reason, outcome.message)
    if outcome.status == Status.UNKNOWN or outcome.status == state.published.status:
        return seen
    thresholds = state.thresholds
    needed = thresholds.success if outcome.status == Status.TRUE else thresholds.failure
    if state.consecutive >= needed:
        return seen
    return Verdict() if state.published.status == Status.UNKNOWN else state.published
