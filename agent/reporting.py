"""What the agent says of itself: the report to the aggregator and the body of /status. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.version import AGENT_VERSION
from shared.protocol.paths import (
    MAX_MESSAGE_CHARACTERS,
    MAX_REPORT_BYTES,
    MAX_REPORT_STDERR_BYTES,
)
from shared.protocol.report import ContainerReport, ProbeReport, Report
from shared.protocol.wire import render

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agent.outbox import Outbox
    from agent.prober import ActiveProbe


def report_probe(probe: ActiveProbe) -> ProbeReport:
    """Return one probe as a report states it."""
    state = probe.state
    last = probe.history[-1] if state.last is not None else None
    return ProbeReport(
        name=probe.spec.name,
        status=state.published.status,
        result=state.published.result,
        reason=state.published.reason,
        message=state.published.message[:MAX_MESSAGE_CHARACTERS],
        exit_code=None if last is None else last.exit_code,
        stderr="" if last is None else _tail(last.stderr, MAX_REPORT_STDERR_BYTES),
        started_at=None if last is None else last.started_at,
        duration_seconds=None if last is None else last.duration_seconds,
        transition_at=state.transition_at,
        runs=state.runs,
        consecutive=state.consecutive,
    )


def encode_report(report: Report) -> bytes:
    """Return the report as JSON, at most MAX_REPORT_BYTES.

    If need be without stderr, which no decision reads.
    """
    fields = render(report)
    body = _json(fields)
    if len(body) > MAX_REPORT_BYTES:
        for probe in fields["probes"]:
            probe["stderr"] = ""
        body = _json(fields)
    return body


def build_report(
    pod_uid: str,
    outbox: Outbox,
    now: datetime,
    probes_revision: str,
    state: tuple[Iterable[ContainerReport], Iterable[ActiveProbe]],
) -> Report:
    """Return the whole current state, numbered by an outbox that has counted it already."""
    containers, probes = state
    return Report(
        pod_uid=pod_uid,
        epoch=outbox.epoch,
        sequence=outbox.sequence,
        sent_at=now,
        agent_version=AGENT_VERSION,
        probes_revision=probes_revision,
        containers=tuple(containers),
        probes=tuple(report_probe(probe) for probe in probes),
    )


def describe_probe(probe: ActiveProbe, now: float) -> dict[str, Any]:
    """Return everything about one probe, for /status; `now` is on the monotonic clock."""
    container = probe.container
    next_in = None if probe.next_start is None else round(max(0.0, probe.next_start - now), 3)
    fields: dict[str, Any] = {
        "spec": render(probe.spec),
        "verdict": render(report_probe(probe)),
        "thresholds": {
            "success": probe.state.thresholds.success,
            "failure": probe.state.thresholds.failure,
        },
        "running": probe.running is not None,
        "nextRunInSeconds": next_in,
        "container": None,
        "runs": [render(outcome) for outcome in reversed(probe.history)],
    }
    if container is not None:
        fields["container"] = {
            "pid": container.process.pid,
            "starttimeTicks": container.process.starttime,
            "startedAt": render(container.started_at),
        }
    return fields


def _tail(text: str, most_bytes: int) -> str:
    return text.encode()[-most_bytes:].decode(errors="ignore")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
