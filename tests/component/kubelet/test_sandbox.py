"""What a container sees: processes, files, users, capabilities."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.kubelet import KubeletUnderTest, is_ready, state_of

if TYPE_CHECKING:
    from tests.support.fake_kubernetes import Json

pytestmark = [
    pytest.mark.component,
    pytest.mark.timeout(30),
    pytest.mark.asyncio(loop_scope="module"),
]
only_root = pytest.mark.parametrize("as_uid_1000", [False], ids=["root"], scope="module")
TWICE = [False, True] if os.geteuid() == 0 else [False]


@pytest.fixture(scope="module", params=TWICE, ids=["as we are", "as uid 1000"][: len(TWICE)])
def as_uid_1000(request: pytest.FixtureRequest) -> bool:
    """Every test of this module runs privileged and unprivileged."""
    as_other: bool = request.param
    return as_other


@pytest.fixture
def kubelet(shared_kubelet: KubeletUnderTest) -> KubeletUnderTest:
    """One kubelet for the whole module: its tests leave it as they found it."""
    return shared_kubelet


def main_container(**fields: object) -> Json:
    return {"name": "main", "image": "game", **fields}


async def start(kubelet: KubeletUnderTest, *containers: Json, **spec: object) -> Json:
    listed = list(containers) or [main_container()]
    await kubelet.api.create_pod("game-0", {"containers": listed, **spec})
    return await kubelet.api.until_pod("game-0", is_ready)


async def test_ps_shows_only_the_pod_and_main_processes_have_no_parent(
    kubelet: KubeletUnderTest,
) -> None:
    await start(kubelet)
    # A container runs as soon as its first process does; the game takes a moment more to start.
    started = "until [ $(ps -eo args | grep -c '^sleep [12]000$') = 2 ]; do sleep 0.02; done"
    await kubelet.shell("game-0", started)

    shown = await kubelet.shell("game-0", "ps -eo pid,ppid,args --no-headers")

    rows = [line.split(None, 2) for line in shown.splitlines()]
    assert [(pid, ppid, args) for pid, ppid, args in rows[:2]] == [
        ("1", "0", "pause"),
        ("2", "0", "sleep 2000"),
    ]
    assert ("2", "sleep 1000") in [(ppid, args) for _, ppid, args in rows]
    # The last rows are the shell (which has no parent inside either) and ps.
    assert [ppid for _, ppid, _ in rows if ppid == "0"] == ["0", "0", "0"]


async def test_command_lines_of_ours_name_no_path_option_or_probe_word(
    kubelet: KubeletUnderTest,
) -> None:
    await start(kubelet)

    raw = await kubelet.shell("game-0", "cat -v /proc/1/cmdline /proc/1/comm")

    assert raw == "pause^@pause\n"


async def test_two_containers_see_each_others_processes_but_not_files(
    kubelet: KubeletUnderTest,
) -> None:
    second = {"name": "second", "image": "game", "command": ["sleep", "3000"]}
    await start(kubelet, main_container(), second)

    await kubelet.shell("game-0", "echo mine > note; echo tmp > /tmp/note", "second")
    seen = await kubelet.shell("game-0", "ps -eo args; ls . /tmp")

    assert "sleep 3000" in seen
    assert "note" not in seen


async def test_the_termination_log_names_pod_and_container_in_mountinfo(
    kubelet: KubeletUnderTest,
) -> None:
    pod = await start(kubelet)

    line = await kubelet.shell("game-0", "grep ' /dev/termination-log ' /proc/2/mountinfo")

    *_, pods, uid, containers, name, instance = line.split()[3].split("/")
    assert [pods, uid, containers, name] == ["pods", pod["metadata"]["uid"], "containers", "main"]
    assert len(bytes.fromhex(instance)) == 4


async def test_the_host_is_read_only_and_the_working_directory_is_not(
    kubelet: KubeletUnderTest,
) -> None:
    await start(kubelet)
    script = """
        for place in / /etc /usr /var /sys; do touch $place/x 2>/dev/null && echo wrote $place; done
        mount -o remount,rw,bind /usr 2>/dev/null && echo remounted
        umount /usr 2>/dev/null && echo unmounted
        touch /data/x /tmp/x /dev/shm/x && echo hello > /dev/null && pwd && ls
        ls -d /old_root_should_not_be_here 2>/dev/null
        readlink /bin
    """

    shown = await kubelet.shell("game-0", script)

    link = os.readlink("/bin") if os.path.islink("/bin") else ""
    assert shown.split() == ["/data", "start.sh", "x", *([link] if link else [])]


async def test_the_pause_process_gives_no_way_back_to_the_host(kubelet: KubeletUnderTest) -> None:
    await start(kubelet)

    assert await kubelet.shell("game-0", "ls -A /proc/1/root/ 2>/dev/null") == ""


async def test_orphans_are_reaped_by_pause(kubelet: KubeletUnderTest) -> None:
    await start(kubelet)
    script = """
        orphan=$(setsid bash -c 'sleep 0.1 >&- 2>&- & echo $!')
        grep PPid /proc/$orphan/status
        until [ ! -e /proc/$orphan ]; do sleep 0.01; done
        echo reaped
    """

    assert await kubelet.shell("game-0", script) == "PPid:\t1\nreaped\n"


async def test_host_name_address_and_environment(kubelet: KubeletUnderTest) -> None:
    kubelet.api.config_maps["settings"] = {"data": {"level": "hard"}}
    kubelet.api.secrets["keys"] = {"data": {"password": "aHVudGVyMg=="}}
    refs = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "LEVEL", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "password"}}},
        {"name": "BOTH", "value": "$(NAME)/$(LEVEL) $$(NAME) $(MISSING)"},
    ]
    pod = await start(kubelet, main_container(env=refs))

    shown = await kubelet.shell(
        "game-0", 'hostname; echo "$NAME" "$IP" "$LEVEL" "$KEY" "$BOTH" "$MODE" "$HOME"'
    )

    ip = pod["status"]["podIP"]
    both = "game-0/hard $(NAME) $(MISSING)"
    assert shown == f"game-0\ngame-0 {ip} hard hunter2 {both} x /root\n"
    assert ip.startswith("127.")
    assert not ip.startswith("127.0.")


async def test_volumes(kubelet: KubeletUnderTest) -> None:
    kubelet.api.config_maps["settings"] = {"data": {"a": "1", "b": "2"}}
    token = {"path": "token", "audience": "gamekeeper", "expirationSeconds": 600}
    volumes = [
        {"name": "scratch", "emptyDir": {}},
        {
            "name": "settings",
            "configMap": {"name": "settings", "items": [{"key": "b", "path": "d/b"}]},
        },
        {
            "name": "identity",
            "projected": {
                "sources": [
                    {"serviceAccountToken": token},
                    {"configMap": {"name": "settings"}},
                    {
                        "downwardAPI": {
                            "items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.uid"}}]
                        }
                    },
                ]
            },
        },
    ]
    mounts = [
        {"name": "scratch", "mountPath": "/var/lib/game-scratch"},
        {"name": "settings", "mountPath": "/data/settings"},
        {"name": "identity", "mountPath": "/var/run/secrets/gamekeeper", "readOnly": True},
    ]
    pod = await start(kubelet, main_container(volumeMounts=mounts), volumes=volumes)

    shown = await kubelet.shell(
        "game-0",
        "cd /var/run/secrets/gamekeeper; head -c 99 a b labels token; touch x; "
        "cat /data/settings/d/b; touch /var/lib/game-scratch/x && ls /var/lib/game-scratch",
    )

    uid = pod["metadata"]["uid"]
    assert "".join(shown.split()) == (
        f"==>a<==1==>b<==2==>labels<=={uid}==>token<==token-12x"
        "touch:cannottouch'x':Read-onlyfilesystem"
    )
    assert kubelet.api.token_requests == [
        {
            "audiences": ["gamekeeper"],
            "expirationSeconds": 600,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": "game-0",
                "uid": uid,
            },
        }
    ]


async def test_a_projected_token_is_renewed_before_it_expires(kubelet: KubeletUnderTest) -> None:
    kubelet.api.token_seconds = 2
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}
    volumes = [{"name": "identity", "projected": {"sources": [source]}}]
    mounts = [{"name": "identity", "mountPath": "/run/secrets/identity"}]
    await start(kubelet, main_container(volumeMounts=mounts), volumes=volumes)
    file = "/run/secrets/identity/token"

    first = await kubelet.shell("game-0", f"cat {file}")
    later = await kubelet.shell(
        "game-0", f"until [ $(cat {file}) != {first} ]; do sleep 0.05; done; cat {file}"
    )

    # On a slow machine the first one may have been renewed before it was looked at.
    number, next_number = (int(token.removeprefix("token-")) for token in (first, later))
    assert 1 <= number < next_number


@pytest.mark.skipif(os.geteuid() != 0, reason="maps every id only as root")
@only_root
async def test_user_groups_and_capabilities(kubelet: KubeletUnderTest) -> None:
    context = {
        "runAsUser": 1234,
        "runAsGroup": 2345,
        "allowPrivilegeEscalation": False,
    }
    await start(
        kubelet,
        main_container(securityContext=context),
        securityContext={"supplementalGroups": [3456], "runAsUser": 1},
    )

    shown = await kubelet.shell(
        "game-0",
        "id -u; id -g; id -G; grep -E 'CapEff|NoNew' /proc/self/status; touch x && stat -c %u x;"
        "echo again > /dev/stdout",
    )

    assert shown.split() == [
        *("1234", "2345", "2345", "3456"),
        *("CapEff:", "0000000000000000", "NoNewPrivs:", "1", "1234", "again"),
    ]


async def test_capabilities_are_dropped_and_added_to_the_runtime_default(
    kubelet: KubeletUnderTest,
) -> None:
    change = {"drop": ["ALL"], "add": ["SYS_CHROOT", "CAP_KILL"]}
    await start(kubelet, main_container(securityContext={"capabilities": change}))

    shown = await kubelet.shell("game-0", "grep -E 'Cap(Eff|Bnd)' /proc/self/status")

    mask = f"{1 << 18 | 1 << 5:016x}"
    assert shown.split() == ["CapEff:", mask, "CapBnd:", mask]


async def test_a_missing_command_shows_as_a_start_error(kubelet: KubeletUnderTest) -> None:
    await kubelet.api.create_pod(
        "game-0", {"containers": [main_container(command=["no-such-game"])]}
    )

    pod = await kubelet.api.until_pod(
        "game-0",
        lambda p: state_of(p, "main").get("waiting", {}).get("reason") == "CrashLoopBackOff",
    )

    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    ended = status["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"], ended["message"]) == (
        "StartError",
        128,
        "failed to create container process: "
        'exec: "no-such-game": executable file not found in $PATH',
    )
