"""An ordinary report, and the slow way of holding a report to its bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aggregator.intake import bounds
from aggregator.intake.bounds import OutOfBounds, keep_within_bounds
from shared.protocol.report import ContainerReport, ProbeReport, Report, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def plain_report(**fields: Any) -> Report:
    probe = ProbeReport(
        "idle",
        Status.TRUE,
        result="players: 3",
        message="all is well",
        exit_code=0,
        stderr="a warning\nof two lines",
        started_at=NOW,
        duration_seconds=0.1,
        transition_at=NOW,
        runs=7,
        consecutive=3,
    )
    whole = Report(
        pod_uid="u",
        epoch=1,
        sequence=1,
        sent_at=NOW,
        agent_version="0.1.0",
        probes_revision="r1",
        containers=(ContainerReport("game", running=True, started_at=NOW),),
        probes=(probe,),
    )
    return replace(whole, **fields)


def the_long_way(report: Report, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Return what becomes of a report without the quick look."""
    with monkeypatch.context() as patched:
        patched.setattr(bounds, "_is_plain", lambda _report, _latest: False)
        return keep_within_bounds(report, NOW)


def outcome(look: Callable[[], Report]) -> Report | str:
    try:
        return look()
    except OutOfBounds as error:
        return f"{error.field}: {error.message}"
