"""Windows of time in which other numbers hold: which are open, and when that changes. Pure.

A window opens at each `start` and closes at each `end`, both cron expressions in a time zone. It is
open when its next end comes before its next start: so no state has to be kept, and a window that
is open while the aggregator starts is open at once. Later windows override earlier ones, field by
field.

cronsim reads the expressions, because it is kept (the service healthchecks.io runs on it), typed,
without dependencies, and does what Debian's cron does when clocks change: what falls into the
skipped hour happens at its end, what falls into the repeated one happens once. croniter would bring
dateutil for what the standard library does here.

Source: https://manpages.debian.org/cron (crontab(5), daylight saving time); KEDA's cron scaler for
start, end and time zone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from aggregator.scaling.policy import Policy
    from aggregator.scaling.quantity import Amount


@dataclass(frozen=True, slots=True)
class Window:
    """A window and what holds in it; None leaves a number as it is.

    Attributes:
        start: cron expression of five fields.
        end: cron expression of five fields.
        zone: in which both are read.
    """

    name: str
    start: str
    end: str
    zone: ZoneInfo
    min_available: Amount | None = None
    max_available: Amount | None = None
    min_replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A policy at one moment.

    Attributes:
        policy: with what the open windows override.
        open: names of the open windows, in their order.
        until: when a window opens or closes next; None when none ever does.
    """

    policy: Policy
    open: tuple[str, ...] = ()
    until: datetime | None = None


def parse_zone(name: str, field: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        InvalidInput: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # A folder of the database is an OSError, a name that leaves it a ValueError.
        message = f"{name[:64]!r} is no time zone: it must be an IANA name such as Europe/Berlin"
        raise InvalidInput(field, message) from error


def check_cron(expression: str, moment: datetime, field: str) -> str:
    """Return a cron expression that can come true.

    Args:
        expression: five fields.
        moment: any time, from which the next match is looked for.
        field: for the error.

    Raises:
        InvalidInput: it cannot be read, or never comes true.
    """
    if len(expression.split()) != 5:
        message = "must have five fields: minute, hour, day of month, month, day of week"
        raise InvalidInput(field, f"{expression[:64]!r} {message}")
    try:
        found = _next(expression, moment)
    except CronSimError as error:
        raise InvalidInput(field, f"{expression[:64]!r} is no cron expression: {error}") from error
    if found is None:
        raise InvalidInput(field, f"{expression[:64]!r} never comes true")
    return expression


def schedule(policy: Policy, windows: Iterable[Window], now: datetime) -> Scheduled:
    """Return the policy that holds now, and until when it does.

    Args:
        policy: outside of all windows.
        windows: checked ones.
        now: aware; a window whose start is exactly now is open, one whose end is now is closed.
    """
    opened = []
    changes = []
    for window in windows:
        # Matches are strictly after the moment: a start or an end of this very moment is past.
        moment = now.astimezone(window.zone)
        start, end = _next(window.start, moment), _next(window.end, moment)
        changes += [each for each in (start, end) if each is not None]
        if end is not None and (start is None or end < start):
            opened.append(window.name)
            policy = _override(policy, window)
    return Scheduled(policy, tuple(opened), min(changes, default=None))


def _override(policy: Policy, window: Window) -> Policy:
    low = policy.min_available if window.min_available is None else window.min_available
    high = policy.max_available if window.max_available is None else window.max_available
    least = policy.min_replicas if window.min_replicas is None else window.min_replicas
    if isinstance(low, int) and isinstance(high, int) and low > high:
        # Each of them was in order with its own other: what the window says itself holds.
        low, high = (high, high) if window.min_available is None else (low, low)
    return replace(policy, min_available=low, max_available=high, min_replicas=least)


def _next(expression: str, moment: datetime) -> datetime | None:
    """Return the next match strictly after `moment`, in UTC; None when there is none."""
    matches = (match.astimezone(UTC) for match in CronSim(expression, moment))
    # In the second pass through an hour that clocks repeat, cronsim begins with the first pass.
    return next((match for match in matches if match > moment), None)
