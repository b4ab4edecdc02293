"""The only place that reads a clock. Decisions get `now` as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the wall-clock time, aware, in UTC: for timestamps that others read."""
    return datetime.now(UTC)


def monotonic_seconds() -> float:
    """Return seconds of a clock that never steps back: for durations and deadlines."""
    return time.monotonic()


def boottime_seconds() -> float:
    """Return seconds since boot, suspended time included: as in /proc/PID/stat."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """The clocks above as one argument, for parts that tests run in a time of their own."""

    def monotonic_seconds(self) -> float:
        """Return seconds of a clock that never steps back: for durations and deadlines."""
        return monotonic_seconds()

    def utc_now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC: for timestamps that others read."""
        return utc_now()
