"""The answer to a report is fixed in a golden file: the aggregator makes it, the agent reads it."""

import json
from pathlib import Path

from aggregator.quality.probes import plan_probes
from shared.protocol.probes import (
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    HTTPHeader,
    ProbeSpec,
    TCPSocketAction,
)
from shared.protocol.report import Answer, parse_answer
from shared.protocol.wire import render
from tests.support.builders import game_server_set

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "answer-v1.json").read_text())
ANSWER = Answer(
    probes_revision="b1946ac92492d234",
    heartbeat_seconds=10.0,
    probes=(
        ProbeSpec("healthy", "minecraft", exec=ExecAction(("bash", "./probe.sh"))),
        ProbeSpec(
            "web",
            "minecraft",
            http_get=HTTPGetAction(8080, "/health", "", "HTTPS", (HTTPHeader("X-Probe", "1"),)),
            initial_delay_seconds=0,
            period_seconds=1,
            timeout_seconds=1,
            success_threshold=2,
            failure_threshold=1,
        ),
        ProbeSpec("open", "minecraft", tcp_socket=TCPSocketAction(25565, "localhost")),
        ProbeSpec("serving", "sidecar", grpc=GRPCAction(9000, "game")),
    ),
)
QUALITIES = [
    {"name": "healthy", "exec": {"command": ["bash", "./probe.sh"]}},
    {
        "name": "web",
        "httpGet": {
            "port": "http",
            "path": "/health",
            "scheme": "HTTPS",
            "httpHeaders": [{"name": "X-Probe", "value": "1"}],
        },
        "initialDelaySeconds": 0,
        "periodSeconds": 1,
        "timeoutSeconds": 1,
        "successThreshold": 2,
        "failureThreshold": 1,
    },
    {"name": "open", "tcpSocket": {"port": 25565, "host": "localhost"}},
    {"name": "serving", "containerName": "sidecar", "grpc": {"port": 9000, "service": "game"}},
]
CONTAINERS = [
    {"name": "minecraft", "ports": [{"name": "http", "containerPort": 8080}]},
    {"name": "sidecar"},
]


def test_the_aggregator_renders_the_golden_answer():
    assert json.loads(json.dumps(render(ANSWER))) == GOLDEN


def test_the_agent_reads_the_golden_answer():
    assert parse_answer(GOLDEN) == ANSWER


def test_the_qualities_of_a_set_become_the_golden_probes():
    qualities = [{"containerName": "minecraft"} | quality for quality in QUALITIES]
    owner = game_server_set(
        template={"spec": {"containers": CONTAINERS}}, serviceQualities=qualities
    )
    assert plan_probes(owner.spec).probes == ANSWER.probes


def test_an_answer_without_news_has_no_probes():
    short = Answer("b1946ac92492d234", 10.0)
    assert render(short) == {"probesRevision": "b1946ac92492d234", "heartbeatSeconds": 10.0}
    assert parse_answer(render(short)) == short
