"""Which agent can run a probe in which container: real containers of runc, with seccomp.

The table is that of the kernel's rule for /proc/PID/{root,cwd,environ} (ptrace_may_access), seen
through the agent: a target that it may not look into is Unknown, with the reason and a remedy.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from aggregator.gameserverset.security_profile import security_context
from tests.support.oci_bundle import (
    DEFAULT_CAPABILITIES,
    Security,
    capability_names,
    own_capabilities,
)
from tests.support.report_server import TOKEN, ReportServer, report_server
from tests.support.runc_pod import PYTHON, RuncPod, runc_pod

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]

POD_UID = "0a1b2c3d-0000-4000-8000-00000000c0de"
GAME = Security(uid=1000, gid=2000, groups=(3000,))


def agent(*capabilities: str) -> Security:
    """Return an agent's security with other capabilities than any profile has."""
    return Security(capabilities=frozenset(capabilities), no_new_privileges=True, read_only=True)


# As the aggregator writes them into pods.
MINIMAL, DEFAULT, PTRACE = (
    Security.of_context(security_context(profile)) for profile in ("minimal", "default", "ptrace")
)
THREE = agent("SYS_CHROOT", "SETUID", "SETGID")
NONE = agent()

AGENTS = {"three": THREE, "minimal": MINIMAL, "default": DEFAULT, "ptrace": PTRACE, "none": NONE}
TARGETS = {
    "non-root": GAME,
    "root": Security(),
    "privileged": Security(capabilities=own_capabilities(), seccomp=False),
    "hidden": GAME,
}

RUNS_AS_1000 = ("True", "", "1000 2000 2000 3000")
RUNS_AS_ROOT = ("True", "", "0 0 0")
MORE = ("Unknown", "TargetHasMoreCapabilities", "")
NOT_DUMPABLE = ("Unknown", "TargetNotDumpable", "")
NO_SETUID = ("Unknown", "MissingCapability", "")

MATRIX = {
    ("three", "non-root"): RUNS_AS_1000,
    ("three", "root"): MORE,
    ("three", "privileged"): MORE,
    ("three", "hidden"): NOT_DUMPABLE,
    ("minimal", "non-root"): RUNS_AS_1000,
    ("minimal", "root"): MORE,
    ("minimal", "privileged"): MORE,
    ("minimal", "hidden"): NOT_DUMPABLE,
    ("default", "non-root"): RUNS_AS_1000,
    ("default", "root"): RUNS_AS_ROOT,
    ("default", "privileged"): MORE,
    ("default", "hidden"): NOT_DUMPABLE,
    ("ptrace", "non-root"): RUNS_AS_1000,
    ("ptrace", "root"): RUNS_AS_ROOT,
    ("ptrace", "privileged"): RUNS_AS_ROOT,
    ("ptrace", "hidden"): RUNS_AS_1000,
    ("none", "non-root"): NO_SETUID,
    ("none", "root"): MORE,
}


class Pods:
    """Pods that are started when the first test of them asks, and live as long as the module.

    With a pause process all targets are in one pod; without one each has its own and is PID 1.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._pods: dict[tuple[bool, str], RuncPod] = {}

    def with_target(self, name: str, *, pause: bool) -> RuncPod:
        key = (pause, "all" if pause else name)
        if key not in self._pods:
            pod = self._stack.enter_context(runc_pod(POD_UID, pause=pause))
            for target in TARGETS if pause else (name,):
                start_target(pod, target)
            self._pods[key] = pod
        return self._pods[key]


# Hides its memory as a program with file capabilities is hidden, then calls itself `hidden`.
HIDE = """
import ctypes, signal
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
ctypes.CDLL(None).prctl(15, b"hidden", 0, 0, 0)
signal.pause()
"""


def start_target(pod: RuncPod, name: str) -> None:
    if name != "hidden":
        pod.start(name, security=TARGETS[name])
        return
    program = (sys.executable, "-c", HIDE)
    pod.start(name, *program, security=GAME, mounts=PYTHON, becomes="hidden")


@pytest.fixture(scope="module")
def pods() -> Iterator[Pods]:
    with ExitStack() as stack:
        yield Pods(stack)


def run_probe(pod: RuncPod, container: str, agent: Security, *command: str) -> dict[str, Any]:
    order = {"podUid": POD_UID, "container": container, "commands": [command], "timeout": 20}
    done = pod.run_agent("-m", "tests.support.exec_driver", security=agent, stdin=json.dumps(order))
    assert (done.returncode, done.stderr) == (0, "")
    (outcome,) = json.loads(done.stdout)["runs"]
    assert isinstance(outcome, dict)
    return outcome


@pytest.mark.parametrize("pause", [True, False], ids=["with pause", "game is PID 1"])
@pytest.mark.parametrize(
    ("agent_name", "target", "expected"),
    [
        pytest.param(agent_name, target, expected, id=f"{agent_name} agent, {target} target")
        for (agent_name, target), expected in MATRIX.items()
    ],
)
def test_what_each_agent_can_do_in_each_container(
    pods: Pods, agent_name: str, target: str, expected: tuple[str, str, str], pause: bool
) -> None:
    pod = pods.with_target(target, pause=pause)
    identity = ("sh", "-c", "echo $(id -u) $(id -g) $(id -G)")
    outcome = run_probe(pod, target, AGENTS[agent_name], *identity)
    assert (outcome["status"], outcome["reason"], outcome["result"]) == expected
    assert bool(outcome["message"]) is (expected[0] == "Unknown")


# What the table's first row says: without the file system ids of the target not even its user's
# files can be looked at.
PLAIN = """
import os
found = {}
for pid in (entry for entry in os.listdir("/proc") if entry.isdigit()):
    owner = os.stat(f"/proc/{pid}").st_uid
    if owner != 1000:
        continue
    try:
        os.close(os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY))
        found[owner] = "opened"
    except PermissionError:
        found[owner] = "refused"
