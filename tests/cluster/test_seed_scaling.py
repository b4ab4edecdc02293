"""The transcripts of the second seed up to autoscaling, typed as they are printed.

Each runs in a namespace of its own, which its kubeconfig makes the default one: so the commands
need no option that the seed does not have, and all share one cluster. The game of the seed ends
when it is told to (`finish`), so that every table that shows Deleting is seen, however busy the
machine is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster import Cluster, OpenCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

SEED = Path(__file__).parents[1] / "data" / "seeds" / "scaling-minecraft.yaml"
IMAGE = "registry.cn-hangzhou.aliyuncs.com/acs/minecraft-demo:1.12.2"
GAME = """\
trap 'until test -e finish; do sleep 0.1; done; exit 0' TERM
while true; do sleep 0.1; done
"""
# `kubectl edit` starts this with the file to edit as its only argument.
EDITOR = """\
import json, os, sys, yaml
path = sys.argv[1]
with open(path) as file:
    edited = yaml.safe_load(file)
edited["spec"] |= json.loads(os.environ["TYPED"])
with open(path, "w") as file:
    yaml.safe_dump(edited, file)
"""


@pytest.fixture(scope="module")
def cluster(
    open_cluster: OpenCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    image = tmp_path_factory.mktemp("seed-scaling")
    description = {"command": ["bash", "game.sh"], "workingDir": "/game"}
    (image / "image.yaml").write_text(yaml.safe_dump(description))
    (image / "game.sh").write_text(GAME)
    with open_cluster(images={IMAGE: image}) as running:
        yield running


class Person:
    """Types the commands of one transcript."""

    def __init__(self, cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = cluster
        self._monkeypatch = monkeypatch
        editor = folder / "editor.py"
        editor.write_text(EDITOR)
        monkeypatch.setenv("KUBE_EDITOR", f"{sys.executable} {editor}")

    def apply(self, replicas: int) -> None:
        manifest = yaml.safe_load(SEED.read_text())
        manifest["spec"]["replicas"] = replicas
        self.cluster.apply(manifest)

    def edit(self, kind: str, name: str, **typed: Any) -> None:
        """`kubectl edit KIND NAME`, and type these fields of the spec."""
        self._monkeypatch.setenv("TYPED", json.dumps(typed))
        said = self.cluster.must("edit", kind, name)
        plural = {"gs": "gameserver", "gss": "gameserverset"}[kind]
        assert said == f"{plural}.game.kruise.io/{name} edited\n"

    def scale(self, replicas: int) -> None:
        said = self.cluster.must("scale", "gss", "minecraft", f"--replicas={replicas}")
        assert said == "gameserverset.game.kruise.io/minecraft scaled\n"

    def sees(self, *printed: str) -> None:
        """`kubectl get gs` until it prints these rows: NAME STATE OPSSTATE DP UP."""
        rows = {name: tuple(cells) for name, *cells in map(str.split, printed)}

        def look() -> dict[str, tuple[str, ...]]:
            table = self.cluster.table("get", "gs")
            assert table.columns in ((), ("NAME", "STATE", "OPSSTATE", "DP", "UP", "AGE"))
            return {name: cells[:4] for name, cells in table.rows.items()}

        self.cluster.wait_for(look, rows)

    def spec(self, *fields: str) -> dict[str, Any]:
        """These fields of what `kubectl get gss minecraft -o yaml` prints."""
        printed = yaml.safe_load(self.cluster.must("get", "gss", "minecraft", "-o", "yaml"))
        return {name: printed["spec"].get(name) for name in fields}

    def finish(self, *names: str) -> None:
        """Let games that were told to end do so."""
        for name in names:
            self.cluster.must("exec", name, "--", "touch", "finish")


@pytest.fixture
def person(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Person]:
    namespace = request.node.name.replace("_", "-").removeprefix("test-")[:60]
    with cluster.beside(namespace) as own:
        yield Person(own, tmp_path, monkeypatch)


def ready(*ids: int) -> tuple[str, ...]:
    return tuple(f"minecraft-{id_} Ready None 0 0" for id_ in ids)


def test_the_order_of_deletion(person: Person) -> None:
    person.apply(replicas=5)
    person.sees(*ready(0, 1, 2, 3, 4))

    person.edit("gs", "minecraft-2", deletionPriority=10, opsState="None", updatePriority=0)
    person.scale(4)
    person.sees(
        "minecraft-0 Ready    None 0  0",
        "minecraft-1 Ready    None 0  0",
        "minecraft-2 Deleting None 10 0",
        "minecraft-3 Ready    None 0  0",
        "minecraft-4 Ready    None 0  0",
    )
    person.finish("minecraft-2")
    person.sees(*ready(0, 1, 3, 4))

    person.edit(
        "gs", "minecraft-3", deletionPriority=0, opsState="WaitToBeDeleted", updatePriority=0
    )
    person.scale(3)
    person.sees(
        "minecraft-0 Ready    None            0 0",
        "minecraft-1 Ready    None            0 0",
        "minecraft-3 Deleting WaitToBeDeleted 0 0",
        "minecraft-4 Ready    None            0 0",
    )
    person.finish("minecraft-3")
    person.sees(*ready(0, 1, 4))

    person.scale(5)
    person.sees(*ready(0, 1, 2, 3, 4))


def test_reserved_ids(person: Person) -> None:
    person.apply(replicas=5)
    person.sees(*ready(0, 1, 2, 3, 4))

    person.edit("gss", "minecraft", reserveGameServerIds=[3, 4])
    person.sees(
        "minecraft-0 Ready    None 0 0",
        "minecraft-1 Ready    None 0 0",
        "minecraft-2 Ready    None 0 0",
        "minecraft-3 Deleting None 0 0",
        "minecraft-4 Deleting None 0 0",
        "minecraft-5 Ready    None 0 0",
        "minecraft-6 Ready    None 0 0",
    )
    person.finish("minecraft-3", "minecraft-4")
    person.sees(*ready(0, 1, 2, 5, 6))

    person.edit("gss", "minecraft", replicas=3, reserveGameServerIds=[3, 4, 5, 6])
    person.sees(
        "minecraft-0 Ready    None 0 0",
        "minecraft-1 Ready    None 0 0",
        "minecraft-2 Ready    None 0 0",
        "minecraft-5 Deleting None 0 0",
        "minecraft-6 Deleting None 0 0",
    )
    person.finish("minecraft-5", "minecraft-6")
    person.sees(*ready(0, 1, 2))
    written = person.spec("replicas", "reserveGameServerIds")
    assert written == {"replicas": 3, "reserveGameServerIds": [3, 4, 5, 6]}


def test_kill(person: Person) -> None:
    person.apply(replicas=3)
    person.sees(*ready(0, 1, 2))

    person.edit("gs", "minecraft-1", opsState="Kill")
    person.sees(
        "minecraft-0 Ready    None 0 0",
        "minecraft-1 Deleting Kill 0 0",
        "minecraft-2 Ready    None 0 0",
    )
    person.cluster.wait_for(lambda: person.spec("replicas"), {"replicas": 2})
    person.finish("minecraft-1")
    person.sees(*ready(0, 2))
    written = person.spec("replicas", "reserveGameServerIds")
    assert written == {"replicas": 2, "reserveGameServerIds": None}


def test_the_strategy_that_reserves_ids(person: Person) -> None:
    person.apply(replicas=5)
    person.sees(*ready(0, 1, 2, 3, 4))

    strategy = {"scaleDownStrategyType": "ReserveIds"}
    person.edit("gss", "minecraft", replicas=3, scaleStrategy=strategy)
    person.sees(
        "minecraft-0 Ready    None 0 0",
        "minecraft-1 Ready    None 0 0",
        "minecraft-2 Ready    None 0 0",
        "minecraft-3 Deleting None 0 0",
        "minecraft-4 Deleting None 0 0",
    )
    fields = ("replicas", "reserveGameServerIds", "scaleStrategy")
    written = {"replicas": 3, "reserveGameServerIds": [3, 4], "scaleStrategy": strategy}
    person.cluster.wait_for(lambda: person.spec(*fields), written)
    person.finish("minecraft-3", "minecraft-4")
    person.sees(*ready(0, 1, 2))

    person.edit("gss", "minecraft", replicas=4, reserveGameServerIds=[3], scaleStrategy=strategy)
    person.sees(*ready(0, 1, 2, 4))
    assert person.spec(*fields) == {
        "replicas": 4,
        "reserveGameServerIds": [3],
        "scaleStrategy": strategy,
    }
