"""/metrics: what the page says of probes, and that it is the format."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.metrics import (
    Family,
    RunCounter,
    gauge,
    handler_of,
    probe_families,
    process_families,
    render_metrics,
    report_families,
)
from agent.prober import ActiveProbe
from agent.probes.outcome import Outcome
from agent.verdict import Thresholds, advance, begin
from shared.protocol.probes import (
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    ProbeSpec,
    TCPSocketAction,
)
from shared.protocol.report import Status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = ProbeSpec("idle", "game", exec=ExecAction(("true",)))


def test_runs_time_and_verdict_of_a_probe() -> None:
    probe = ActiveProbe(SPEC, advance(begin(Thresholds(1, 1)), Outcome(Status.FALSE), NOW))
    counter = RunCounter({Status.TRUE: 7, Status.FALSE: 2, Status.UNKNOWN: 0}, seconds=1.25)
    assert render_metrics(probe_families([probe], {"idle": counter})).splitlines() == [
        "# HELP gamekeeper_agent_probe_runs_total Runs by how they ended.",
        "# TYPE gamekeeper_agent_probe_runs_total counter",
        'gamekeeper_agent_probe_runs_total{probe="idle",handler="exec",status="True"} 7',
        'gamekeeper_agent_probe_runs_total{probe="idle",handler="exec",status="False"} 2',
        'gamekeeper_agent_probe_runs_total{probe="idle",handler="exec",status="Unknown"} 0',
        "# HELP gamekeeper_agent_probe_seconds_total Time that runs took.",
        "# TYPE gamekeeper_agent_probe_seconds_total counter",
        'gamekeeper_agent_probe_seconds_total{probe="idle",handler="exec"} 1.25',
        "# HELP gamekeeper_agent_probe_verdict 1 for the published verdict.",
        "# TYPE gamekeeper_agent_probe_verdict gauge",
        'gamekeeper_agent_probe_verdict{probe="idle",status="True"} 0',
        'gamekeeper_agent_probe_verdict{probe="idle",status="False"} 1',
        'gamekeeper_agent_probe_verdict{probe="idle",status="Unknown"} 0',
    ]


def test_reports_by_the_status_of_their_answer() -> None:
    families = report_families({"none": 1, "200": 5}, 3)
    assert render_metrics(families).splitlines()[2:] == [
        'gamekeeper_agent_reports_total{status="200"} 5',
        'gamekeeper_agent_reports_total{status="none"} 1',
        "# HELP gamekeeper_agent_report_failures Reports in a row not accepted.",
        "# TYPE gamekeeper_agent_report_failures gauge",
        "gamekeeper_agent_report_failures 3",
    ]


def test_the_process_has_memory_and_has_used_time() -> None:
    values = {family.name: family.samples[0][1] for family in process_families(1.5)}
    assert values["process_resident_memory_bytes"] > 1 << 20
    assert values["process_cpu_seconds_total"] > 0
    assert values["process_start_time_seconds"] == 1.5


def test_nothing_in_a_label_can_end_it() -> None:
    nasty = Family("m", "gauge", "h", (((("l", 'a"b\\c\nd'),), 1.0),))
    assert render_metrics([nasty]).splitlines()[2] == 'm{l="a\\"b\\\\c\\nd"} 1'


def test_large_and_small_numbers_stay_exact() -> None:
    pages = [render_metrics([gauge("m", "h", value)]) for value in (123456789012.0, 0.001, -2)]
    assert [page.splitlines()[2] for page in pages] == ["m 123456789012", "m 0.001", "m -2"]


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        ({"exec": ExecAction(("true",))}, "exec"),
        ({"http_get": HTTPGetAction(80)}, "httpGet"),
        ({"tcp_socket": TCPSocketAction(80)}, "tcpSocket"),
        ({"grpc": GRPCAction(80)}, "grpc"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_handler_is_called_as_in_the_manifest(handler: dict[str, Any], name: str) -> None:
    assert handler_of(dataclasses.replace(SPEC, **{"exec": None, **handler})) == name
