"""The agent after hundreds of runs and reconnections: no descriptor and no process is left over."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.agent_process import agent_process, child_of, probe, until
from tests.support.pod_sandbox import PodSandbox, Privilege, pod_sandbox
from tests.support.report_server import Received, Reply, ReportServer, report_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]

RUNS = 6


@pytest.fixture
def pod() -> Iterator[PodSandbox]:
    with pod_sandbox(Privilege.ROOT) as sandbox:
        yield sandbox


@pytest.fixture
def server(pod: PodSandbox) -> Iterator[ReportServer]:
    with report_server(pod.folder, []) as running:
        yield running


def test_runs_failures_and_reconnections_leave_no_open_file(
    pod: PodSandbox, server: ReportServer
) -> None:
    """Only root sees the files of a process that hides itself."""

    def hang_up(received: Received) -> Reply:
        reply = server.accept(received)
        return Reply(reply.status, reply.body, {"Connection": "close"})

    def rest(revision: str) -> None:
        """Have the agent do nothing but its heartbeat, and wait until it does so."""
        server.offer([], revision, heartbeat=0.2)
        server.wait_for(lambda body: body["probesRevision"] == revision)

    def open_files() -> dict[int, int]:
        return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in (agent.pid, helper)}

    scripts = ("date +%N", "exit 3", "nosuchcommand", "sleep 60", "sleep 50 & echo $$")
    probes = [
        probe(f"probe-{number}", script, timeoutSeconds=1) for number, script in enumerate(scripts)
    ]
    pod.start_container("game")
    server.answer = hang_up
    server.offer(probes, "r1")
    with agent_process(pod, server) as agent:
        helper = child_of(agent.pid)
        server.wait_for_probe("probe-0", status="True")
        rest("r2")
        before = open_files()
        server.offer(probes, "r3")
        server.wait_for(
            lambda body: (
                body["probesRevision"] == "r3"
                and [entry["runs"] >= RUNS for entry in body["probes"]] == [True] * len(probes)
            ),
            timeout=120,
        )
        rest("r4")
        # A report under way has a connection: the first look may have seen one, this one may, too.
        until(lambda: all(count <= before[pid] for pid, count in open_files().items()))
        agent.stop()
    assert len({item.connection for item in server.received}) == len(server.received)
