"""Qualities -> the probe list of the agents, and its revision (SPEC 2.7)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.quality.probes import QualityProblem, plan_probes
from shared.api.service_quality import ServiceQuality
from shared.protocol.probes import (
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    HTTPHeader,
    ProbeSpec,
    TCPSocketAction,
    parse_probe_list,
)
from shared.protocol.wire import render
from tests.support.builders import game_server_set

TWO = [{"name": "game", "ports": [{"name": "web", "containerPort": 8080}]}, {"name": "log"}]


def planned(*qualities: dict[str, Any], containers: Any = None):
    template = {"spec": {"containers": containers or [{"name": "game"}]}}
    return plan_probes(game_server_set(template=template, serviceQualities=qualities).spec)


def test_an_exec_quality_becomes_a_probe_with_the_defaults_of_the_seed():
    plan = planned({"name": "healthy", "exec": {"command": ["bash", "./probe.sh"]}})
    assert (plan.probes, plan.problems) == (
        (
            ProbeSpec(
                name="healthy",
                container_name="game",
                exec=ExecAction(("bash", "./probe.sh")),
                initial_delay_seconds=10,
                period_seconds=3,
                timeout_seconds=5,
                success_threshold=1,
                failure_threshold=3,
            ),
        ),
        (),
    )


@pytest.mark.parametrize(
    ("handler", "probe"),
    [
        pytest.param(
            {"httpGet": {"port": "web", "httpHeaders": [{"name": "a", "value": "b"}]}},
            {"http_get": HTTPGetAction(8080, http_headers=(HTTPHeader("a", "b"),))},
            id="named port",
        ),
        pytest.param({"tcpSocket": {"port": 7}}, {"tcp_socket": TCPSocketAction(7)}, id="tcp"),
        pytest.param(
            {"grpc": {"port": 9, "service": "s"}}, {"grpc": GRPCAction(9, "s")}, id="grpc"
        ),
        pytest.param(
            {"tcpSocket": {"port": 7, "host": "h"}},
            {"tcp_socket": TCPSocketAction(7, "h")},
            id="tcp of another host",
        ),
        *(
            pytest.param(
                {"tcpSocket": {"port": "edge"}},
                {"tcp_socket": TCPSocketAction(port)},
                id=f"named port {port}",
            )
            for port in (1, 65_535)
        ),
        pytest.param(
            {
                "httpGet": {"port": 1, "path": "/p", "host": "h", "scheme": "HTTPS"},
                "timeoutSeconds": 7,
                "successThreshold": 8,
                "failureThreshold": 9,
            },
            {
                "http_get": HTTPGetAction(1, path="/p", host="h", scheme="HTTPS"),
                "timeout_seconds": 7,
                "success_threshold": 8,
                "failure_threshold": 9,
            },
            id="nothing is left at its default",
        ),
        pytest.param(
            {"exec": {"command": ["a"]}, "initialDelaySeconds": 0, "periodSeconds": 1},
            {"exec": ExecAction(("a",)), "initial_delay_seconds": 0, "period_seconds": 1},
            id="an explicit 0 is kept",
        ),
    ],
)
def test_each_handler_reaches_the_wire(handler, probe):
    port = getattr(probe.get("tcp_socket"), "port", 1)
    edge = {"name": "edge", "containerPort": port}
    game = TWO[0] | {"ports": [*TWO[0]["ports"], edge]}
    plan = planned({"name": "q", "containerName": "game"} | handler, containers=[game, TWO[1]])
    assert plan.probes == (ProbeSpec(name="q", container_name="game", **probe),)


RUN = {"exec": {"command": ["a"]}}
NO_WEB = "the container 'game' has no port named 'web'"


@pytest.mark.parametrize(
    ("quality", "containers", "path", "message"),
    [
        pytest.param(
            RUN,
            TWO,
            "containerName",
            "is required when the template has several containers",
            id="several containers",
        ),
        pytest.param(
            RUN | {"containerName": "gone"},
            TWO,
            "containerName",
            "'gone' is no container of the template (game, log)",
            id="no such container",
        ),
        pytest.param(
            {"httpGet": {"port": "web"}}, [{"name": "game"}], "httpGet.port", NO_WEB, id="no port"
        ),
        *(
            pytest.param(
                {"tcpSocket": {"port": "web"}},
                [{"name": "game", "ports": ports}],
                "tcpSocket.port",
                NO_WEB,
                id=f"ports {ports}",
            )
            for ports in (
                ["web"],
                "web",
                [{"name": "web"}],
                [{"name": "web", "containerPort": "x"}],
                [{"name": "web", "containerPort": 65_536}],
                [{"name": "web", "containerPort": True}],
            )
        ),
        pytest.param(
            {"exec": {"command": ["", "a"]}},
            [{"name": "game"}],
            "exec.command",
            "must name a program",
            id="empty program",
        ),
        pytest.param(
            {"exec": {"command": ["a", "b\0"]}},
            [{"name": "game"}],
            "exec.command",
            "must not contain NUL characters",
            id="NUL",
        ),
    ],
)
def test_an_unusable_quality_is_named_and_stops_no_other(quality, containers, path, message):
    good = {"name": "good", "exec": {"command": ["b"]}, "containerName": "game"}
    plan = planned({"name": "bad"} | quality, good, containers=containers)
    assert [probe.name for probe in plan.probes] == ["good"]
    assert plan.problems == (QualityProblem(f"spec.serviceQualities[0].{path}", message),)


def test_the_revision_is_that_of_the_probes_only():
    base = {"name": "q"} | RUN
    same = [planned(base), planned(base | {"serviceQualityAction": [{"state": True}]})]
    other = [planned(), planned(base | {"periodSeconds": 4}), planned(base | {"name": "r"})]
    assert len({plan.revision for plan in same}) == 1
    assert len({plan.revision for plan in [same[0], *other]}) == 4
    assert all(len(plan.revision) == 16 for plan in other)


HANDLERS = st.one_of(
    st.builds(
        lambda command: {"exec": {"command": command}},
        st.lists(st.text(max_size=8), min_size=1, max_size=3),
    ),
    st.builds(
        lambda port, path: {"httpGet": {"port": port, "path": path}},
        st.integers(1, 65_535) | st.sampled_from(["web", "gone"]),
        st.text(max_size=5),
    ),
    st.builds(lambda port: {"grpc": {"port": port}}, st.integers(1, 65_535)),
)


@given(st.lists(HANDLERS, max_size=4), st.integers(0, 86_400), st.integers(1, 1000))
def test_an_agent_accepts_every_list_that_we_send(handlers, delay, threshold):
    numbers = {"initialDelaySeconds": delay, "failureThreshold": threshold}
    qualities = [
        {"name": f"q{index}", "containerName": "game"} | numbers | handler
        for index, handler in enumerate(handlers)
    ]
    for each in qualities:
        ServiceQuality.model_validate(each)
    probes = planned(*qualities, containers=TWO).probes
    assert parse_probe_list(json.loads(json.dumps(render(probes))), "probes") == probes
