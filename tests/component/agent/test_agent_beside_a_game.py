"""The whole agent with probes of the network, and with a container that it may not enter."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.agent_process import agent_process, network_probe, probe
from tests.support.exec_runs import MINIMAL
from tests.support.pod_sandbox import (
    POD_UID,
    UNPRIVILEGED_UID,
    PodSandbox,
    Privilege,
    pod_sandbox,
)
from tests.support.report_server import ReportServer, report_server
from tests.support.scripted_server import scripted_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]


@pytest.fixture
def pod() -> Iterator[PodSandbox]:
    with pod_sandbox(Privilege.UNPRIVILEGED) as sandbox:
        yield sandbox


@pytest.fixture
def server(pod: PodSandbox) -> Iterator[ReportServer]:
    with report_server(pod.folder, []) as running:
        yield running


def test_probes_of_the_network_run_beside_those_in_the_container(
    pod: PodSandbox, server: ReportServer
) -> None:
    pod.start_container("game")
    with scripted_server(answer_players) as web, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        offered = [
            probe("inside", "echo in"),
            network_probe("web", httpGet={"port": web.port}),
            network_probe("port", tcpSocket={"port": web.port}),
            network_probe("rpc", grpc={"port": closed.getsockname()[1]}),
        ]
        server.offer(offered, "r1")
        with agent_process(pod, server) as agent:
            server.wait_for_probe("inside", status="True", result="in")
            server.wait_for_probe("web", status="True", result="7 players")
            server.wait_for_probe("port", status="True", result="")
            server.wait_for_probe("rpc", status="False", reason="ConnectionRefused")
            agent.stop()


def answer_players(channel: socket.socket, _request: bytes) -> None:
    channel.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n7 players")


# Mounts what kubelet mounts into the agent's container, too: then containers can be told apart.
WITH_TERMINATION_LOG = """
log="$1/pods/$2/containers/gamekeeper-agent/0abc"
mkdir -p "${log%/*}"; touch "$log"
mount --bind "$log" "$log"
shift 2
exec "$@"
"""


def test_a_network_probe_begins_again_with_its_container(
    pod: PodSandbox, server: ReportServer
) -> None:
    home = str(pod.folder / "agent")
    within = ("unshare", "--mount", "sh", "-ec", WITH_TERMINATION_LOG, "sh", home, POD_UID)
    Path(home).mkdir()
    os.chown(home, *([UNPRIVILEGED_UID] * 2 if os.geteuid() == 0 else [-1, -1]))
    with scripted_server(answer_players) as web:
        server.offer([network_probe("web", httpGet={"port": web.port})], "r1", heartbeat=0.2)
        with agent_process(pod, server, within=within) as agent:
            server.wait_for_probe("web", status="Unknown", reason="ContainerNotFound")
            first = pod.start_container("game")
            server.wait_for_probe("web", status="True", runs=2)
            first.kill()
            server.wait_for_probe("web", status="Unknown", reason="ContainerNotRunning", runs=0)
            seen = len(server.received)
            pod.start_container("game")
            server.wait_for(
                lambda body: body["sequence"] > seen and body["probes"][0]["status"] == "True"
            )
            agent.stop()


def test_the_self_test_tells_before_the_initial_delay_is_over() -> None:
    with pod_sandbox(Privilege.ROOT) as pod, report_server(pod.folder, []) as server:
        pod.start_container("game", become=["--bounding-set", "-all,+chown", "--inh-caps", "-all"])
        server.offer([probe("idle", "true", initialDelaySeconds=3600)], "r1")
        with agent_process(pod, server, within=("setpriv", *MINIMAL)) as agent:
            entry = server.wait_for_probe("idle", reason="TargetHasMoreCapabilities")
            status = agent.get("/status")
            _, log = agent.stop()
    assert (entry["status"], entry["runs"]) == ("Unknown", 0)
    shown = status["execBackend"]["selfTest"]["game"]
    assert (shown["passed"], shown["reason"]) == (False, "TargetHasMoreCapabilities")
    (line,) = [line for line in log if line["event"] == "self-test failed"]
    assert (line["level"], line["container"]) == ("warning", "game")
