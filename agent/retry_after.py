"""Reads the header Retry-After: seconds or a date (RFC 9110, section 10.2.3). Pure.

`email.utils` reads such dates, too, but brings 3 MiB into every game pod.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# IMF-fixdate (RFC 9110, section 5.6.7); the two obsolete forms are not sent by anything of today.
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>[0-9]{2}) (?P<month>[A-Z][a-z]{2})"
    r" (?P<year>[0-9]{4}) (?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) GMT"
)


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how many seconds the server asks to wait; None if it does not say, or unreadably.

    Args:
        headers: of the response, names in lower case. A date is compared with the response's own
            `Date`, so that a wrong clock on either side does not matter.
        now: wall-clock time, for a response without `Date`.
    """
    value = headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    at = _read_date(value)
    if at is None:
        return None
    sent = _read_date(headers.get("date", "")) or now
    return max(0.0, (at - sent).total_seconds())


def _read_date(value: str) -> datetime | None:
    match = _DATE.fullmatch(value)
    if match is None or match["month"] not in _MONTHS:
        return None
    try:
        return datetime(
            int(match["year"]),
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            int(match["second"]),
            tzinfo=UTC,
        )
    except ValueError:
        return None  # the 30th of February, say
