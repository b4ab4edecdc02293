"""Whether a report is taken, and in which form (SPEC 3). Pure.

Theory: (epoch, sequence) orders the reports of one pod. A newer pair replaces what is known, the
same pair is a repetition whose first answer was lost, an older one was overtaken on its way. A new
epoch beats any sequence of an older one, because an agent counts from 1 again after a restart.
Only what breaks the structure is refused. Texts that are too long are cut and times of a clock that
is plainly wrong are dropped: a refusal would make an agent mute whose verdicts are good.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Any

from aggregator.ledger import Accepted
from shared.protocol.paths import MAX_MESSAGE_CHARACTERS, MAX_PROBES, MAX_REPORT_STDERR_BYTES
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
# Clocks of nodes differ by milliseconds; a minute is no time of day any more.
_CLOCK_SKEW = timedelta(minutes=1)
# A clock that was never set stands at 1970.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The last accepted report once more: its answer was lost, so it is answered again."""


@dataclass(frozen=True, slots=True)
class Stale:
    """An older report than the accepted one of epoch `accepted_epoch`; ignored."""

    accepted_epoch: int


@dataclass(frozen=True, slots=True)
class Invalid:
    """The report breaks a rule of the protocol at the path `field`."""

    field: str
    message: str


class _Broken(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.invalid = Invalid(field, message)


def admit(
    last: Accepted | None, report: Report, now: datetime
) -> Accepted | Duplicate | Stale | Invalid:
    """Decide about `report`.

    Args:
        last: what was accepted last for this pod uid.
        report: decoded; it has the right types and no more.
        now: wall-clock time of the aggregator.
    """
    if last is not None:
        order, former = _order(report), _order(last.report)
        if order == former:
            return Duplicate()
        if order < former:
            return Stale(last.report.epoch)
    try:
        cleaned = _clean(report, now)
    except _Broken as broken:
        return broken.invalid
    changed = last is None or _is_changed(last.report, cleaned)
    return Accepted(cleaned, now, changed)


def _order(report: Report) -> tuple[int, int]:
    return report.epoch, report.sequence


def _is_changed(former: Report, report: Report) -> bool:
    """Tell whether what decisions read differs: not times of probes, counters, nor stderr."""
    return (
        former.probes_revision != report.probes_revision
        or former.containers != report.containers
        or len(former.probes) != len(report.probes)
        or any(
            (p.name, p.status, p.result, p.reason, p.message)
            != (q.name, q.status, q.result, q.reason, q.message)
            for p, q in zip(former.probes, report.probes, strict=True)
        )
    )


def _clean(report: Report, now: datetime) -> Report:
    """Return the report within its bounds; the very same one if it is already."""
    latest = now + _CLOCK_SKEW
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
        raise _Broken(f"{path}.durationSeconds", "must be a number of seconds, zero or more")
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
        raise _Broken(path, "must be a time with its offset, for example 2026-01-02T03:04:05Z")
    return moment if _EARLIEST <= moment <= latest else None


def _check_count(value: int, path: str, *, least: int) -> None:
    if not least <= value <= _MAX_COUNT:
        raise _Broken(path, f"must be between {least} and {_MAX_COUNT}")


def _check_text(value: str, path: str, most: int) -> None:
    if len(value) > most:
        raise _Broken(path, f"must have at most {most} characters")


def _check_names(names: Sequence[str], path: str, most: int) -> None:
    if len(names) > most:
        raise _Broken(path, f"must be a list of at most {most} objects")
    seen: set[str] = set()
    for index, name in enumerate(names):
        if not 1 <= len(name) <= _MAX_NAME_CHARACTERS:
            bounds = f"must have 1 to {_MAX_NAME_CHARACTERS} characters"
            raise _Broken(f"{path}[{index}].name", bounds)
        if name in seen:
            raise _Broken(f"{path}[{index}].name", f"{name!r} is there twice")
        seen.add(name)
