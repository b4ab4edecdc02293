"""Whether a report is taken, and in which form (SPEC 3). Pure.

Theory: (epoch, sequence) orders the reports of one pod. A newer pair replaces what is known, the
same pair is a repetition whose first answer was lost, an older one was overtaken on its way. A new
epoch beats any sequence of an older one, because an agent counts from 1 again after a restart.
What a report may hold is said in `bounds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.intake.bounds import OutOfBounds, keep_within_bounds
from aggregator.ledger import Accepted

if TYPE_CHECKING:
    from datetime import datetime

    from shared.protocol.report import Report


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
        cleaned = keep_within_bounds(report, now)
    except OutOfBounds as error:
        return Invalid(error.field, error.message)
    changed = last is None or _is_changed(last.report, cleaned)
    return Accepted(cleaned, now, changed)


def _order(report: Report) -> tuple[int, int]:
    return report.epoch, report.sequence


def _is_changed(former: Report, report: Report) -> bool:
    """Tell whether what decisions read differs: not times of probes, counters, nor stderr."""
    if (
        former.probes_revision != report.probes_revision
        or former.containers != report.containers
        or len(former.probes) != len(report.probes)
    ):
        return True
    # A loop without tuples: it runs for every report, and nearly always to its end.
    for p, q in zip(former.probes, report.probes, strict=True):
        if (
            p.result != q.result
            or p.status is not q.status
            or p.name != q.name
            or p.reason != q.reason
            or p.message != q.message
        ):
            return True
    return False
