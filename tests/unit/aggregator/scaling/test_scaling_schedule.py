"""Windows of time: when they are open, in any zone and on the days when clocks change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from aggregator.scaling.policy import Policy
from aggregator.scaling.schedule import Scheduled, Window, check_cron, parse_zone, schedule
from shared.errors import InvalidInput

POLICY = Policy(1, 100, min_available=3, max_available=5)


def window(start: str, end: str, zone: str = "UTC", **numbers) -> Window:
    name = numbers.pop("name", "evening")
    return Window(name, start, end, parse_zone(zone, "timeZone"), **numbers)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


EVENING = window("0 18 * * *", "0 23 * * *", min_replicas=9)


@pytest.mark.parametrize(
    ("now", "is_open", "until"),
    [
        ("2026-01-05T17:59:59.999", False, "2026-01-05T18:00"),
        ("2026-01-05T18:00", True, "2026-01-05T23:00"),
        ("2026-01-05T22:59:59.999", True, "2026-01-05T23:00"),
        ("2026-01-05T23:00", False, "2026-01-06T18:00"),
    ],
)
def test_a_window_is_open_from_its_start_until_its_end(now, is_open, until):
    assert schedule(POLICY, [EVENING], utc(now)) == Scheduled(
        replace(POLICY, min_replicas=9) if is_open else POLICY,
        ("evening",) if is_open else (),
        utc(until),
    )


def opened(windows: Window, day: str, minutes: int = 24 * 60) -> list[str]:
    """The minutes of a day, in UTC, at which the window opens or closes."""
    changes = []
    before = False
    for minute in range(minutes):
        now = utc(day) + timedelta(minutes=minute)
        is_open = bool(schedule(POLICY, [windows], now).open)
        if is_open != before:
            changes.append(f"{'opens' if is_open else 'closes'} {now:%H:%M}")
        before = is_open
    return changes


@pytest.mark.parametrize(
    ("start", "end", "day", "changes"),
    [
        pytest.param(
            "0 18 * * *", "0 23 * * *", "2026-01-05", ["opens 17:00", "closes 22:00"], id="winter"
        ),
        pytest.param(
            "0 18 * * *", "0 23 * * *", "2026-07-05", ["opens 16:00", "closes 21:00"], id="summer"
        ),
        pytest.param(
            "30 2 * * *",
            "30 3 * * *",
            "2026-03-29",
            ["opens 01:00", "closes 01:30"],
            id="the skipped hour opens it at its end",
        ),
        pytest.param(
            "30 2 * * *",
            "30 3 * * *",
            "2026-10-25",
            ["opens 00:30", "closes 02:30"],
            id="the repeated hour opens it once",
        ),
        pytest.param(
            "0 22 * * *",
            "0 2 * * *",
            "2026-01-05",
            ["opens 00:00", "closes 01:00", "opens 21:00"],
            id="over midnight",
        ),
        pytest.param("0 18 * * FRI", "0 23 * * FRI", "2026-01-05", [], id="not on a Monday"),
    ],
)
def test_a_window_keeps_the_clock_of_its_zone(start, end, day, changes):
    assert opened(window(start, end, "Europe/Berlin"), day) == changes


def test_later_windows_override_earlier_ones_field_by_field():
    now = utc("2026-01-05T20:00")
    early = window("0 18 * * *", "0 23 * * *", name="a", min_available=9, max_available=20)
    late = window("0 19 * * *", "0 21 * * *", name="b", min_available=Fraction(1, 5))
    assert schedule(POLICY, [early, late], now) == Scheduled(
        replace(POLICY, min_available=Fraction(1, 5), max_available=20),
        ("a", "b"),
        utc("2026-01-05T21:00"),
    )


@pytest.mark.parametrize(
    ("numbers", "low", "high"),
    [
        ({"min_available": 9}, 9, 9),
        ({"max_available": 1}, 1, 1),
        ({"min_available": 4}, 4, 5),
        ({"min_available": 0, "max_available": 0}, 0, 0),
    ],
)
def test_what_a_window_says_wins_over_what_it_leaves(numbers, low, high):
    always = window("0 18 * * *", "0 23 * * *", **numbers)
    policy = schedule(POLICY, [always], utc("2026-01-05T20:00")).policy
    assert (policy.min_available, policy.max_available) == (low, high)


def test_without_windows_nothing_changes():
    assert schedule(POLICY, [], utc("2026-01-05")) == Scheduled(POLICY)


def test_a_window_that_opens_and_closes_at_once_is_never_open():
    never = window("0 18 * * *", "0 18 * * *", min_replicas=9)
    assert opened(never, "2026-01-05") == []


@pytest.mark.parametrize("expression", ["0 18 * * *", "*/5 * * * 1-5", "0 0 29 2 *", "0 0 L * *"])
def test_a_cron_expression_is_accepted(expression):
    assert check_cron(expression, utc("2026-01-05"), "start") == expression


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "must have five fields"),
        ("* * * *", "must have five fields"),
        ("0 0 18 * * *", "must have five fields"),
        ("60 * * * *", "Bad minute"),
        ("x * * * *", "Bad minute"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("0 0 * * 8", "Bad day-of-week"),
    ],
)
def test_a_cron_expression_is_refused(expression, why):
    with pytest.raises(InvalidInput, match=why) as refused:
        check_cron(expression, utc("2026-01-05"), "spec.schedules[0].start")
    assert refused.value.field == "spec.schedules[0].start"


@pytest.mark.parametrize("name", ["", "Europe", "Mars/Phobos", "../etc/passwd", "/etc/passwd"])
def test_a_time_zone_is_refused(name):
    with pytest.raises(InvalidInput, match="it must be an IANA name such as Europe/Berlin"):
        parse_zone(name, "timeZone")
