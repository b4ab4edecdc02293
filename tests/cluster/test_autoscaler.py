"""The built-in autoscaler on a whole local cluster, with the real kubectl."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.local import (
    MINECRAFT_IMAGE,
    REPOSITORY,
    Local,
    gamekeeper,
    running_local,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

EXAMPLE = REPOSITORY / "examples" / "autoscaling" / "min-available.autoscaler.yaml"
IMAGE = REPOSITORY / "examples" / "minecraft" / "image"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("autoscaler")
    with running_local(folder, "--image", f"{MINECRAFT_IMAGE}={IMAGE}") as running:
        body = {
            "apiVersion": "game.kruise.io/v1alpha1",
            "kind": "GameServerSet",
            "metadata": {"name": "minecraft", "namespace": "default"},
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
        running.must("apply", "-f", "-", stdin=json.dumps(body))
        yield running


def names_of(local: Local) -> set[str]:
    return set(local.table("get", "gs").rows)


def patch(local: Local, kind: str, name: str, **spec: object) -> None:
    local.must("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))


def test_a_set_keeps_three_idle_and_loses_exactly_who_is_marked(local: Local) -> None:
    local.must("apply", "-f", str(EXAMPLE))
    wait_for(lambda: names_of(local), {f"minecraft-{id_}" for id_ in range(3)})
    patch(local, "gssa", "minecraft", behavior={"scaleDown": {"waitToBeDeletedSeconds": 1}})
    patch(local, "gs", "minecraft-1", opsState="Allocated")
    wait_for(lambda: names_of(local), {f"minecraft-{id_}" for id_ in range(4)})
    patch(local, "gs", "minecraft-0", opsState="WaitToBeDeleted")
    # Another one comes first: three idle servers are wanted, and a marked one is none.
    wait_for(lambda: names_of(local), {f"minecraft-{id_}" for id_ in range(1, 5)})
    ops_state = local.must("get", "gs", "minecraft-1", "-o", "jsonpath={.spec.opsState}")
    assert ops_state == "Allocated"

    def shown() -> tuple[str, ...]:
        return local.table("get", "gssa").rows["minecraft"][:-1]

    wait_for(shown, ("minecraft", "0", "100", "3", "4", "4", "Active"))


def test_an_autoscaler_is_explained(local: Local) -> None:
    local.must("apply", "-f", str(EXAMPLE))
    local.must("wait", "gssa/minecraft", "--for=condition=ScalingActive", "--timeout=50s")
    done = subprocess.run(
        gamekeeper("explain", "gssa", "minecraft", "-o", "json"),
        env=os.environ | {"KUBECONFIG": str(local.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert body["policy"]["minAvailable"] == 3
    assert {"at", "wakeAt", "census", "growth", "removal", "limits"} <= body.keys()
    assert all(server["class"] and server["why"] for server in body["servers"])
