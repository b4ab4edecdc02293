"""Pods from the API to processes and back, through the real program."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.kubelet import KubeletUnderTest, condition, is_ready, state_of

if TYPE_CHECKING:
    from tests.support.fake_kubernetes import Json

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]
MAIN: Json = {"name": "main", "image": "game"}


def shell(name: str, script: str, **fields: object) -> Json:
    return {"name": name, "image": "game", "command": ["bash", "-c", script], **fields}


async def ready_pod(kubelet: KubeletUnderTest, name: str = "game-0", **spec: object) -> Json:
    await kubelet.api.create_pod(name, {"containers": [MAIN], **spec})
    return await kubelet.api.until_pod(name, is_ready)


def processes_in(pod: Json) -> list[int]:
    """Return the host pids of the pod's processes, by the termination log in their mounts."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                mounts = (entry / "mountinfo").read_text()
            except OSError:
                continue
            if f"/pods/{pod['metadata']['uid']}/containers/" in mounts:
                found.append(int(entry.name))
    return found


async def until_no_process(pod: Json) -> None:
    while processes_in(pod):
        await asyncio.sleep(0.02)


async def test_a_pod_is_bound_started_and_reported(kubelet: KubeletUnderTest) -> None:
    node = kubelet.api.nodes["gamekeeper-local"]["status"]
    assert [(c["type"], c["status"]) for c in node["conditions"]] == [("Ready", "True")]

    pod = await ready_pod(kubelet)

    status = pod["status"]
    assert pod["spec"]["nodeName"] == "gamekeeper-local"
    assert (status["phase"], status["hostIP"]) == ("Running", "127.0.0.1")
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
        "PodScheduled": "True",
    }
    (container,) = status["containerStatuses"]
    assert container["containerID"].startswith("gamekeeper://")
    assert (container["ready"], container["started"], container["restartCount"]) == (True, True, 0)
    assert list(container["state"]) == ["running"]


async def test_pods_have_distinct_addresses(kubelet: KubeletUnderTest) -> None:
    first = await ready_pod(kubelet, "game-0")
    second = await ready_pod(kubelet, "game-1")

    assert first["status"]["podIP"] != second["status"]["podIP"]


async def test_an_unmapped_image_names_the_remedy(kubelet: KubeletUnderTest) -> None:
    container = {"name": "main", "image": "example.com/unknown:1"}
    await kubelet.api.create_pod("game-0", {"containers": [container]})

    pod = await kubelet.api.until_pod(
        "game-0",
        lambda p: state_of(p, "main").get("waiting", {}).get("reason") == "ErrImageNeverPull",
    )

    assert pod["status"]["phase"] == "Pending"
    assert "--image example.com/unknown:1=FOLDER" in state_of(pod, "main")["waiting"]["message"]


async def test_a_missing_reference_is_waited_for(kubelet: KubeletUnderTest) -> None:
    reference = {"configMapKeyRef": {"name": "later", "key": "a"}}
    container = {**MAIN, "env": [{"name": "A", "valueFrom": reference}]}
    await kubelet.api.create_pod("game-0", {"containers": [container]})
    wanted = {"reason": "CreateContainerConfigError", "message": 'configmap "later" not found'}
    await kubelet.api.until_pod("game-0", lambda p: state_of(p, "main") == {"waiting": wanted})

    kubelet.api.config_maps["later"] = {"data": {"a": "1"}}

    await kubelet.api.until_pod("game-0", is_ready)


async def test_a_container_that_dies_is_started_again_without_its_leftovers(
    kubelet: KubeletUnderTest,
) -> None:
    pod = await ready_pod(kubelet)
    await kubelet.shell("game-0", "setsid sleep 7777 >/dev/null 2>&1 & touch /data/old; kill -9 2")

    pod = await kubelet.api.until_pod(
        "game-0", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1
    )
    await kubelet.api.until_pod("game-0", is_ready)

    ended = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")
    shown = await kubelet.shell("game-0", "ps -eo args; ls /data")
    assert "7777" not in shown
    assert "old" not in shown


