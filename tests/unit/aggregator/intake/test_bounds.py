"""What a report may hold: the last value of each bound that is taken, and the first that is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aggregator.intake import bounds
from aggregator.intake.bounds import keep_within_bounds
from shared.protocol.report import ContainerReport, Report
from tests.support.plain_reports import NOW, outcome, plain_report, the_long_way

MOST = 2**53 - 1
LATEST = NOW + timedelta(minutes=1)
TICK = timedelta(microseconds=1)
WITHOUT_OFFSET = datetime(2026, 1, 1)  # noqa: DTZ001
LENGTH = "must have 1 to 63 characters"
OFFSET = "must be a time with its offset, for example 2026-01-02T03:04:05Z"
DURATION = "must be a number of seconds, zero or more"


def with_probe(**fields: Any) -> Report:
    report = plain_report()
    return replace(report, probes=(replace(report.probes[0], **fields),))


def with_container(**fields: Any) -> Report:
    report = plain_report()
    return replace(report, containers=(replace(report.containers[0], **fields),))


def with_probes(*names: str) -> Report:
    report = plain_report()
    return replace(report, probes=tuple(replace(report.probes[0], name=name) for name in names))


def with_containers(*names: str) -> Report:
    return plain_report(containers=tuple(ContainerReport(name, running=True) for name in names))


def numbered(count: int) -> list[str]:
    return [f"n{number}" for number in range(count)]


PLAIN = {
    "nothing measured": plain_report(containers=(), probes=()),
    "the least numbers": plain_report(epoch=0, sequence=1),
    "the greatest numbers": plain_report(epoch=MOST, sequence=MOST),
    "long words": plain_report(agent_version="v" * 64, probes_revision="r" * 64),
    "no words": plain_report(agent_version="", probes_revision=""),
    "64 containers": with_containers(*numbered(64)),
    "64 probes": with_probes(*numbered(64)),
    "a container's name of one letter": with_containers("c"),
    "a container's name of 63 letters": with_containers("c" * 63),
    "a probe's name of one letter": with_probe(name="p"),
    "a probe's name of 63 letters": with_probe(name="p" * 63),
    "the latest times": replace(
        with_probe(started_at=LATEST, transition_at=LATEST), sent_at=LATEST
    ),
    "the earliest year of the quick look": with_container(
        started_at=datetime(2001, 1, 1, tzinfo=UTC)
    ),
    "no times": with_probe(started_at=None, transition_at=None),
    "no time of a container": with_container(started_at=None),
    "no text": with_probe(result="", reason="", message="", stderr=""),
    "texts of 256 letters": with_probe(result="é" * 256, message="é" * 256, stderr="é" * 256),
    "a reason of 64 letters": with_probe(reason="R" * 64),
    "texts of one letter": with_probe(result="x", message="x"),
    "a bar in a message": with_probe(message="a|b"),
    "two blanks in a result": with_probe(result="a  b"),
    "no code and no duration": with_probe(exit_code=None, duration_seconds=None),
    "no run": with_probe(runs=0, consecutive=0, exit_code=0, duration_seconds=0.0),
    "many runs": with_probe(runs=MOST, consecutive=MOST, exit_code=2**31, duration_seconds=MOST),
}


@pytest.mark.parametrize("report", PLAIN.values(), ids=PLAIN)
def test_an_ordinary_report_is_the_very_same_one_after_a_quick_look(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert the_long_way(report, monkeypatch) is report

    def look_longer(*_arguments: object, **_fields: object) -> None:
        pytest.fail("nearly every report is like this: it must not cost the long way")

    monkeypatch.setattr(bounds, "_check_count", look_longer)
    assert keep_within_bounds(report, NOW) is report


UNUSUAL = {
    "a signal as exit code": with_probe(exit_code=-9),
    "the least exit code": with_probe(exit_code=-(2**31)),
    "the greatest exit code": with_probe(exit_code=MOST),
    "a duration beyond all counts": with_probe(duration_seconds=1e300),
    "the first moment of the century": with_container(started_at=datetime(2000, 1, 1, tzinfo=UTC)),
    "a result of 1024 bytes": with_probe(result="x" * 1024),
    "a stderr of 1024 bytes": with_probe(stderr="x" * 1023 + "\n"),
    "a stderr of 512 letters of two bytes": with_probe(stderr="é" * 512),
}


@pytest.mark.parametrize("report", UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_report_within_its_bounds_is_the_very_same_one(report: Report) -> None:
    assert keep_within_bounds(report, NOW) is report


CLEANED: dict[str, tuple[Report, Report]] = {
    "a time of sending before 2000": (
        plain_report(sent_at=datetime(2000, 1, 1, tzinfo=UTC) - TICK),
        plain_report(sent_at=NOW),
    ),
    "a time of sending to come": (plain_report(sent_at=LATEST + TICK), plain_report(sent_at=NOW)),
    "a container that started before 2000": (
        with_container(started_at=datetime(1970, 1, 1, tzinfo=UTC)),
        with_container(started_at=None),
    ),
    "a container that started before 2000, though not where it runs": (
        with_container(started_at=datetime(2000, 1, 1, tzinfo=timezone(timedelta(hours=5)))),
        with_container(started_at=None),
    ),
    "a container that will have started": (
        with_container(started_at=LATEST + TICK),
        with_container(started_at=None),
    ),
    "a run to come": (with_probe(started_at=LATEST + TICK), with_probe(started_at=None)),
    "a change to come": (with_probe(transition_at=LATEST + TICK), with_probe(transition_at=None)),
    "a result with blanks before it": (with_probe(result=" a"), with_probe(result="a")),
    "a result with blanks after it": (with_probe(result="a "), with_probe(result="a")),
    "a result with a bar": (with_probe(result="a|b"), with_probe(result="ab")),
    "a result of two lines": (with_probe(result="a\r\nb"), with_probe(result="ab")),
    "a long result": (with_probe(result="é" * 513), with_probe(result="é" * 512)),
    "a long reason": (with_probe(reason="R" * 65), with_probe(reason="R" * 64)),
    "a message with blanks before it": (with_probe(message=" a"), with_probe(message="a")),
    "a message with blanks after it": (with_probe(message="a "), with_probe(message="a")),
    "a message with two blanks": (with_probe(message="a  b"), with_probe(message="a b")),
    "a message of two lines": (with_probe(message="a\nb"), with_probe(message="a b")),
    "a long message": (with_probe(message="é" * 257), with_probe(message="é" * 256)),
    "a long stderr keeps its end": (
        with_probe(stderr="first" + "x" * 1024),
        with_probe(stderr="x" * 1024),
    ),
    "a long stderr is cut at a letter": (
        with_probe(stderr="é" * 512 + "x"),
        with_probe(stderr="é" * 511 + "x"),
    ),
}


@pytest.mark.parametrize(("report", "cleaned"), CLEANED.values(), ids=CLEANED)
def test_what_is_too_long_is_cut_and_what_no_clock_says_is_dropped(
    report: Report, cleaned: Report
) -> None:
    kept = keep_within_bounds(report, NOW)
    assert kept == cleaned
    # What needs no cleaning is not copied.
    assert (kept.containers is report.containers) is (report.containers == cleaned.containers)
    assert (kept.probes is report.probes) is (report.probes == cleaned.probes)


def test_the_other_probes_of_one_that_is_cleaned_are_kept() -> None:
    report = with_probes("a", "b")
    dirty = replace(report.probes[1], result="a|b")
    kept = keep_within_bounds(replace(report, probes=(report.probes[0], dirty)), NOW)
    assert kept.probes == (report.probes[0], replace(dirty, result="ab"))


def counted(least: int) -> str:
    return f"must be between {least} and {MOST}"


REFUSED = {
    "an epoch below zero": (plain_report(epoch=-1), f"epoch: {counted(0)}"),
    "an epoch that is not exact": (plain_report(epoch=MOST + 1), f"epoch: {counted(0)}"),
    "no sequence": (plain_report(sequence=0), f"sequence: {counted(1)}"),
    "a sequence that is not exact": (plain_report(sequence=MOST + 1), f"sequence: {counted(1)}"),
    "a long version": (
        plain_report(agent_version="v" * 65),
        "agentVersion: must have at most 64 characters",
    ),
    "a long revision": (
        plain_report(probes_revision="r" * 65),
        "probesRevision: must have at most 64 characters",
    ),
    "65 containers": (
        with_containers(*numbered(65)),
        "containers: must be a list of at most 64 objects",
    ),
    "65 probes": (with_probes(*numbered(65)), "probes: must be a list of at most 64 objects"),
    "a container without a name": (with_containers("a", ""), f"containers[1].name: {LENGTH}"),
    "a container with a long name": (with_containers("c" * 64), f"containers[0].name: {LENGTH}"),
    "a container twice": (
        with_containers("a", "b", "a"),
        "containers[2].name: 'a' is there twice",
    ),
    "a probe without a name": (with_probes("a", ""), f"probes[1].name: {LENGTH}"),
    "a probe with a long name": (with_probes("p" * 64), f"probes[0].name: {LENGTH}"),
    "a probe twice": (with_probes("a", "a"), "probes[1].name: 'a' is there twice"),
    "a time of sending without offset": (plain_report(sent_at=WITHOUT_OFFSET), f"sentAt: {OFFSET}"),
    "a container's start without offset": (
        with_container(started_at=WITHOUT_OFFSET),
        f"containers[0].startedAt: {OFFSET}",
    ),
    "a run without offset": (
        with_probe(started_at=WITHOUT_OFFSET),
        f"probes[0].startedAt: {OFFSET}",
    ),
    "a change without offset": (
        with_probe(transition_at=WITHOUT_OFFSET),
        f"probes[0].transitionAt: {OFFSET}",
    ),
    "fewer runs than none": (with_probe(runs=-1), f"probes[0].runs: {counted(0)}"),
    "runs that are not exact": (with_probe(runs=MOST + 1), f"probes[0].runs: {counted(0)}"),
    "fewer in a row than none": (
        with_probe(consecutive=-1),
        f"probes[0].consecutive: {counted(0)}",
    ),
    "an exit code below all": (
        with_probe(exit_code=-(2**31) - 1),
        f"probes[0].exitCode: {counted(-(2**31))}",
    ),
    "an exit code that is not exact": (
        with_probe(exit_code=MOST + 1),
        f"probes[0].exitCode: {counted(-(2**31))}",
    ),
    "an end before the start": (
        with_probe(duration_seconds=-0.1),
        f"probes[0].durationSeconds: {DURATION}",
    ),
    "a duration that is no number": (
        with_probe(duration_seconds=float("nan")),
        f"probes[0].durationSeconds: {DURATION}",
    ),
    "a duration without end": (
        with_probe(duration_seconds=float("inf")),
        f"probes[0].durationSeconds: {DURATION}",
    ),
}


@pytest.mark.parametrize(("report", "refusal"), REFUSED.values(), ids=REFUSED)
def test_what_breaks_the_structure_is_refused_with_its_path_and_the_rule(
    report: Report, refusal: str
) -> None:
    assert outcome(lambda: keep_within_bounds(report, NOW)) == refusal


def test_the_path_names_the_probe_that_is_wrong() -> None:
    report = with_probes("a", "b")
    wrong = replace(report, probes=(report.probes[0], replace(report.probes[1], runs=-1)))
    assert outcome(lambda: keep_within_bounds(wrong, NOW)) == f"probes[1].runs: {counted(0)}"
