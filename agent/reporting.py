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


RESULT_SHORTENED = "ResultShortened"
_SHORTENED_MESSAGE = "the results of all probes exceed what a report holds: print less"
# Steps, so that a result which is cut does not change with every byte that another one prints.
_SHORTER_BYTES = (512, 256, 128, 64, 32, 0)


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

    Too much is shortened in this order: stderr and messages, which no decision reads, then long
    results. A shortened result ends with an ellipsis, so that it equals none an action could name,
    and says so by its reason; actions for any result still match.
    """
    fields = render(report)
    body = _json(fields)
    for key in ("stderr", "message", "result"):
        whole = [probe[key] for probe in fields["probes"]]
        for most_bytes in _SHORTER_BYTES:
            if len(body) <= MAX_REPORT_BYTES:
                return body
            for probe, text in zip(fields["probes"], whole, strict=True):
                _shorten(probe, key, text, most_bytes)
            body = _json(fields)
    return body


def _shorten(probe: dict[str, Any], key: str, text: str, most_bytes: int) -> None:
    if len(text.encode()) <= most_bytes:
        return
    if key == "stderr":
        probe[key] = _tail(text, most_bytes)
        return
    probe[key] = text.encode()[:most_bytes].decode(errors="ignore") + "\u2026"
    if key == "result" and not probe["reason"]:
        probe["reason"], probe["message"] = RESULT_SHORTENED, _SHORTENED_MESSAGE


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
    encoded = text.encode()
    return encoded[max(0, len(encoded) - most_bytes) :].decode(errors="ignore")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
