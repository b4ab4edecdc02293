"""Ages as kubectl prints them. Pure.

Source: k8s.io/apimachinery pkg/util/duration (HumanDuration).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver.objects import parse_time

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_YEAR = 365 * _DAY

# Up to `below` seconds: the big unit alone, or with the rest in the small unit while that still
# says something.
_SCALE: tuple[tuple[int, tuple[int, str], tuple[int, str] | None], ...] = (
    (2 * _MINUTE, (1, "s"), None),
    (10 * _MINUTE, (_MINUTE, "m"), (1, "s")),
    (3 * _HOUR, (_MINUTE, "m"), None),
    (8 * _HOUR, (_HOUR, "h"), (_MINUTE, "m")),
    (2 * _DAY, (_HOUR, "h"), None),
    (8 * _DAY, (_DAY, "d"), (_HOUR, "h")),
    (2 * _YEAR, (_DAY, "d"), None),
    (8 * _YEAR, (_YEAR, "y"), (_DAY, "d")),
)


def human(duration: timedelta) -> str:
    """Return a duration in one or two units: `90s`, `3m5s`, `26h`, `5d3h`."""
    seconds = int(duration.total_seconds())
    if seconds < -1:
        return "<invalid>"
    seconds = max(0, seconds)
    for below, (big, big_name), small in _SCALE:
        if seconds < below:
            text = f"{seconds // big}{big_name}"
            rest = seconds % big // small[0] if small else 0
            return f"{text}{rest}{small[1]}" if small and rest else text
    return f"{seconds // _YEAR}y"


def age(text: object, now: datetime) -> str:
    """Return how long ago a metav1.Time was; `<unknown>` when there is none."""
    if text in (None, ""):
        return "<unknown>"
    moment = parse_time(text)
    return "<invalid>" if moment is None else human(now - moment)
