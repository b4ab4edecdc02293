"""The whole agent with probes of the network, and with a container that it may not enter."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.agent_process import agent_process, child_of, network_probe, probe, until
from tests.support.exec_runs import MINIMAL
from tests.support.pod_sandbox import (
    POD_UID,
    UNPRIVILEGED_UID,
    PodSandbox,
    Privilege,
    pod_sandbox,
)
from tests.support.report_server import ReportServer, at_least, report_server
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
            server.wait_for_probe("web", status="True", runs=at_least(2))
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


def test_a_container_that_ends_during_its_probe_is_unknown_and_the_probe_ends_with_it(
    pod: PodSandbox, server: ReportServer
) -> None:
    first = pod.start_container("game")
    server.offer([probe("slow", "sleep 77", timeoutSeconds=300)], "r1", heartbeat=0.2)
    with agent_process(pod, server) as agent:
        until(lambda: "sleep 77" in pod.processes())
        first.kill()
        server.wait_for_probe("slow", status="Unknown", reason="ContainerNotRunning", runs=0)
        until(lambda: "sleep 77" not in pod.processes())
        seen = len(server.received)
        pod.start_container("game")
        server.wait_for(lambda body: body["sequence"] > seen and body["containers"][0]["running"])
        until(lambda: "sleep 77" in pod.processes())
        agent.stop()
    statuses = {e["status"] for item in server.received for e in item.body["probes"]}
    assert statuses == {"Unknown"}


def test_the_death_of_the_helper_during_a_probe_loses_neither_probe_nor_agent(
    pod: PodSandbox, server: ReportServer
) -> None:
    pod.start_container("game")
    script = "while [ ! -e /data/go ]; do sleep 0.05; done; echo gone on"
    server.offer([probe("slow", script, timeoutSeconds=30)], "r1")
    with agent_process(pod, server) as agent:
        until(lambda: any("/data/go" in line for line in pod.processes()))
        os.kill(child_of(agent.pid), signal.SIGKILL)
        (pod.containers[0].data / "go").touch()
        server.wait_for_probe("slow", status="True", result="gone on")
        agent.stop()


def test_a_probe_that_outlives_its_period_skips_ticks_and_never_overlaps_itself(
    pod: PodSandbox, server: ReportServer
) -> None:
    pod.start_container("game")
    # Each run sees how many of its kind there are: the shell that runs it, and no other.
    count = "sleep 1.5; pgrep -c -f 'sleep [1].5; pgrep'"
    server.offer([probe("slow", count, timeoutSeconds=30)], "r1", heartbeat=0.2)
    with agent_process(pod, server) as agent:
        server.wait_for_probe("slow", runs=at_least(2))
        runs = agent.get("/status")["probes"][0]["runs"]
        agent.stop()
    assert {run["result"] for run in runs} == {"1"}


def test_a_probe_of_the_network_that_hangs_holds_up_no_other(
    pod: PodSandbox, server: ReportServer
) -> None:
    pod.start_container("game")
    with scripted_server(lambda _channel, _request: wait()) as silent:
        wait = silent.is_over.wait
        hanging = [
            network_probe(name, httpGet={"port": silent.port}, timeoutSeconds=300)
            for name in ("one", "two", "three")
        ]
        server.offer([*hanging, probe("quick", "echo here")], "r1", heartbeat=0.2)
        with agent_process(pod, server) as agent:
            server.wait_for_probe("quick", status="True", runs=at_least(3))
            exit_code, _ = agent.stop()
    assert exit_code == 0


def test_an_agent_without_any_capability_still_runs_probes_of_the_network(
    pod: PodSandbox, server: ReportServer
) -> None:
    pod.start_container("game")
    within = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all")
    with scripted_server(answer_players) as web:
        offered = [network_probe("web", httpGet={"port": web.port}), probe("idle", "true")]
        server.offer(offered, "r1")
        with agent_process(pod, server, within=within) as agent:
            server.wait_for_probe("web", status="True", result="7 players")
            server.wait_for_probe("idle", status="Unknown", reason="TargetHasMoreCapabilities")
            exit_code, _ = agent.stop()
    assert exit_code == 0
