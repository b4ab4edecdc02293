"""The built-in autoscaler on a whole cluster, with the real kubectl."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import MINECRAFT_IMAGE, REPOSITORY, Cluster, OpenCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

EXAMPLE = REPOSITORY / "examples" / "autoscaling" / "min-available.autoscaler.yaml"
IMAGE = REPOSITORY / "examples" / "minecraft" / "image"


@pytest.fixture(scope="module")
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    with open_cluster(images={MINECRAFT_IMAGE: IMAGE}) as running:
        body = {
            "apiVersion": "game.kruise.io/v1alpha1",
            "kind": "GameServerSet",
            "metadata": {"name": "minecraft"},
            "spec": {
                "replicas": 1,
                "gameServerTemplate": {
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "game", "image": MINECRAFT_IMAGE}],
                    }
                },
            },
        }
        running.apply(body)
        yield running


def names_of(cluster: Cluster) -> set[str]:
    return set(cluster.table("get", "gs").rows)


def patch(cluster: Cluster, kind: str, name: str, **spec: object) -> None:
    cluster.must("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))


def test_a_set_keeps_three_idle_and_loses_exactly_who_is_marked(cluster: Cluster) -> None:
    cluster.apply_file(EXAMPLE)
    cluster.wait_for(lambda: names_of(cluster), {f"minecraft-{id_}" for id_ in range(3)})
    patch(cluster, "gssa", "minecraft", behavior={"scaleDown": {"waitToBeDeletedSeconds": 1}})
    patch(cluster, "gs", "minecraft-1", opsState="Allocated")
    cluster.wait_for(lambda: names_of(cluster), {f"minecraft-{id_}" for id_ in range(4)})
    patch(cluster, "gs", "minecraft-0", opsState="WaitToBeDeleted")
    # Another one comes first: three idle servers are wanted, and a marked one is none.
    cluster.wait_for(lambda: names_of(cluster), {f"minecraft-{id_}" for id_ in range(1, 5)})
    ops_state = cluster.must("get", "gs", "minecraft-1", "-o", "jsonpath={.spec.opsState}")
    assert ops_state == "Allocated"

    def shown() -> tuple[str, ...]:
        return cluster.table("get", "gssa").rows["minecraft"][:-1]

    cluster.wait_for(shown, ("minecraft", "0", "100", "3", "4", "4", "Active"))


def test_an_autoscaler_is_explained(cluster: Cluster) -> None:
    cluster.apply_file(EXAMPLE)
    timeout = f"--timeout={cluster.patience_seconds / 2:g}s"
    cluster.must("wait", "gssa/minecraft", "--for=condition=ScalingActive", timeout)
    done = cluster.gamekeeper("explain", "gssa", "minecraft", "-o", "json")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert body["policy"]["minAvailable"] == 3
    assert {"at", "wakeAt", "census", "growth", "removal", "limits"} <= body.keys()
    assert all(server["class"] and server["why"] for server in body["servers"])
