"""What a probe may not do: reach the agent's files, keep privileges, hurt its neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.exec_runs import (
    MINIMAL,
    RUNTIME_DEFAULT,
    await_only_the_containers,
    outcome,
    run,
)
from tests.support.pod_sandbox import PodSandbox, Privilege, pod_sandbox
from tests.support.tools import require

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

USER_1000 = ["--reuid", "1000", "--regid", "1000", "--clear-groups"]


@pytest.fixture
def pod() -> Iterator[PodSandbox]:
    with pod_sandbox(Privilege.ROOT) as sandbox:
        yield sandbox


@pytest.fixture(params=list(Privilege), ids=lambda privilege: privilege.value)
def any_pod(request: pytest.FixtureRequest) -> Iterator[PodSandbox]:
    with pod_sandbox(request.param) as sandbox:
        yield sandbox


CLIMB = """
mkdir "/tmp/below";
print "locked\\n" unless chroot "/tmp/below";
chdir ".." for 1..64;
chroot ".";
open(my $token, "<", $ARGV[0]) and print <$token>;
"""

# Every door of every process in sight, each tried as a way to a path of the agent.
DOORS = """
for process in /proc/[0-9]*; do
  for door in root cwd cwd/.. cwd/../../.. fd/0/.. fd/3/.. fd/4/.. fd/5/.. fd/6/..; do
    cat "$process/$door$1" 2>/dev/null
    cat "$process/$door/..$1" 2>/dev/null
  done
  for descriptor in "$process"/fd/*; do cat "$descriptor/..$1" 2>/dev/null; done
  tr '\\0' '\\n' <"$process/environ" 2>/dev/null | grep SECRET
  nsenter --mount="$process/ns/mnt" cat "$1" 2>/dev/null
done
unshare --user --map-root-user cat "/proc/$PPID/root$1" 2>/dev/null
cat "$1" 2>/dev/null
echo tried
"""


def test_a_root_probe_cannot_climb_out_of_its_root_directory(pod: PodSandbox) -> None:
    require("perl", "perl-base")
    token = pod.folder / "token"
    token.write_text("TOKEN")
    pod.start_container("game", become=RUNTIME_DEFAULT)
    result = run(pod, "perl", "-e", CLIMB, str(token), agent_privileges=RUNTIME_DEFAULT)
    assert (result["status"], result["result"]) == ("True", "locked")


@pytest.mark.parametrize("become", [RUNTIME_DEFAULT, USER_1000], ids=["root", "uid 1000"])
def test_no_door_of_proc_leads_a_probe_to_the_files_or_secrets_of_the_agent(
    pod: PodSandbox, become: list[str]
) -> None:
    token = pod.folder / "token"
    token.write_text("TOKEN\n")
    pod.start_container("game", become=become)
    # The driver's environment holds SECRET=agent.
    result = run(pod, "sh", "-c", DOORS, "sh", str(token), agent_privileges=RUNTIME_DEFAULT)
    assert (result["status"], result["result"]) == ("True", "tried")


def test_a_probe_is_the_first_victim_of_a_shortage_and_dumps_no_core(pod: PodSandbox) -> None:
    pod.start_container("game")
    result = run(pod, "sh", "-c", "echo $(cat /proc/self/oom_score_adj) $(ulimit -c)")
    assert result["result"] == "1000 0"


def test_a_probe_has_no_descriptor_but_its_three_streams(any_pod: PodSandbox) -> None:
    any_pod.start_container("game")
    # The fourth is the listing's own.
    assert run(any_pod, "sh", "-c", "echo $(ls /proc/self/fd)")["result"] == "0 1 2 3"


CAPABILITIES = "grep -E '^(CapInh|CapPrm|CapEff|CapAmb)' /proc/self/status | cut -f2 | tr '\\n' ' '"
NET_BIND_SERVICE = "0000000000000400"
NOTHING = "0000000000000000"


def test_ambient_capabilities_of_another_user_are_kept(pod: PodSandbox) -> None:
    ambient = ["--inh-caps", "-all,+net_bind_service", "--ambient-caps", "-all,+net_bind_service"]
    pod.start_container("game", become=[*USER_1000, *ambient])
    result = run(pod, "sh", "-c", CAPABILITIES, agent_privileges=RUNTIME_DEFAULT)
    assert result["result"] == " ".join([NET_BIND_SERVICE] * 4)


def test_capabilities_over_files_do_not_keep_the_agent_out(pod: PodSandbox) -> None:
    ambient = ["--inh-caps", "-all,+chown", "--ambient-caps", "-all,+chown"]
    pod.start_container("game", become=[*USER_1000, *ambient])
    result = run(pod, "sh", "-c", "id -u; " + CAPABILITIES, agent_privileges=RUNTIME_DEFAULT)
    chown = "0000000000000001"
    assert result["result"] == "1000" + " ".join([chown] * 4)


def test_another_user_without_ambient_capabilities_has_none(pod: PodSandbox) -> None:
    pod.start_container("game", become=USER_1000)
    result = run(pod, "sh", "-c", CAPABILITIES, agent_privileges=RUNTIME_DEFAULT)
    assert result["result"] == " ".join([NOTHING] * 4)


def test_a_program_that_hides_its_memory_is_unknown_with_the_reason(pod: PodSandbox) -> None:
    # A program that its user may execute but not read is not dumpable.
    hide = "cp /usr/bin/sleep /tmp/hidden; chmod 111 /tmp/hidden; exec /tmp/hidden infinity"
    secretive = pod.start_container("secretive", become=USER_1000, main=hide)
    executable = Path(f"/proc/{secretive.host_pid}/exe")
    while executable.readlink().name != "hidden":
        assert secretive.process.poll() is None
    result = run(pod, "true", container="secretive", agent_privileges=MINIMAL)
    assert result == outcome(
        "Unknown",
        reason="TargetNotDumpable",
        message="the container's main process is protected from inspection (not dumpable): use the"
        " agent's `ptrace` security profile, or start the game without set-uid or file"
        " capabilities",
    )


# Each generation forks two and ends: the members change faster than anybody can list them.
BOMB = """
bomb() { [ "$1" -gt 9 ] && sleep 300; bomb $(($1 + 1)) & bomb $(($1 + 1)) & }
bomb 0
sleep 300
"""
CHAIN = "chain() { (chain) & }; chain; sleep 300"


@pytest.mark.parametrize("script", [BOMB, CHAIN], ids=["a bomb of 1,000", "an endless chain"])
def test_a_bomb_ends_with_its_timeout_and_leaves_nothing(any_pod: PodSandbox, script: str) -> None:
    any_pod.start_container("game")
    result = run(any_pod, "sh", "-c", script, timeout=1)
    assert (result["status"], result["reason"]) == ("False", "Timeout")
    await_only_the_containers(any_pod, "sleep infinity")
