"""The quick look at an ordinary report never lets through what the long one would change."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.intake import bounds
from aggregator.intake.bounds import OutOfBounds, keep_within_bounds
from shared.protocol.report import ContainerReport, ProbeReport, Report, Status

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


def test_an_ordinary_report_is_the_very_same_one_both_ways(monkeypatch) -> None:
    report = plain_report()
    assert keep_within_bounds(report, NOW) is report
    assert the_long_way(report, monkeypatch) is report


TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["", " ", "a|b", "a  b", " a", "a\n", "x" * 256, "x" * 257, "é" * 600, "\u2028"]
    ),
)
TIMES = st.sampled_from(
    [
        None,
        NOW,
        NOW + timedelta(minutes=1),
        NOW + timedelta(minutes=1, microseconds=1),
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(1999, 12, 31, tzinfo=UTC),
        datetime(2001, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1),  # noqa: DTZ001
    ]
)
COUNTS = st.sampled_from([-1, 0, 1, 2**31, 2**53 - 1, 2**53])
NAMES = st.sampled_from(["", "a", "b", "n" * 63, "n" * 64])
PROBES = st.builds(
    ProbeReport,
    name=NAMES,
    status=st.sampled_from(Status),
    result=TEXTS,
    reason=st.sampled_from(["", "R" * 64, "R" * 65]),
    message=TEXTS,
    exit_code=st.sampled_from([None, -(2**31) - 1, -1, 0, 255, 2**31 + 1]),
    stderr=TEXTS,
    started_at=TIMES,
    duration_seconds=st.sampled_from([None, -0.1, 0.0, 1.5, float("nan"), float("inf"), 1e300]),
    transition_at=TIMES,
    runs=COUNTS,
    consecutive=COUNTS,
)
REPORTS = st.builds(
    Report,
    pod_uid=st.just("u"),
    epoch=COUNTS,
    sequence=COUNTS,
    sent_at=TIMES.filter(lambda moment: moment is not None),
    agent_version=st.sampled_from(["", "v" * 64, "v" * 65]),
    probes_revision=st.sampled_from(["", "r" * 64, "r" * 65]),
    containers=st.lists(
        st.builds(ContainerReport, name=NAMES, running=st.booleans(), started_at=TIMES), max_size=3
    ).map(tuple),
    probes=st.lists(PROBES, max_size=3).map(tuple),
)


@given(REPORTS)
def test_whatever_is_sent_both_ways_come_to_the_same(report: Report) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        slow = outcome(lambda: the_long_way(report, monkeypatch))
    assert outcome(lambda: keep_within_bounds(report, NOW)) == slow


@given(PROBES)
def test_one_unusual_probe_among_ordinary_ones_comes_to_the_same(probe: ProbeReport) -> None:
    report = plain_report(probes=(*plain_report().probes, replace(probe, name="other")))
    with pytest.MonkeyPatch.context() as monkeypatch:
        slow = outcome(lambda: the_long_way(report, monkeypatch))
    assert outcome(lambda: keep_within_bounds(report, NOW)) == slow


@pytest.mark.parametrize(
    ("count", "field"), [(64, None), (65, "containers")], ids=["as many as allowed", "one more"]
)
def test_containers_are_counted(count: int, field: str | None) -> None:
    containers = tuple(ContainerReport(f"c{number}", running=True) for number in range(count))
    report = plain_report(containers=containers)
    if field is None:
        assert keep_within_bounds(report, NOW) is report
        return
    with pytest.raises(OutOfBounds) as caught:
        keep_within_bounds(report, NOW)
    assert caught.value.field == field
