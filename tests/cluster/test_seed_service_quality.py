"""The first example of the first seed, its YAML and its probe.sh unchanged."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.kubectl import kubectl_path
from cli.terminal import open_terminal
from tests.support.cluster import MINECRAFT, MINECRAFT_IMAGE, Cluster, OpenCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

SEEDS = Path(__file__).parents[1] / "data" / "seeds"
READY = ("Ready", "None", "0", "0")


@pytest.fixture(scope="module")
def cluster(
    open_cluster: OpenCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    image = tmp_path_factory.mktemp("seed") / "image"
    shutil.copytree(MINECRAFT.parent / "image", image)
    shutil.copy(SEEDS / "service-quality-probe.sh", image / "probe.sh")
    manifest = SEEDS / "service-quality-minecraft.yaml"
    with open_cluster(images={MINECRAFT_IMAGE: image}, files=[manifest]) as running:
        yield running


def type_into(cluster: Cluster, pod: str, *lines: str) -> str:
    """Type lines into `kubectl exec -it POD -- /bin/bash`, as the seed does, then exit."""

    async def run() -> str:
        command = (kubectl_path(), "exec", "-it", pod, "--", "/bin/bash")
        async with open_terminal(command, cluster.environment) as terminal:
            for line in (*lines, "echo all is typed: $?"):
                terminal.type(line)
            await terminal.read_until(r"all is typed: \d")
            terminal.type("exit")
            await terminal.close()
            return terminal.text

    return asyncio.run(run())


def pid_of(cluster: Cluster, pod: str, script: str) -> str:
    screen = type_into(cluster, pod, "ps -ef")
    row = re.search(rf"^root +(\d+) +\d+ .*{re.escape(script)}$", screen, re.MULTILINE)
    assert row is not None, screen
    return row[1]


def test_the_transcript_of_the_seed_can_be_typed(cluster: Cluster) -> None:
    cluster.wait_for(cluster.servers, {f"minecraft-{id_}": READY for id_ in range(3)})
    pods = {name: cells[:3] for name, cells in cluster.table("get", "po").rows.items()}
    assert pods == {f"minecraft-{id_}": ("2/2", "Running", "0") for id_ in range(3)}

    type_into(cluster, "minecraft-0", f"kill -9 {pid_of(cluster, 'minecraft-0', './gate.sh')}")
    gate = ("Ready", "GateMaintaining", "0", "0")
    cluster.wait_for(
        cluster.servers, {"minecraft-0": gate, "minecraft-1": READY, "minecraft-2": READY}
    )

    type_into(cluster, "minecraft-1", f"kill -9 {pid_of(cluster, 'minecraft-1', './data.sh')}")
    data = ("Ready", "DataMaintaining", "0", "0")
    cluster.wait_for(
        cluster.servers, {"minecraft-0": gate, "minecraft-1": data, "minecraft-2": READY}
    )

    type_into(cluster, "minecraft-0", "bash ./gate.sh &")
    type_into(cluster, "minecraft-1", "bash ./data.sh &")
    cluster.wait_for(cluster.servers, {f"minecraft-{id_}": READY for id_ in range(3)})


def test_ps_in_a_pod_shows_only_the_pod_and_no_path_of_ours(cluster: Cluster) -> None:
    cluster.wait_for(lambda: cluster.servers().get("minecraft-2", ())[:1], ("Ready",))
    listed: list[str] = []

    def ours() -> list[str]:
        text = cluster.must("exec", "minecraft-2", "--", "ps", "-e", "-o", "args=")
        # containerd's pause is started by its path.
        listed[:] = (line.removeprefix("/") for line in text.splitlines())
        return sorted(line for line in listed if line.startswith(("pause", "gamekeeper")))

    # While the agent starts it has no title yet, and while a probe runs there is a nanny more.
    cluster.wait_for(ours, ["gamekeeper-agent", "gamekeeper-exec", "pause"])
    # A script that another test has started again by hand was typed without the path of bash.
    theirs = {line.removeprefix("bin/") for line in listed}
    assert {"bash ./start.sh", "bash ./gate.sh", "bash ./data.sh"} <= theirs


def test_the_set_prints_the_columns_of_the_seed(cluster: Cluster) -> None:
    columns = ("DESIRED", "CURRENT", "UPDATED", "READY", "MAINTAINING", "WAITTOBEDELETED")
    cluster.wait_for(
        lambda: cluster.table("get", "gss").rows.get("minecraft", ())[:6],
        ("3", "3", "3", "3", "0", "0"),
    )
    assert cluster.table("get", "gss").columns == ("NAME", *columns, "AGE")
    wide = cluster.table("get", "gss", "-o", "wide").columns
    assert wide == ("NAME", *columns, "PREDELETE", "NONE", "ALLOCATED", "KILL", "AGE")


def test_an_action_is_told_as_an_event_of_the_server(cluster: Cluster) -> None:
    cluster.wait_for(lambda: cluster.servers().get("minecraft-2", ())[:1], ("Ready",))
    type_into(cluster, "minecraft-2", f"kill -9 {pid_of(cluster, 'minecraft-2', './gate.sh')}")
    gate = ("Ready", "GateMaintaining", "0", "0")
    cluster.wait_for(lambda: cluster.servers().get("minecraft-2"), gate)

    def messages() -> set[str]:
        selector = "involvedObject.kind=GameServer,involvedObject.name=minecraft-2"
        text = cluster.must(
            *("get", "events", "--field-selector", selector),
            *("-o", 'jsonpath={range .items[*]}{.reason}: {.message}{"\\n"}{end}'),
        )
        return set(text.splitlines())

    told = {
        "ServiceQualityAction: healthy=True(gate): opsState None -> GateMaintaining",
        "GsStateChanged: opsState None -> GateMaintaining",
    }
    cluster.wait_for(lambda: told <= messages(), expected=True)
    type_into(cluster, "minecraft-2", "bash ./gate.sh &")
    cluster.wait_for(lambda: cluster.servers().get("minecraft-2"), READY)
