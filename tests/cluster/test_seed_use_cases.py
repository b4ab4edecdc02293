"""Both use cases of the first seed, their YAML unchanged: idle servers, and unhealthy ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster import Cluster, OpenCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

SEEDS = Path(__file__).parents[1] / "data" / "seeds"
# The seed shows no scripts for these two: by name, the use case and what its probe asks.
SCRIPTS = {
    "idle": 'test -z "$(ls players 2> /dev/null)"\n',
    "healthy": "test ! -e broken\n",
}
READY = ("Ready", "None", "0", "0")
IDLE = ("Ready", "WaitToBeDeleted", "0", "0")


@pytest.fixture(scope="module")
def cluster(
    open_cluster: OpenCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("seed")
    files, images = [], {}
    for name, script in SCRIPTS.items():
        manifest = SEEDS / f"service-quality-{name}.yaml"
        template = yaml.safe_load(manifest.read_text())["spec"]["gameServerTemplate"]
        image = folder / name
        image.mkdir()
        description = {"command": ["sleep", "infinity"], "workingDir": "/game"}
        (image / "image.yaml").write_text(yaml.safe_dump(description))
        (image / f"{name}.sh").write_text(script)
        images[template["spec"]["containers"][0]["image"]] = image
        files.append(manifest)
    with open_cluster(images=images, files=files) as running:
        yield running


def warnings_of(cluster: Cluster, name: str) -> list[str]:
    selector = f"involvedObject.kind=GameServer,involvedObject.name={name},type=Warning"
    path = '{range .items[*]}{.reason}: {.message}{"\\n"}{end}'
    text = cluster.must("get", "events", "--field-selector", selector, "-o", f"jsonpath={path}")
    return text.splitlines()


def test_idle_servers_go_first_and_one_with_a_player_is_protected(cluster: Cluster) -> None:
    idle = {f"minecraft-{id_}": IDLE for id_ in range(3)}
    cluster.wait_for(lambda: cluster.servers("minecraft"), idle)
    cluster.must("exec", "minecraft-1", "--", "mkdir", "-p", "players/alice")
    cluster.wait_for(lambda: cluster.servers("minecraft"), idle | {"minecraft-1": READY})
    cluster.must("scale", "gss", "minecraft", "--replicas=1")
    cluster.wait_for(lambda: cluster.servers("minecraft"), {"minecraft-1": READY})


def test_an_unhealthy_server_is_maintaining_with_a_warning(cluster: Cluster) -> None:
    well = {f"demo-gs-{id_}": READY for id_ in range(3)}
    cluster.wait_for(lambda: cluster.servers("demo-gs"), well)
    assert warnings_of(cluster, "demo-gs-0") == []

    cluster.must("exec", "demo-gs-0", "--", "touch", "broken")
    broken = ("Ready", "Maintaining", "0", "0")
    cluster.wait_for(lambda: cluster.servers("demo-gs"), well | {"demo-gs-0": broken})
    expected = ["GsStateChanged: opsState None -> Maintaining"]
    cluster.wait_for(lambda: warnings_of(cluster, "demo-gs-0"), expected)
    assert "Maintaining" in cluster.must("describe", "gs", "demo-gs-0")

    cluster.must("exec", "demo-gs-0", "--", "rm", "broken")
    cluster.wait_for(lambda: cluster.servers("demo-gs"), well)
    assert warnings_of(cluster, "demo-gs-0") == expected
