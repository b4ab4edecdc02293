"""The whole agent as a process in a pod sandbox, with its reports over real HTTPS."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from shared.clock import monotonic_seconds
from tests.support.agent_process import PAUSE, agent_process, child_of, free_port, probe, until
from tests.support.pod_sandbox import (
    REPOSITORY,
    PodSandbox,
    Privilege,
    pod_sandbox,
)
from tests.support.report_server import (
    TOKEN,
    Received,
    Reply,
    ReportServer,
    at_least,
    report_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]


@pytest.fixture(params=list(Privilege), ids=lambda privilege: privilege.value)
def any_pod(request: pytest.FixtureRequest) -> Iterator[PodSandbox]:
    with pod_sandbox(request.param) as sandbox:
        yield sandbox


@pytest.fixture
def pod() -> Iterator[PodSandbox]:
    with pod_sandbox(Privilege.UNPRIVILEGED) as sandbox:
        yield sandbox


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[ReportServer]:
    sandbox = request.getfixturevalue("any_pod" if "any_pod" in request.fixturenames else "pod")
    with report_server(sandbox.folder, []) as running:
        yield running


def test_from_the_first_empty_report_to_a_verdict_to_the_last_report(
    any_pod: PodSandbox, server: ReportServer
) -> None:
    any_pod.start_container("game", environment={"GAME": "minecraft"})
    server.offer([probe("idle", "echo $GAME; echo note >&2")], "r1")
    with agent_process(any_pod, server) as agent:
        entry = server.wait_for_probe("idle", status="True")
        exit_code, _ = agent.stop()
    first, *_, last = [item.body for item in server.received]
    assert (first["probes"], first["probesRevision"], first["sequence"]) == ([], "", 1)
    assert {
        key: value
        for key, value in entry.items()
        if key not in ("startedAt", "durationSeconds", "transitionAt")
    } == {
        "name": "idle",
        "status": "True",
        "result": "minecraft",
        "reason": "",
        "message": "",
        "exitCode": 0,
        "stderr": "note\n",
        "runs": 1,
        "consecutive": 1,
    }
    assert exit_code == 0
    assert last["containers"][0]["running"] is True
    assert [item.body["sequence"] for item in server.received] == list(
        range(1, len(server.received) + 1)
    )
    assert {item.token for item in server.received} == {TOKEN}
    assert len({item.connection for item in server.received}) == 1
    # A process that has ended may wait a moment for whoever takes note of it.
    until(lambda: sorted(any_pod.processes()) == sorted([*PAUSE, "sleep infinity"]))


def test_ps_shows_one_word_for_each_process_of_ours(pod: PodSandbox, server: ReportServer) -> None:
    pod.start_container("game")
    server.offer([probe("ps", "ps -eo args | grep gamekeeper | sort -u")], "r1")
    with agent_process(pod, server) as agent:
        entry = server.wait_for_probe("ps", status="True")
        listing = pod.run("ps", "-eo", "args", "-C", "gamekeeper-agen,gamekeeper-exec")
        agent.stop()
    ours = {line for line in listing.splitlines() if line.startswith("gamekeeper")}
    assert ours == {"gamekeeper-agent", "gamekeeper-exec"}
    assert entry["result"].startswith("gamekeeper-agentgamekeeper-exec")


def test_a_changed_list_restarts_only_what_changed(pod: PodSandbox, server: ReportServer) -> None:
    pod.start_container("game")
    same, old = probe("same", "echo same"), probe("other", "echo old")
    server.offer([same, old], "r1", heartbeat=0.2)
    with agent_process(pod, server) as agent:
        server.wait_for_probe("same", runs=at_least(2))
        server.wait_for_probe("other", runs=at_least(2))
        new = probe("other", "echo new", periodSeconds=30)
        server.offer([same, new], "r2", heartbeat=0.2)
        server.wait_for_probe("other", result="new", runs=1)
        server.wait_for_probe("same", result="same", runs=at_least(4))
        agent.stop()
    runs = [
        entry["runs"]
        for item in server.received
        for entry in item.body["probes"]
        if entry["name"] == "same"
    ]
    assert runs == sorted(runs)


def test_a_malformed_list_is_refused_whole_and_the_last_good_one_goes_on(
    pod: PodSandbox, server: ReportServer
) -> None:
    pod.start_container("game")
    server.offer([probe("good", "echo good")], "r1", heartbeat=0.2)
    with agent_process(pod, server) as agent:
        server.wait_for_probe("good", status="True")
        server.offer([probe("new", "true"), {"name": "bad"}], "r2", heartbeat=0.2)
        server.wait_for_probe("good", runs=at_least(4))
        status = agent.get("/status")
        agent.stop()
    assert status["probesRevision"] == "r1"
    assert status["refusedProbeList"]["error"] == (
        "probes[1]: must have exactly one of exec, httpGet, tcpSocket, grpc"
    )


def test_a_restarted_container_starts_counting_again(pod: PodSandbox, server: ReportServer) -> None:
    first = pod.start_container("game", environment={"LIFE": "first"})
    server.offer([probe("life", "echo $LIFE", successThreshold=2)], "r1")
    with agent_process(pod, server) as agent:
        server.wait_for_probe("life", result="first", runs=at_least(2))
        first.kill()
        server.wait_for_probe("life", status="Unknown", reason="ContainerNotRunning", runs=0)
        pod.start_container("game", environment={"LIFE": "second"})
        server.wait_for_probe("life", status="True", result="second", runs=at_least(2))
        agent.stop()
    seen = [
        (entry["reason"], entry["result"])
        for item in server.received
        for entry in item.body["probes"]
    ]
    assert [each for each, _ in groupby(seen)] == [
        ("ProbePending", ""),
        ("", "first"),
        ("ContainerNotRunning", ""),
        ("ProbePending", ""),
        ("", "second"),
    ]


def test_a_container_that_is_not_there_is_unknown(pod: PodSandbox, server: ReportServer) -> None:
    server.offer([probe("ghost", "true")], "r1")
    with agent_process(pod, server) as agent:
        server.wait_for_probe("ghost", status="Unknown", reason="ContainerNotFound")
        agent.stop()


# With an init of its own it looks as in the node's namespace (hostPID): PID 1 is an ancestor.
@pytest.mark.parametrize("init", [(), ("sh", "-c", '"$@" & wait', "sh")], ids=["PID 1", "an init"])
def test_in_a_pid_namespace_of_its_own_the_agent_says_what_to_change(
    pod: PodSandbox, server: ReportServer, init: tuple[str, ...]
) -> None:
    pod.start_container("game")
    server.offer([probe("idle", "true")], "r1")
    alone = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *init)
    with agent_process(pod, server, within=alone):
        entry = server.wait_for_probe("idle", reason="NoSharedPidNamespace")
    assert entry["message"] == (
        "the agent sees only its own processes: set shareProcessNamespace: true in the pod template"
        " (and neither hostPID nor an explicit false)"
    )


def test_after_a_401_the_token_is_read_again(pod: PodSandbox, server: ReportServer) -> None:
    def authenticate(received: Received) -> Reply:
        if received.token == TOKEN:
            (pod.folder / "token").write_text("rotated")
            return Reply(401, {"reason": "Unauthorized", "message": "expired"})
        return server.accept(received)

    server.answer = authenticate
    server.offer([probe("idle", "true")], "r1")
    pod.start_container("game")
    with agent_process(pod, server) as agent:
        server.wait_for_probe("idle", status="True")
        _, log = agent.stop()
    assert [item.token for item in server.received[:2]] == [TOKEN, "rotated"]
    assert not any("rotated" in json.dumps(line) or TOKEN in json.dumps(line) for line in log)


def test_after_a_409_the_epoch_is_larger_than_the_accepted_one(
    pod: PodSandbox, server: ReportServer
) -> None:
    ahead = 9_999_999_999_999

    def conflict(received: Received) -> Reply:
        if received.body["epoch"] <= ahead:
            return Reply(409, {"reason": "Stale", "message": "newer known", "epoch": ahead})
        return server.accept(received)

    server.answer = conflict
    with agent_process(pod, server) as agent:
        body = server.wait_for(lambda body: body["epoch"] > ahead)
        agent.stop()
    assert (body["epoch"], body["sequence"]) == (ahead + 1, 1)


def test_retry_after_is_honoured_and_the_next_name_is_tried(
    pod: PodSandbox, server: ReportServer
) -> None:
    times: list[float] = []

    def standby(received: Received) -> Reply:
        times.append(monotonic_seconds())
        if len(times) == 1:
            return Reply(503, {"reason": "NotLeader", "message": "standby"}, {"Retry-After": "1"})
        return server.accept(received)

    server.answer = standby
    nobody = f"https://127.0.0.1:{free_port()}"
    urls = f"{nobody},{server.url}"
    server.offer([], "r1")
    with agent_process(pod, server, GAMEKEEPER_REPORT_URLS=urls) as agent:
        server.wait_for(lambda body: body["probesRevision"] == "r1" or body["sequence"] == 2)
        status = agent.get("/status")
        agent.stop()
    assert times[1] - times[0] >= 1
    assert status["reports"]["lastAnswer"]["url"] == server.url


def test_a_server_with_a_foreign_certificate_gets_no_token(
    pod: PodSandbox, server: ReportServer, tmp_path: Path
) -> None:
    with report_server(tmp_path, []) as stranger:
        urls = f"{stranger.url},{server.url}"
        with agent_process(pod, server, GAMEKEEPER_REPORT_URLS=urls) as agent:
            agent.stop()
    assert stranger.received == []


def test_status_tells_everything_about_a_probe(pod: PodSandbox, server: ReportServer) -> None:
    container = pod.start_container("game")
    # Seldom enough that there is one run, however slow the machine is.
    script = "echo yes; echo note >&2"
    server.offer([probe("idle", script, failureThreshold=3, periodSeconds=100)], "r1")
    with agent_process(pod, server) as agent:
        server.wait_for_probe("idle", status="True")
        status = agent.get("/status")
        assert agent.get("/healthz") == agent.get("/readyz") == {"status": "ok"}
        with pytest.raises(urllib.error.HTTPError) as missing:
            agent.get("/nothing")
        missing.value.close()
        page = agent.get_text("/metrics")
        agent.stop()
    (shown,) = status["probes"]
    (run,) = shown["runs"]
    assert run.pop("startedAt")
    assert 0 < run.pop("durationSeconds") < 20
    assert run == {
        "status": "True",
        "result": "yes",
        "reason": "",
        "message": "",
        "exitCode": 0,
        "stdout": "yes\n",
        "stderr": "note\n",
    }
    assert (shown["thresholds"], shown["verdict"]["status"]) == (
        {"success": 1, "failure": 3},
        "True",
    )
    assert 0 < shown["nextRunInSeconds"] <= 110
    assert shown["container"]["pid"] == container.pid
    backend = status["execBackend"]
    assert (backend["name"], backend["helperRestarts"]) == ("procroot", 0)
    assert backend["selfTest"]["game"]["passed"] is True
    assert missing.value.code == 404
    line = 'gamekeeper_agent_probe_verdict{probe="idle",status="True"} 1'
    assert {line, "gamekeeper_agent_exec_helper_restarts_total 0"} < set(page.splitlines())


def test_a_taken_status_port_does_not_stop_probing(pod: PodSandbox, server: ReportServer) -> None:
    pod.start_container("game")
    server.offer([probe("idle", "true")], "r1")
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        agent_process(pod, server, GAMEKEEPER_STATUS_PORT=str(taken.getsockname()[1])) as agent,
    ):
        server.wait_for_probe("idle", status="True")
        _, log = agent.stop()
    (line,) = [line for line in log if line["event"] == "status server cannot listen"]
    assert (line["level"], line["error"]) == ("warning", "Address already in use")


def test_a_helper_that_dies_is_replaced_and_the_probes_say_so_meanwhile(
    pod: PodSandbox, server: ReportServer
) -> None:
    pod.start_container("game")
    server.offer([probe("idle", "echo alive")], "r1", heartbeat=0.2)
    with agent_process(pod, server) as agent:
        server.wait_for_probe("idle", status="True")
        os.kill(child_of(agent.pid), signal.SIGKILL)
        seen = len(server.received)
        server.wait_for(
            lambda body: (
                body["sequence"] > seen
                and body["probes"][0]["status"] == "True"
                and body["probes"][0]["consecutive"] >= 3
            ),
        )
        assert "gamekeeper-exec" in pod.processes()
        restarts = agent.get("/status")["execBackend"]["helperRestarts"]
        exit_code, log = agent.stop()
    assert exit_code == 0
    assert restarts == 1
    events = [line["event"] for line in log]
    assert "exec helper died" in events
    assert "exec helper started again" in events
    until(lambda: sorted(pod.processes()) == sorted([*PAUSE, "sleep infinity"]))


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_the_end_of_the_agent_ends_the_probes_under_way(
    pod: PodSandbox, server: ReportServer, ending: signal.Signals
) -> None:
    pod.start_container("game")
    slow = probe("slow", "trap '' TERM; touch /data/up; setsid sleep 500 & sleep 500")
    server.offer([slow | {"timeoutSeconds": 300}], "r1")
    with agent_process(pod, server) as agent:
        until(lambda: "sleep 500" in pod.processes())
        os.kill(agent.pid, ending)
        agent.entered.wait(timeout=60)
        until(lambda: sorted(pod.processes()) == sorted([*PAUSE, "sleep infinity"]))


def test_a_wrong_setting_is_one_line_and_exit_code_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent"],
        env={"PYTHONPATH": str(REPOSITORY), "GAMEKEEPER_POD_UID": "u"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "gamekeeper-agent: GAMEKEEPER_REPORT_URLS: is required\n",
    )


def test_the_agent_loads_nothing_but_itself_the_wire_and_the_standard_library() -> None:
    script = "import sys, agent.__main__, agent.app; print(*sys.modules)"
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.append({str(REPOSITORY)!r}); {script}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = done.stdout.split()
    foreign = {name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name.split(".")[0] for name in foreign} == {"__main__", "agent", "shared"}
    shared = {name for name in foreign if name.startswith("shared.")}
    assert {".".join(name.split(".")[:2]) for name in shared} == {
        "shared.backoff",
        "shared.clock",
        "shared.errors",
        "shared.protocol",
    }
    # Each costs half a MiB or more in every game pod; see agent/app.py and agent/address.py.
    assert not {"asyncio", "http.client", "email", "urllib.parse", "ipaddress"} & set(loaded)
