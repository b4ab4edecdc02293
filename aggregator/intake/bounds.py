"""What a report may hold, and what becomes of the rest (SPEC 3). Pure.

Only what breaks the structure is refused. Texts that are too long are cut and times of a clock that
is plainly wrong are dropped: a refusal would make an agent mute whose verdicts are good.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any

from shared.protocol.paths import (
    MAX_MESSAGE_CHARACTERS,
    MAX_PROBES,
    MAX_REPORT_STDERR_BYTES,
    MAX_RESULT_BYTES,
)
from shared.protocol.report import clean_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.protocol.report import ContainerReport, ProbeReport, Report

_MAX_CONTAINERS = 64
_MAX_NAME_CHARACTERS = 63  # a DNS label, as container and quality names are
_MAX_REASON_CHARACTERS = 64
_MAX_WORD_CHARACTERS = 64  # agentVersion, probesRevision
_MAX_EXIT_CODE = 2**31  # a process ends with 0 to 255; a signal may be written as a negative one
_MAX_COUNT = 2**53 - 1  # exact in every JSON implementation
# Four bytes a character at most: within the bounds of results, messages and stderr alike.
_PLAIN_CHARACTERS = min(MAX_RESULT_BYTES // 4, MAX_MESSAGE_CHARACTERS)
# Clocks of nodes differ by milliseconds; a minute is no time of day any more.
_CLOCK_SKEW = timedelta(minutes=1)
# A clock that was never set stands at 1970.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


class OutOfBounds(Exception):  # noqa: N818 - says what is wrong
    """The report breaks a rule of the protocol at the path `field`; `admit` answers it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message


def keep_within_bounds(report: Report, now: datetime) -> Report:
    """Return the report within its bounds; the very same one if it is already.

    Raises:
        OutOfBounds: its structure is broken.
    """
    latest = now + _CLOCK_SKEW
    if _is_plain(report, latest):
        return report
    _check_count(report.epoch, "epoch", least=0)
    _check_count(report.sequence, "sequence", least=1)
    _check_text(report.agent_version, "agentVersion", _MAX_WORD_CHARACTERS)
    _check_text(report.probes_revision, "probesRevision", _MAX_WORD_CHARACTERS)
    _check_names([c.name for c in report.containers], "containers", _MAX_CONTAINERS)
    _check_names([p.name for p in report.probes], "probes", MAX_PROBES)
    changes: dict[str, Any] = {}
    if _clean_time(report.sent_at, "sentAt", latest) is None:
        changes["sent_at"] = now
    containers = tuple(
        _clean_container(container, f"containers[{index}]", latest)
        for index, container in enumerate(report.containers)
    )
    probes = tuple(
        _clean_probe(probe, f"probes[{index}]", latest) for index, probe in enumerate(report.probes)
    )
    if not _all_same(containers, report.containers):
        changes["containers"] = containers
    if not _all_same(probes, report.probes):
        changes["probes"] = probes
    return replace(report, **changes) if changes else report


def _is_plain(report: Report, latest: datetime) -> bool:
    """Tell whether the report is so ordinary that nothing in it needs a second look.

    Nearly every report is, and this is several times as quick as cleaning it. What is
    unusual may be within its bounds all the same; the long way finds that out.
    """
    containers, probes = report.containers, report.probes
    return (
        0 <= report.epoch <= _MAX_COUNT
        and 1 <= report.sequence <= _MAX_COUNT
        and len(report.agent_version) <= _MAX_WORD_CHARACTERS
        and len(report.probes_revision) <= _MAX_WORD_CHARACTERS
        and len({each.name for each in containers}) == len(containers) <= _MAX_CONTAINERS
        and len({each.name for each in probes}) == len(probes) <= MAX_PROBES
        and _is_plain_time(report.sent_at, latest)
        and _are_plain_containers(containers, latest)
        and _are_plain_probes(probes, latest)
    )


def _are_plain_containers(containers: Sequence[ContainerReport], latest: datetime) -> bool:
    # A loop costs half of `all` with a generator, here and below.
    for each in containers:
        if not 1 <= len(each.name) <= _MAX_NAME_CHARACTERS:
            return False
        if not _is_plain_time(each.started_at, latest):
            return False
    return True


def _are_plain_probes(probes: Sequence[ProbeReport], latest: datetime) -> bool:
    for probe in probes:  # noqa: SIM110
        if not _is_plain_probe(probe, latest):
            return False
    return True


