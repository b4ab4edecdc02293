"""The quick look at an ordinary report never lets through what the long one would change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.intake.bounds import keep_within_bounds
from shared.protocol.report import ContainerReport, ProbeReport, Report, Status
from tests.support.plain_reports import NOW, outcome, plain_report, the_long_way

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
