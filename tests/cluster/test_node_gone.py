"""A node that takes its pods with it: every server comes back with its id, and none besides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import MINECRAFT, MINECRAFT_IMAGE, wait_for
from tests.support.local import Local, running_local

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(90),
    pytest.mark.local_only(reason="it taints every node, which would evict what others run there"),
]

READY = ("Ready", "None", "0", "0")
FLEET = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "metadata": {"name": "fleet", "namespace": "default"},
    "spec": {
        "replicas": 3,
        "reserveGameServerIds": [1],
        "gameServerTemplate": {
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "game", "image": MINECRAFT_IMAGE}],
            }
        },
    },
}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    mapping = f"{MINECRAFT_IMAGE}={MINECRAFT.parent / 'image'}"
    with running_local(tmp_path, "--image", mapping) as running:
        yield running


def uids(local: Local) -> dict[str, str]:
    pods = json.loads(local.must("get", "pods", "-o", "json"))["items"]
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}


def test_servers_of_a_node_that_is_gone_come_back_with_their_ids(local: Local) -> None:
    local.must("apply", "-f", "-", stdin=json.dumps(FLEET))
    expected = {f"fleet-{id_}": READY for id_ in (0, 2, 3)}
    wait_for(local.servers, expected)
    before = uids(local)
    spec = local.must("get", "gss", "fleet", "-o", "jsonpath={.spec}")
    # What the node life cycle does to a node that is out of service, and nobody can come to it.
    local.must("taint", "nodes", "--all", "node.kubernetes.io/out-of-service=lost:NoExecute")
    wait_for(lambda: set(uids(local).values()) & set(before.values()), set())
    local.must("taint", "nodes", "--all", "node.kubernetes.io/out-of-service-")
    wait_for(local.servers, expected)
    assert uids(local).keys() == before.keys()
    assert local.must("get", "gss", "fleet", "-o", "jsonpath={.spec}") == spec
