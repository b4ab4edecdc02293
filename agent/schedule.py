"""When probes run. Pure: times are seconds of one monotonic clock, random shares are arguments.

Rules: the first run is initialDelay after the container's start; then one every period, counted
from the previous *start*, plus up to 10 % so that a fleet that started together does not pulse
together; a probe never overlaps itself, and a slow one skips the ticks it missed instead of
catching up. Source: SPEC 2.5; kubelet counts the period the same way and spreads the first run
only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

START_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Due:
    """A probe that is not under way, and when it should next start."""

    name: str
    at: float


def first_start(container_started_at: float, initial_delay_seconds: float, now: float) -> float:
    """Return when a probe first runs: at once if the container is older than the delay."""
    return max(now, container_started_at + initial_delay_seconds)


def next_start(
    previous_start: float, finished_at: float, period_seconds: float, share: float
) -> float:
    """Return the first tick after the previous start that is not over when the run finishes.

    Args:
        previous_start: when the last run started.
        finished_at: when it ended, not before its start.
        period_seconds: > 0.
        share: random in [0, 1): how much of the jitter to use.
    """
    interval = period_seconds * (1 + START_JITTER * share)
    ticks = max(1, math.ceil((finished_at - previous_start) / interval))
    return previous_start + ticks * interval


def startable(waiting: Iterable[Due], now: float, free_slots: int) -> list[str]:
    """Return the names of the probes to start now: those that are due, the most overdue first."""
    due = sorted((item.at, item.name) for item in waiting if item.at <= now)
    return [name for _, name in due[: max(0, free_slots)]]
