"""The exec engine in real namespaces: as root, and as an ordinary user in a user namespace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.exec_runs import MINIMAL, await_only_the_containers, outcome, run, run_all
from tests.support.pod_sandbox import PodSandbox, Privilege, pod_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


@pytest.fixture(params=list(Privilege), ids=lambda privilege: privilege.value)
def pod(request: pytest.FixtureRequest) -> Iterator[PodSandbox]:
    with pod_sandbox(request.param) as sandbox:
        yield sandbox


@pytest.fixture
def root_pod() -> Iterator[PodSandbox]:
    with pod_sandbox(Privilege.ROOT) as sandbox:
        yield sandbox


def test_a_command_sees_the_files_the_folder_and_the_environment_of_its_container(
    pod: PodSandbox,
) -> None:
    pod.start_container(
        "game",
        environment={"GAME": "minecraft", "PATH": "/data:/usr/bin"},
        files={"probe": "#!/bin/sh\necho $GAME $PWD $SECRET; ls /; cat <&0\n"},
    )
    listing = "bin data dev etc lib lib64 proc sbin tmp usr"
    assert run(pod, "sh", "-c", "echo $GAME $PWD $SECRET; echo $(ls /); cat") == outcome(
        "True",
        exitCode=0,
        stdout=f"minecraft /data\n{listing}\n",
        result=f"minecraft /data{listing}",
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(["probe.sh"], outcome("True", exitCode=0, stdout="found\n"), id="by PATH"),
        pytest.param(["./probe.sh"], outcome("True", exitCode=0, stdout="found\n"), id="by path"),
        pytest.param(
            ["bash", "./probe.sh"],
            outcome("True", exitCode=0, stdout="found\n"),
            id="as the seeds write it",
        ),
    ],
)
def test_a_command_is_found_with_the_path_of_its_container(
    pod: PodSandbox, command: list[str], expected: dict[str, Any]
) -> None:
    pod.start_container(
        "game",
        environment={"PATH": "/nowhere:/data/probe.sh:/data:/usr/bin"},
        files={"probe.sh": "#!/bin/sh\necho found\n"},
    )
    assert run(pod, *command) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo yes", outcome("True", exitCode=0, stdout="yes\n")),
        ("echo no; exit 1", outcome("False", exitCode=1, stdout="no\n")),
        ("echo bad >&2; exit 255", outcome("False", exitCode=255, stderr="bad\n")),
        ("kill -SEGV $$", outcome("False", exitCode=139)),
        ("printf 'a|b\\r\\nc'", outcome("True", exitCode=0, stdout="a|b\r\nc", result="abc")),
        ("printf '\\377'", outcome("True", exitCode=0, stdout="\ufffd", result="\ufffd")),
    ],
    ids=["success", "failure keeps stdout", "stderr apart", "killed", "cleaned", "no UTF-8"],
)
def test_exit_code_and_output_decide_the_outcome(
    pod: PodSandbox, script: str, expected: dict[str, Any]
) -> None:
    pod.start_container("game")
    assert run(pod, "sh", "-c", script) == expected


@pytest.mark.parametrize(
    ("command", "reason", "message"),
    [
        (
            ["nowhere"],
            "ExecNotFound",
            "'nowhere' is not in the container: check the path, the container's PATH and"
            " containerName",
        ),
        (
            ["echo $MAP"],
            "ExecNotFound",
            "'echo $MAP' is not in the container: the command is no shell: write"
            ' ["sh", "-c", "..."]',
        ),
        (
            ["/data/no-interpreter"],
            "ExecNotFound",
            "the interpreter '/nowhere/sh' in the first line of '/data/no-interpreter' is not in"
            " the container: correct that line",
        ),
        (
            ["./windows.sh"],
            "ExecNotFound",
            "the interpreter '/bin/sh\\r' in the first line of './windows.sh' is not in the"
            " container: save the file with Unix line ends",
        ),
        (
            ["foreign"],
            "ExecNotFound",
            "the loader that 'foreign' was linked for is not in the container: build it for this"
            " image (glibc or musl)",
        ),
        (
            ["/data"],
            "ExecNotExecutable",
            "'/data' cannot be executed in the container (Permission denied): make it executable"
            ' (chmod +x), or run it through its interpreter, as ["bash", "./probe.sh"]',
        ),
        (
            ["/data/no-header"],
            "ExecNotExecutable",
            "'/data/no-header' cannot be executed in the container (Exec format error): begin it"
            ' with a #! line, or run it through its interpreter, as ["bash", "./probe.sh"]',
        ),
    ],
    ids=[
        "missing",
        "a line for a shell",
        "interpreter missing",
        "Windows line ends",
        "another libc",
        "a folder",
        "no #! line",
    ],
)
def test_a_command_that_cannot_run_is_unknown_with_a_remedy(
    pod: PodSandbox, command: list[str], reason: str, message: str
) -> None:
    game = pod.start_container(
        "game",
        environment={"PATH": "/usr/bin:/bin:/data"},
        files={
            "no-interpreter": "#!/nowhere/sh -e\n",
            "windows.sh": "#!/bin/sh\r\nexit 0\r\n",
            "no-header": "echo found\n",
        },
    )
    foreign = game.data / "foreign"
    foreign.write_bytes(Path("/bin/true").read_bytes().replace(b"/ld-linux", b"/ld-other"))
    foreign.chmod(0o755)
    assert run(pod, *command) == outcome("Unknown", reason=reason, message=message)


def test_the_codes_of_a_shell_that_cannot_run_a_command_are_unknown(pod: PodSandbox) -> None:
    pod.start_container("game")
    outcomes = run_all(pod, ["sh", "-c", "exit 126"], ["sh", "-c", "exit 127"])["runs"]
    assert [(o["status"], o["reason"], o["exitCode"]) for o in outcomes] == [
        ("Unknown", "ExecNotExecutable", 126),
        ("Unknown", "ExecNotFound", 127),
    ]


def test_a_timeout_is_false_and_leaves_no_process_of_the_tree(pod: PodSandbox) -> None:
    pod.start_container("game")
    script = """
    echo partial
    trap '' TERM INT HUP
    (trap '' TERM; setsid sh -c 'sleep 1001 & sleep 1002' &)
    setsid sleep 1003 &
    (sleep 1004; sleep 1005) &
    sleep 1006
    """
    assert run(pod, "sh", "-c", script, timeout=2) == outcome(
        "False",
        stdout="partial\n",
        reason="Timeout",
        message="the command was killed: raise timeoutSeconds or make it faster",
    )
    await_only_the_containers(pod, "sleep infinity")


def test_a_daemon_that_keeps_stdout_open_neither_hangs_the_probe_nor_survives_it(
    pod: PodSandbox,
) -> None:
    pod.start_container("game")
    (outcome_of_run,) = run_all(pod, ["sh", "-c", "setsid sleep 1000 & echo up"])["runs"]
    assert (outcome_of_run["status"], outcome_of_run["result"]) == ("True", "up")
    assert outcome_of_run["durationSeconds"] < 15
    await_only_the_containers(pod, "sleep infinity")


def test_a_child_that_writes_a_moment_after_the_command_is_still_heard(pod: PodSandbox) -> None:
    pod.start_container("game")
    expected = outcome("True", exitCode=0, stdout="late\n")
    # It waits until the command has ended, which is when the time for what comes late begins.
    script = "(while kill -0 $$ 2>/dev/null; do :; done; echo late) & exit 0"
    assert run(pod, "sh", "-c", script) == expected


def test_a_probe_that_closes_its_streams_is_still_awaited(pod: PodSandbox) -> None:
    pod.start_container("game")
    script = "exec >&- 2>&-; sleep 0.3; exit 3"
    assert run(pod, "sh", "-c", script) == outcome("False", exitCode=3)


def test_a_hundred_megabytes_of_output_are_drained_and_cut(pod: PodSandbox) -> None:
    pod.start_container("game")
    script = "head -c 100000000 /dev/zero | tr '\\0' x; head -c 9000 /dev/zero | tr '\\0' e >&2"
    assert run(pod, "sh", "-c", script, timeout=20) == outcome(
        "True", exitCode=0, stdout="x" * 2048, result="x" * 1024, stderr="e" * 4096
    )


def test_many_probes_at_once_leave_no_zombie_and_no_open_file(pod: PodSandbox) -> None:
    pod.start_container("game")
    commands = [["sh", "-c", f"echo {number}; sleep 0.1 & exit 0"] for number in range(20)]
    answer = run_all(pod, *commands)
    assert [o["result"] for o in answer["runs"]] == [str(number) for number in range(20)]
    before, after = answer["openFiles"]
    assert after == before
    await_only_the_containers(pod, "sleep infinity")


def test_two_containers_of_a_pod_are_told_apart(pod: PodSandbox) -> None:
    pod.start_container("proxy", environment={"NAME": "proxy"})
    pod.start_container("game", environment={"NAME": "game"})
    results = [run(pod, "sh", "-c", "echo $NAME", container=c)["result"] for c in ("proxy", "game")]
    assert results == ["proxy", "game"]


def test_the_main_process_is_the_oldest_of_a_container(pod: PodSandbox) -> None:
    game = pod.start_container("game", environment={"WHO": "main"})
    inside = ["nsenter", "--target", str(game.pid), "--mount", "env", "WHO=kubectl exec"]
    command = [*pod.enter_command(), *inside, "sh", "-c", "echo ready; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == "ready\n"
        assert run(pod, "sh", "-c", "echo $WHO")["result"] == "main"
        shell.kill()


def test_a_container_without_its_mount_is_found_by_its_marker(pod: PodSandbox) -> None:
    pod.start_container("game", environment={"GAMEKEEPER_CONTAINER": "game"}, termination_log=False)
    assert run(pod, "sh", "-c", "echo $GAMEKEEPER_CONTAINER")["result"] == "game"


def test_the_marker_of_another_user_is_read_too(root_pod: PodSandbox) -> None:
    root_pod.start_container(
        "game",
        environment={"GAMEKEEPER_CONTAINER": "game"},
        termination_log=False,
        become=["--reuid", "1000", "--regid", "1000", "--clear-groups"],
    )
    assert run(root_pod, "id", "-u", agent_privileges=MINIMAL)["result"] == "1000"


def test_a_script_that_kills_its_supervisor_is_unknown_and_leaves_nothing(pod: PodSandbox) -> None:
    pod.start_container("game")
    script = "setsid sh -c 'sleep 1001 & sleep 1002' & kill -9 $PPID; sleep 1003"
    # The second command keeps the helper alive until it has cleaned up.
    cleaned = "while pgrep -f 'sleep 100[1-3]' > /dev/null; do sleep 0.05; done"
    first, second = run_all(pod, ["sh", "-c", script], ["sh", "-c", cleaned])["runs"]
    assert (first["status"], first["reason"]) == ("Unknown", "ExecHelperDied")
    assert second["status"] == "True"
    await_only_the_containers(pod, "sleep infinity")


def test_a_command_that_is_too_long_to_hand_over_is_unknown(pod: PodSandbox) -> None:
    pod.start_container("game")
    assert run(pod, "echo", "x" * 140_000) == outcome(
        "Unknown",
        reason="ExecNotExecutable",
        message="the command is longer than 131072 bytes: put it into a script",
    )


IDENTITY = "echo $(id -u) $(id -g) $(id -G)"
CAPABILITIES = "grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs)' /proc/self/status | tr -s '\\t\\n' ' '"


def test_a_command_has_the_user_and_all_groups_of_the_main_process(root_pod: PodSandbox) -> None:
    root_pod.start_container(
        "game", become=["--reuid", "1000", "--regid", "2000", "--groups", "2000,3000,4000"]
    )
    assert run(root_pod, "sh", "-c", IDENTITY)["result"] == "1000 2000 2000 3000 4000"


def test_three_capabilities_suffice_for_a_non_root_container(root_pod: PodSandbox) -> None:
    root_pod.start_container(
        "game", become=["--reuid", "1000", "--regid", "1000", "--clear-groups"]
    )
    result = run(root_pod, "sh", "-c", IDENTITY, agent_privileges=MINIMAL)["result"]
    assert result == "1000 1000 1000"


@pytest.mark.parametrize(
    ("agent", "game", "reason"),
    [
        pytest.param(
            MINIMAL,
            ["--bounding-set", "-all,+chown,+sys_chroot", "--inh-caps", "-all"],
            "TargetHasMoreCapabilities",
            id="root with more capabilities",
        ),
        pytest.param(
            ["--bounding-set", "-all,+setuid,+setgid", "--inh-caps", "-all"],
            ["--reuid", "1000", "--regid", "1000", "--clear-groups"],
            "MissingCapability",
            id="no SYS_CHROOT",
        ),
        pytest.param(
            ["--bounding-set", "-all,+sys_chroot,+setgid", "--inh-caps", "-all"],
            ["--reuid", "1000", "--regid", "1000", "--clear-groups"],
            "MissingCapability",
            id="no SETUID",
        ),
    ],
)
def test_what_the_agent_may_not_enter_is_unknown_with_the_reason(
    root_pod: PodSandbox, agent: list[str], game: list[str], reason: str
) -> None:
    root_pod.start_container("game", become=game)
    outcome_of_run = run(root_pod, "true", agent_privileges=agent)
    assert (outcome_of_run["status"], outcome_of_run["reason"]) == ("Unknown", reason)


def test_a_command_has_the_capabilities_that_both_agent_and_container_have(
    root_pod: PodSandbox,
) -> None:
    root_pod.start_container(
        "game", become=["--bounding-set", "-all,+chown,+kill", "--inh-caps", "-all"]
    )
    # chown = bit 0, kill = bit 5; the agent lacks nothing, the container decides.
    both = "0000000000000021"
    assert run(root_pod, "sh", "-c", CAPABILITIES)["result"] == (
        f"CapPrm: {both} CapEff: {both} CapBnd: {both} NoNewPrivs: 0"
    )


def test_without_setpcap_no_new_privileges_keeps_root_from_regaining_capabilities(
    root_pod: PodSandbox,
) -> None:
    root_pod.start_container("game", become=["--bounding-set", "-all,+chown", "--inh-caps", "-all"])
    agent = ["--bounding-set", "-all,+sys_chroot,+setuid,+setgid,+chown", "--inh-caps", "-all"]
    result = run(root_pod, "sh", "-c", CAPABILITIES, agent_privileges=agent)["result"]
    chown, bounding = "0000000000000001", "00000000000400c1"
    assert result == f"CapPrm: {chown} CapEff: {chown} CapBnd: {bounding} NoNewPrivs: 1"


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        pytest.param(0, ("True", ""), id="the agent's user may enter it, as with a runtime"),
        pytest.param(4000, ("Unknown", "WorkingDirDenied"), id="neither may"),
    ],
)
def test_a_working_folder_that_was_closed_since_the_start(
    root_pod: PodSandbox, owner: int, expected: tuple[str, str]
) -> None:
    become = ["--reuid", "1000", "--regid", "1000", "--clear-groups"]
    data = root_pod.start_container("game", become=become).data
    os.chown(data, owner, owner)
    data.chmod(0o700)
    outcome_of_run = run(root_pod, "true", agent_privileges=MINIMAL)
    assert (outcome_of_run["status"], outcome_of_run["reason"]) == expected