def _is_plain_probe(probe: ProbeReport, latest: datetime) -> bool:
    duration, code = probe.duration_seconds, probe.exit_code
    return (
        1 <= len(probe.name) <= _MAX_NAME_CHARACTERS
        and (not probe.result or _is_plain_text(probe.result, "|"))
        and (not probe.message or _is_plain_text(probe.message, "  "))
        and len(probe.reason) <= _MAX_REASON_CHARACTERS
        and len(probe.stderr) <= MAX_REPORT_STDERR_BYTES // 4
        and 0 <= probe.runs <= _MAX_COUNT
        and 0 <= probe.consecutive <= _MAX_COUNT
        and (code is None or 0 <= code <= _MAX_EXIT_CODE)
        and (duration is None or 0 <= duration <= _MAX_COUNT)
        and _is_plain_time(probe.started_at, latest)
        and _is_plain_time(probe.transition_at, latest)
    )


def _is_plain_text(text: str, unwanted: str) -> bool:
    """Tell whether a text is short, printable, without blanks around it and the `unwanted`."""
    return (
        len(text) <= _PLAIN_CHARACTERS
        and text.isprintable()
        and unwanted not in text
        # Of all spaces only this one is printable.
        and text[0] != " "
        and text[-1] != " "
    )


def _is_plain_time(moment: datetime | None, latest: datetime) -> bool:
    if moment is None:
        return True
    # The year first: comparing two aware times asks both for their offset.
    return moment.year > _EARLIEST.year and moment.tzinfo is not None and moment <= latest


def _all_same(cleaned: Sequence[object], given: Sequence[object]) -> bool:
    return all(new is old for new, old in zip(cleaned, given, strict=True))


def _clean_container(container: ContainerReport, path: str, latest: datetime) -> ContainerReport:
    started_at = _clean_time(container.started_at, f"{path}.startedAt", latest)
    if started_at is container.started_at:
        return container
    return replace(container, started_at=started_at)


def _clean_probe(probe: ProbeReport, path: str, latest: datetime) -> ProbeReport:
    """Return the probe within its bounds; the very same one if it is already, as nearly always."""
    _check_count(probe.runs, f"{path}.runs", least=0)
    _check_count(probe.consecutive, f"{path}.consecutive", least=0)
    if probe.exit_code is not None:
        _check_count(probe.exit_code, f"{path}.exitCode", least=-_MAX_EXIT_CODE)
    duration = probe.duration_seconds
    if duration is not None and not (isfinite(duration) and duration >= 0):
        raise OutOfBounds(f"{path}.durationSeconds", "must be a number of seconds, zero or more")
    cleaned: dict[str, Any] = {
        "result": clean_result(probe.result),
        "reason": probe.reason[:_MAX_REASON_CHARACTERS],
        "message": _one_line(probe.message),
        "stderr": _last_bytes(probe.stderr, MAX_REPORT_STDERR_BYTES),
        "started_at": _clean_time(probe.started_at, f"{path}.startedAt", latest),
        "transition_at": _clean_time(probe.transition_at, f"{path}.transitionAt", latest),
    }
    if all(getattr(probe, name) == value for name, value in cleaned.items()):
        return probe
    return replace(probe, **cleaned)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_MESSAGE_CHARACTERS]


def _last_bytes(text: str, most: int) -> str:
    """Return the end of `text` in at most `most` bytes, cut at a character."""
    if len(text) * 4 <= most or len(encoded := text.encode()) <= most:
        return text
    return encoded[-most:].decode(errors="ignore")


def _clean_time(moment: datetime | None, path: str, latest: datetime) -> datetime | None:
    """Return the time, None if it comes from a clock that is plainly wrong."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise OutOfBounds(path, "must be a time with its offset, for example 2026-01-02T03:04:05Z")
    return moment if _EARLIEST <= moment <= latest else None


def _check_count(value: int, path: str, *, least: int) -> None:
    if not least <= value <= _MAX_COUNT:
        raise OutOfBounds(path, f"must be between {least} and {_MAX_COUNT}")


def _check_text(value: str, path: str, most: int) -> None:
    if len(value) > most:
        raise OutOfBounds(path, f"must have at most {most} characters")


def _check_names(names: Sequence[str], path: str, most: int) -> None:
    if len(names) > most:
        raise OutOfBounds(path, f"must be a list of at most {most} objects")
    seen: set[str] = set()
    for index, name in enumerate(names):
        if not 1 <= len(name) <= _MAX_NAME_CHARACTERS:
            bounds = f"must have 1 to {_MAX_NAME_CHARACTERS} characters"
            raise OutOfBounds(f"{path}[{index}].name", bounds)
        if name in seen:
            raise OutOfBounds(f"{path}[{index}].name", f"{name!r} is there twice")
        seen.add(name)