async def test_sidecars_start_first_and_stop_last(kubelet: KubeletUnderTest) -> None:
    say = "trap 'echo {0} stopped >> /shared/log; exit 0' TERM; echo {0} started >> /shared/log;"
    wait = "while :; do sleep 0.02; done"
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    folder = kubelet.folder / "kept"
    spec: Json = {
        "volumes": [{"name": "shared", "emptyDir": {}}],
        "initContainers": [
            shell("agent", say.format("agent") + wait, restartPolicy="Always", volumeMounts=mounts),
            shell("prepare", "echo prepared >> /shared/log", volumeMounts=mounts),
        ],
        "containers": [
            shell("main", say.format("main") + wait, volumeMounts=mounts),
        ],
    }
    created = await kubelet.api.create_pod("game-0", spec)
    pod = await kubelet.api.until_pod("game-0", is_ready)
    volume = kubelet.state / "pods" / created["metadata"]["uid"] / "volumes" / "shared" / "log"
    os.link(volume, folder)  # the volume goes with its pod; this name stays
    init = {
        c["name"]: (c["ready"], list(c["state"])) for c in pod["status"]["initContainerStatuses"]
    }
    assert init == {"agent": (True, ["running"]), "prepare": (True, ["terminated"])}
    while "main started" not in folder.read_text():
        await asyncio.sleep(0.02)

    await kubelet.api.delete_pod("game-0", grace=60)
    await kubelet.api.until_gone("game-0")

    assert folder.read_text().splitlines() == [
        "agent started",
        "prepared",
        "main started",
        "main stopped",
        "agent stopped",
    ]


async def test_a_deleted_pod_leaves_no_process_and_no_folder(kubelet: KubeletUnderTest) -> None:
    pod = await ready_pod(kubelet)
    while len(processes_in(pod)) < 2:  # the main process, and what it started in the background
        await asyncio.sleep(0.02)

    await kubelet.api.delete_pod("game-0", grace=600)  # it ends when it is asked to
    await kubelet.api.until_gone("game-0")

    assert processes_in(pod) == []
    # The rest of the clean-up comes after the API object: a restart must find no live pod.
    folder = kubelet.state / "pods" / pod["metadata"]["uid"]
    while folder.exists():
        await asyncio.sleep(0.02)
    last = kubelet.api.status_writes[-1]["containerStatuses"][0]
    assert (list(last["state"]), last["ready"]) == (["terminated"], False)


async def test_a_container_that_ignores_sigterm_is_killed_after_the_grace(
    kubelet: KubeletUnderTest,
) -> None:
    stubborn = shell("main", "trap '' TERM; echo deaf > /tmp/deaf; while :; do sleep 0.05; done")
    await kubelet.api.create_pod("game-0", {"containers": [stubborn]})
    pod = await kubelet.api.until_pod("game-0", is_ready)
    await kubelet.shell("game-0", "until [ -e /tmp/deaf ]; do sleep 0.01; done")

    await kubelet.api.delete_pod("game-0", grace=600)
    await kubelet.api.until_pod("game-0", lambda p: "deletionTimestamp" in p["metadata"])
    assert processes_in(pod)
    await kubelet.api.delete_pod("game-0", grace=1)
    await kubelet.api.until_gone("game-0")

    assert processes_in(pod) == []


async def test_a_forced_deletion_kills_at_once(kubelet: KubeletUnderTest) -> None:
    pod = await ready_pod(kubelet)

    await kubelet.api.force_delete_pod("game-0")

    async with asyncio.timeout(60):
        await until_no_process(pod)