print(found[1000])
"""


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        pytest.param(THREE, "refused", id="three capabilities"),
        pytest.param(DEFAULT, "refused", id="the default ones"),
        pytest.param(PTRACE, "opened", id="SYS_PTRACE"),
    ],
)
def test_without_the_ids_of_the_target_only_sys_ptrace_opens_its_root(
    pods: Pods, security: Security, expected: str
) -> None:
    pod = pods.with_target("non-root", pause=False)
    done = pod.run_agent("-c", PLAIN, security=security)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


SHOW_CAPABILITIES = ("sh", "-c", "grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status")


def capabilities_of_probe(pod: RuncPod, container: str, agent: Security) -> dict[str, set[str]]:
    """Return permitted, effective and bounding set of a command that runs in the container."""
    lines = run_probe(pod, container, agent, *SHOW_CAPABILITIES)["stdout"].splitlines()
    pairs = (line.split() for line in lines)
    return {name.rstrip(":"): set(capability_names(int(mask, 16))) for name, mask in pairs}


@pytest.mark.parametrize("agent_name", ["three", "minimal", "default", "ptrace"])
def test_a_probe_of_a_user_has_no_capability_of_the_agent(pods: Pods, agent_name: str) -> None:
    pod = pods.with_target("non-root", pause=True)
    found = capabilities_of_probe(pod, "non-root", AGENTS[agent_name])
    assert (found["CapPrm"], found["CapEff"]) == (set(), set())


@pytest.mark.parametrize("agent_name", ["default", "ptrace"])
def test_a_probe_of_root_has_no_more_than_its_container(pods: Pods, agent_name: str) -> None:
    pod = pods.with_target("root", pause=True)
    found = capabilities_of_probe(pod, "root", AGENTS[agent_name])
    assert {name: names - DEFAULT_CAPABILITIES for name, names in found.items()} == {
        "CapPrm": set(),
        "CapEff": set(),
        "CapBnd": set(),
    }


# Calls that need no capability: only the profile can refuse them. By number: libc has no names.
TRY = """
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
clone, keyctl = {"x86_64": (56, 250), "aarch64": (220, 219)}[platform.machine()]
new_user, sigchld = 0x10000000, 17
calls = {
    "unshare": lambda: libc.unshare(new_user),
    "clone": lambda: libc.syscall(clone, new_user | sigchld, 0, 0, 0, 0),
    "keyctl": lambda: libc.syscall(keyctl, 0, -1, 1),
}
for name, call in calls.items():
    print(name, errno.errorcode[ctypes.get_errno()] if call() < 0 else "done")
"""


def test_the_profile_denies_what_the_runtime_default_denies(pods: Pods) -> None:
    """Otherwise the matrix would say nothing about clusters."""
    pod = pods.with_target("root", pause=True)
    done = pod.run_agent("-c", TRY, security=agent(*own_capabilities() - {"SYS_ADMIN"}))
    assert (done.stdout.splitlines(), done.stderr) == (
        ["unshare EPERM", "clone EPERM", "keyctl EPERM"],
        "",
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReportServer]:
    with report_server(tmp_path, []) as running:
        yield running


@pytest.mark.parametrize("pause", [True, False], ids=["with pause", "game is PID 1"])
def test_the_whole_agent_probes_and_reports_from_its_container(
    server: ReportServer, tmp_path: Path, pause: bool
) -> None:
    probe = {
        "name": "idle",
        "containerName": "game",
        "exec": {"command": ["bash", "./probe.sh"]},
        "initialDelaySeconds": 0,
        "periodSeconds": 1,
    }
    server.offer([probe], "r1")
    (tmp_path / "token").write_text(TOKEN)
    settings = {
        "GAMEKEEPER_REPORT_URLS": server.url,
        "GAMEKEEPER_CA_FILE": str(server.ca_file),
        "GAMEKEEPER_TOKEN_FILE": str(tmp_path / "token"),
        "GAMEKEEPER_POD_UID": POD_UID,
        "GAMEKEEPER_STATUS_PORT": "0",
    }
    with runc_pod(POD_UID, pause=pause) as pod:
        script = "echo $MAP $PWD $(id -u); echo note >&2"
        environment = {"MAP": "desert"}
        pod.start("game", security=GAME, environment=environment, files={"probe.sh": script})
        command = pod.foreground(
            "gamekeeper-agent",
            *("-m", "agent"),
            security=MINIMAL,
            environment=settings,
            mounts=[tmp_path],
        )
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
            entry = server.wait_for_probe("idle", status="True")
            running.send_signal(signal.SIGTERM)  # runc hands it on
            _, log = running.communicate(timeout=60)
    assert (entry["result"], entry["stderr"]) == ("desert /data 1000", "note\n")
    assert running.returncode == 0, log
    assert server.received[-1].body["containers"][0]["running"] is True
    assert [json.loads(line)["level"] for line in log.splitlines()].count("error") == 0
