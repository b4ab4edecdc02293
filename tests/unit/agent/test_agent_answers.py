"""What the aggregator's answers mean (SPEC 3), and what the agent's reports look like."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.http_client import Response
from agent.outbox import Accepted, Event, Failed, Outbox, Refused, Superseded
from agent.prober import ActiveProbe
from agent.probes.outcome import Outcome
from agent.reporting import build_report, encode_report, report_probe
from agent.sender import Delivery, read_response
from agent.verdict import Thresholds, advance, begin
from shared.protocol.probes import ExecAction, ProbeSpec
from shared.protocol.report import Answer, ContainerReport, ProbeReport, Status

NOW = datetime(2026, 1, 1, 12, 0, 0, 5000, tzinfo=UTC)
SPEC = ProbeSpec("idle", "game", exec=ExecAction(("true",)))


def response(status: int, body: Any = None, **headers: str) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {k.replace("_", "-"): v for k, v in headers.items()}, content)


REASON = {"reason": "R", "message": "m"}
UNEXPLAINED = "without a reason in JSON, so it may come from a proxy on the way"


@pytest.mark.parametrize(
    ("answer", "event", "error"),
    [
        pytest.param(response(400, REASON), Refused(), "HTTP 400 R: m", id="400 is final"),
        pytest.param(response(413, REASON), Refused(), "HTTP 413 R: m", id="413 is final"),
        pytest.param(response(401, REASON), Failed(), "HTTP 401 R: m", id="401 retries"),
        pytest.param(response(403, REASON), Failed(), "HTTP 403 R: m", id="403 retries"),
        pytest.param(
            response(409, {**REASON, "epoch": 77}), Superseded(77), "HTTP 409 R: m", id="409"
        ),
        pytest.param(
            response(409, {**REASON, "epoch": True}), Superseded(0), "HTTP 409 R: m", id="409 odd"
        ),
        pytest.param(
            response(503, REASON, retry_after="1"), Failed(1.0), "HTTP 503 R: m", id="503"
        ),
        pytest.param(
            response(429, REASON, retry_after="Thu, 01 Jan 2026 12:00:07 GMT"),
            Failed(6.995),
            "HTTP 429 R: m",
            id="429 with a date",
        ),
        pytest.param(response(500, b"<html>"), Failed(), f"HTTP 500: {UNEXPLAINED}", id="no JSON"),
        pytest.param(response(502, b""), Failed(), f"HTTP 502: {UNEXPLAINED}", id="no body"),
        pytest.param(response(302, [1]), Failed(), f"HTTP 302: {UNEXPLAINED}", id="no redirects"),
        pytest.param(
            response(500, {"reason": 7, "message": {}}),
            Failed(),
            f"HTTP 500: {UNEXPLAINED}",
            id="reason and message are no text",
        ),
        pytest.param(response(500, {"reason": "R"}), Failed(), "HTTP 500 R", id="no message"),
        pytest.param(response(500, {"message": "m"}), Failed(), "HTTP 500: m", id="no reason"),
        pytest.param(
            response(500, {"reason": " R\n", "message": "one\r\n\ttwo\x1b[31m\u2028three "}),
            Failed(),
            "HTTP 500 R: one two [31m three",
            id="control characters and several lines",
        ),
        pytest.param(
            response(500, {"message": "m" * 300}),
            Failed(),
            f"HTTP 500: {'m' * 246}",
            id="too long",
        ),
    ],
)
def test_an_answer_becomes_an_event(answer: Response, event: Event, error: str) -> None:
    assert read_response(answer, "u", NOW) == Delivery(event, "u", answer.status, error=error)


def test_a_200_brings_the_heartbeat_and_the_probes() -> None:
    body = {"probesRevision": "r2", "heartbeatSeconds": 5, "probes": []}
    assert read_response(response(200, body), "u", NOW) == Delivery(
        Accepted(5), "u", 200, Answer("r2", 5, ())
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "must be an object"),
        (b"[" * 100_000, "no JSON: "),
        ({"probesRevision": "r", "heartbeatSeconds": 0}, "heartbeatSeconds: must be between"),
        (
            {"probesRevision": "r", "heartbeatSeconds": 9, "probes": [{"exec": {"command": []}}]},
            "probes[0].name: must be a string",
        ),
    ],
    ids=["empty", "a list", "too deep", "no heartbeat", "a bad probe"],
)
def test_a_malformed_200_is_refused_whole_with_its_reason(body: Any, error: str) -> None:
    delivery = read_response(response(200, body), "u", NOW)
    assert delivery.error.startswith(error)
    assert delivery == Delivery(Refused(), "u", 200, error=delivery.error, malformed=True)


def probe(*outcomes: Outcome) -> ActiveProbe:
    active = ActiveProbe(SPEC, begin(Thresholds(1, 3)))
    for outcome in outcomes:
        active.state = advance(active.state, outcome, NOW)
    active.history = deque(outcomes, maxlen=20)
    return active


RUN = Outcome(
    Status.TRUE,
    result="7",
    exit_code=0,
    stdout="7\n",
    stderr="é" * 1024,
    started_at=NOW,
    duration_seconds=0.02,
)


def test_a_report_states_verdict_and_last_run_of_a_probe() -> None:
    assert report_probe(probe(RUN)) == ProbeReport(
        name="idle",
        status=Status.TRUE,
        result="7",
        exit_code=0,
        stderr="é" * 512,
        started_at=NOW,
        duration_seconds=0.02,
        transition_at=NOW,
        runs=1,
        consecutive=1,
    )


def test_a_probe_that_never_ran_has_no_last_run() -> None:
    assert report_probe(probe()) == ProbeReport(
        name="idle",
        status=Status.UNKNOWN,
        reason="ProbePending",
        message="no verdict yet: it needs as many equal results in a row as the thresholds say",
    )


def test_the_last_run_of_an_earlier_container_is_not_reported() -> None:
    active = probe(RUN)
    active.state = begin(Thresholds(1, 3))
    assert report_probe(active) == report_probe(probe())


def test_a_report_is_the_whole_state_in_the_words_of_the_protocol() -> None:
    outbox = Outbox(epoch=1000, due_at=0, sequence=3)
    container = ContainerReport("game", running=True, started_at=NOW)
    report = build_report("uid", outbox, NOW, "r1", ([container], [probe(replace(RUN, stderr=""))]))
    at = "2026-01-01T12:00:00.005Z"
    assert json.loads(encode_report(report)) == {
        "podUid": "uid",
        "epoch": 1000,
        "sequence": 3,
        "sentAt": at,
        "agentVersion": "0.1.0",
        "probesRevision": "r1",
        "containers": [{"name": "game", "running": True, "startedAt": at}],
        "probes": [
            {
                "name": "idle",
                "status": "True",
                "result": "7",
                "reason": "",
                "message": "",
                "exitCode": 0,
                "stderr": "",
                "startedAt": at,
                "durationSeconds": 0.02,
                "transitionAt": at,
                "runs": 1,
                "consecutive": 1,
            }
        ],
    }
