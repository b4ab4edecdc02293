"""The whole agent as a process in a pod sandbox, and the probes that tests give it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.clock import monotonic_seconds
from tests.support.pod_sandbox import POD_UID, REPOSITORY, PodSandbox
from tests.support.report_server import TOKEN, ReportServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSE = ["sh -c echo ready; sleep infinity & wait", "sleep infinity"]


def probe(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "containerName": "game",
        "exec": {"command": ["sh", "-c", script]},
        "initialDelaySeconds": 0,
        "periodSeconds": 1,
        "failureThreshold": 1,
        # A deadline, as every wait: a busy machine can hold up a script for more than a second.
        "timeoutSeconds": 20,
        **fields,
    }


@dataclass
class AgentProcess:
    """A running agent: the process that entered the pod, and the agent itself."""

    entered: subprocess.Popen[str]
    pid: int
    port: int

    def get(self, path: str) -> Any:
        return json.loads(self.get_text(path))

    def get_text(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
            return str(response.read().decode())

    def stop(self) -> tuple[int, list[dict[str, Any]]]:
        """Send SIGTERM; return the exit code and the log."""
        os.kill(self.pid, signal.SIGTERM)
        _, log = self.entered.communicate(timeout=60)
        return self.entered.returncode, [json.loads(line) for line in log.splitlines()]


@contextmanager
def agent_process(
    pod: PodSandbox, server: ReportServer, *, within: tuple[str, ...] = (), **settings: str
) -> Iterator[AgentProcess]:
    """Run an agent in the pod, by the program `within`; kill it if the test has not stopped it."""
    token = pod.folder / "token"
    if not token.exists():
        token.write_text(TOKEN + "\n")
    port = free_port()
    environment = {
        "PYTHONPATH": str(REPOSITORY),
        "GAMEKEEPER_REPORT_URLS": server.url,
        "GAMEKEEPER_CA_FILE": str(server.ca_file),
        "GAMEKEEPER_TOKEN_FILE": str(token),
        "GAMEKEEPER_POD_UID": POD_UID,
        "GAMEKEEPER_STATUS_PORT": str(port),
        **settings,
    }
    variables = (f"{name}={value}" for name, value in environment.items())
    program = [sys.executable, "-m", "agent"]
    command = [*pod.enter_command(), *within, "env", "-i", *variables, *program]
    entered = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        server.wait_for(lambda _body: True)
        yield AgentProcess(entered, child_of(entered.pid), port)
    finally:
        if entered.poll() is None:
            os.kill(child_of(entered.pid), signal.SIGKILL)
        entered.communicate()


def child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def network_probe(name: str, **fields: Any) -> dict[str, Any]:
    whole = probe(name, "", **fields)
    del whole["exec"]
    return whole


def until(condition: Any, seconds: float = 60) -> None:
    """Return when the condition holds; each look at it takes a process, so there is no pause."""
    deadline = monotonic_seconds() + seconds
    while not condition():
        assert monotonic_seconds() < deadline
