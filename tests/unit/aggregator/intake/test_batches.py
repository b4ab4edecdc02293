"""One log line tells of all reports of a heartbeat, and an idle fleet writes none."""

import asyncio

import pytest
from structlog.testing import capture_logs

from aggregator.intake.batches import ReportBatch, write_lines
from aggregator.kube.resources import ObjectKey
from shared.protocol.report import Rejection

SENDER = ObjectKey("games", "minecraft-0")


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def batch(clock: Clock) -> ReportBatch:
    return ReportBatch(clock)


def line_of(batch: ReportBatch) -> list[dict[str, object]]:
    with capture_logs() as lines:
        batch.write_line()
    return lines  # type: ignore[return-value]


def test_a_fleet_that_says_nothing_new_is_told_at_debug_with_each_agent_once(
    batch: ReportBatch, clock: Clock
) -> None:
    for uid in ("a", "b", "a"):
        batch.add("Accepted", uid, changed=False)
    clock.seconds += 10.00049
    assert line_of(batch) == [
        {
            "event": "reports answered",
            "log_level": "debug",
            "count": 3,
            "agents": 2,
            "changed": 0,
            "outcomes": {"Accepted": 3},
            "duration_seconds": 10.0,
        }
    ]


def test_a_report_that_says_something_new_is_told_at_info(batch: ReportBatch) -> None:
    batch.add("Duplicate", "a", changed=False)
    batch.add("Accepted", "a", changed=True)
    batch.add("Accepted", "b", changed=True)
    assert line_of(batch) == [
        {
            "event": "reports answered",
            "log_level": "info",
            "count": 3,
            "agents": 2,
            "changed": 2,
            "outcomes": {"Accepted": 2, "Duplicate": 1},
            "duration_seconds": 0.0,
        }
    ]


def test_the_first_refusal_is_told_as_its_sender_was_and_the_others_are_counted(
    batch: ReportBatch,
) -> None:
    batch.add_refused(Rejection("Invalid", "must be a count", field="probes[0].runs"), SENDER)
    batch.add_refused(Rejection("Unauthenticated", "the token is not valid"), None)
    batch.add_refused(Rejection("Invalid", "is no field of a report", field="x"), SENDER)
    assert line_of(batch) == [
        {
            "event": "reports answered",
            "log_level": "info",
            "count": 3,
            "agents": 0,
            "changed": 0,
            "outcomes": {"Invalid": 2, "Unauthenticated": 1},
            "duration_seconds": 0.0,
            "key": "games/minecraft-0",
            "reason": "Invalid",
            "field": "probes[0].runs",
            "message": "must be a count",
        }
    ]


def test_a_refusal_of_a_stranger_has_no_key_and_what_a_sender_chose_is_cut(
    batch: ReportBatch,
) -> None:
    batch.add_refused(Rejection("Invalid", "is no\nfield", field="x" * 60_000), None)
    (line,) = line_of(batch)
    assert "key" not in line
    assert (line["message"], line["field"]) == ("is no field", "x" * 255 + "…")


def test_a_line_begins_the_next_batch(batch: ReportBatch, clock: Clock) -> None:
    batch.add("Accepted", "a", changed=True)
    batch.add_refused(Rejection("Stale", "a newer report was accepted"), SENDER)
    clock.seconds += 10
    assert len(line_of(batch)) == 1
    assert line_of(batch) == []
    batch.add("Accepted", "a", changed=False)
    clock.seconds += 7
    assert line_of(batch) == [
        {
            "event": "reports answered",
            "log_level": "debug",
            "count": 1,
            "agents": 1,
            "changed": 0,
            "outcomes": {"Accepted": 1},
            "duration_seconds": 7.0,
        }
    ]


def test_a_batch_without_a_report_begins_anew_too(batch: ReportBatch, clock: Clock) -> None:
    clock.seconds += 1000
    assert line_of(batch) == []
    clock.seconds += 10
    batch.add("Accepted", "a", changed=True)
    assert [line["duration_seconds"] for line in line_of(batch)] == [10.0]


@pytest.mark.looptime
async def test_lines_are_written_at_each_interval_and_the_rest_at_the_end(
    batch: ReportBatch,
) -> None:
    with capture_logs() as lines:
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(write_lines(batch, 10))
            for uid in ("a", "b", "c"):
                batch.add("Accepted", uid, changed=True)
            await asyncio.sleep(15)
            batch.add("Accepted", "a", changed=True)
            batch.add("Accepted", "b", changed=True)
            await asyncio.sleep(10)
            batch.add("Accepted", "a", changed=True)
            writer.cancel()
    assert [line["count"] for line in lines] == [3, 2, 1]