async def test_a_pod_that_completes_succeeds(kubelet: KubeletUnderTest) -> None:
    sidecar = shell("agent", "exec sleep 1000", restartPolicy="Always")
    spec = {
        "restartPolicy": "Never",
        "initContainers": [sidecar],
        "containers": [shell("main", "echo bye > /dev/termination-log")],
    }
    await kubelet.api.create_pod("game-0", spec)

    pod = await kubelet.api.until_pod("game-0", lambda p: p["status"]["phase"] == "Succeeded")

    assert state_of(pod, "main")["terminated"]["message"] == "bye\n"
    await kubelet.api.until_pod("game-0", lambda p: "terminated" in state_of(p, "agent"))


async def test_a_failed_init_container_fails_a_pod_that_never_restarts(
    kubelet: KubeletUnderTest,
) -> None:
    spec = {
        "restartPolicy": "Never",
        "initContainers": [shell("prepare", "exit 5")],
        "containers": [MAIN],
    }
    await kubelet.api.create_pod("game-0", spec)

    pod = await kubelet.api.until_pod("game-0", lambda p: p["status"]["phase"] == "Failed")

    assert state_of(pod, "prepare")["terminated"]["exitCode"] == 5
    assert state_of(pod, "main") == {"waiting": {"reason": "PodInitializing"}}
    assert condition(pod, "Initialized") == "False"


async def test_the_api_server_may_fail_drop_watches_and_forget(kubelet: KubeletUnderTest) -> None:
    first = await ready_pod(kubelet, "game-0")
    kubelet.api.failing = [500, 429, 503]
    await kubelet.api.drop_watches()
    kubelet.api.oldest = kubelet.api.version + 1
    gone = dict(kubelet.api.pods)
    kubelet.api.pods.clear()  # deleted while nobody watched
    lists = kubelet.api.lists
    await kubelet.api.create_pod("game-1", {"containers": [MAIN]})
    assert ("default", "game-0") in gone

    await kubelet.api.until_pod("game-1", is_ready)

    assert kubelet.api.lists > lists
    await until_no_process(first)


async def test_an_idle_pod_causes_no_write(kubelet: KubeletUnderTest) -> None:
    await ready_pod(kubelet)
    writes = len(kubelet.api.status_writes)

    await kubelet.api.drop_watches()
    await kubelet.api.create_pod("other", {"containers": [MAIN], "nodeName": "elsewhere"})
    await ready_pod(kubelet, "game-1")

    about_the_first = [
        s for s in kubelet.api.status_writes[writes:] if s["podIP"] == pod_ip(kubelet, "game-0")
    ]
    assert about_the_first == []


def pod_ip(kubelet: KubeletUnderTest, name: str) -> str:
    ip: str = kubelet.api.pods["default", name]["status"]["podIP"]
    return ip


async def test_sigterm_leaves_nothing_behind(kubelet: KubeletUnderTest) -> None:
    pod = await ready_pod(kubelet)

    kubelet.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        code = await kubelet.process.wait()

    assert (code, processes_in(pod), kubelet.state.exists()) == (0, [], False)


@pytest.mark.parametrize("victim", ["kubelet", "launcher"])
async def test_kill_9_leaves_no_process_and_no_mount(
    kubelet: KubeletUnderTest, victim: str
) -> None:
    pod = await ready_pod(kubelet)
    launcher = launcher_of(kubelet)

    os.kill(launcher if victim == "launcher" else kubelet.process.pid, signal.SIGKILL)

    async with asyncio.timeout(60):
        code = await kubelet.process.wait()
        await until_no_process(pod)
        while Path(f"/proc/{launcher}/exe").exists():
            await asyncio.sleep(0.02)
    assert code == (1 if victim == "launcher" else -9)
    assert str(kubelet.state) not in Path("/proc/self/mountinfo").read_text()


def launcher_of(kubelet: KubeletUnderTest) -> int:
    children = Path(f"/proc/{kubelet.process.pid}/task/{kubelet.process.pid}/children")
    (launcher,) = children.read_text().split()
    assert Path(f"/proc/{launcher}/cmdline").read_bytes() == b"gamekeeper-launcher\0"
    return int(launcher)
