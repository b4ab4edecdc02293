"""Runs commands through the real exec engine, in a pod sandbox, with privileges of choice."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from shared.clock import monotonic_seconds
from tests.support.pod_sandbox import POD_UID, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.pod_sandbox import PodSandbox

# The profile `minimal` of the agent without the capabilities that only make it nicer.
MINIMAL = ["--bounding-set", "-all,+sys_chroot,+setuid,+setgid", "--inh-caps", "-all"]
# What containerd and Docker give to a container that asks for nothing.
RUNTIME_DEFAULT = [
    "--bounding-set",
    "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,"
    "+net_bind_service,+sys_chroot,+kill,+audit_write",
    "--inh-caps",
    "-all",
]


def run_all(
    pod: PodSandbox,
    *commands: Sequence[str],
    container: str = "game",
    timeout: float = 20,
    agent_privileges: Sequence[str] = (),
    program: Sequence[str] = (sys.executable, "-m", "tests.support.exec_driver"),
) -> dict[str, Any]:
    order = {
        "podUid": POD_UID,
        "container": container,
        "commands": list(commands),
        "timeout": timeout,
    }
    become = ["setpriv", *agent_privileges] if agent_privileges else []
    environment = ["env", "-i", f"PYTHONPATH={REPOSITORY}", "PATH=/usr/bin", "SECRET=agent"]
    done = subprocess.run(
        [*pod.enter_command(), *become, *environment, *program],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def run(pod: PodSandbox, *command: str, **options: Any) -> dict[str, Any]:
    """Return the outcome of one command without the fields that differ from run to run."""
    (outcome,) = run_all(pod, command, **options)["runs"]
    assert outcome.pop("startedAt")
    outcome.pop("durationSeconds")
    assert isinstance(outcome, dict)
    return outcome


def outcome(status: str, **fields: Any) -> dict[str, Any]:
    stdout = fields.get("stdout", "")
    empty = {"reason": "", "message": "", "stdout": "", "stderr": ""}
    return {"status": status, "result": stdout.strip(), **empty, **fields}


def await_only_the_containers(pod: PodSandbox, *others: str) -> None:
    """Return once the pod runs its pause process and these, and no zombie waits for its parent."""
    expected = sorted(["sh -c " + "echo ready; sleep infinity & wait", "sleep infinity", *others])
    deadline = monotonic_seconds() + 60
    while (seen := sorted(pod.processes())) != expected:
        assert monotonic_seconds() < deadline, seen
