"""The leader's pod is deleted: another one leads, and servers and verdicts are as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster import MINECRAFT_IMAGE
from tests.support.given_cluster import GivenCluster

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster import OpenCluster

REASON = "gamekeeper local has one aggregator, and ends with it"
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.installed_only(reason=REASON),
]
READY = ("Ready", "None", "0", "0")
FULL = ("Ready", "Allocated", "0", "0")
SET: dict[str, Any] = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "metadata": {"name": "led"},
    "spec": {
        "replicas": 2,
        "gameServerTemplate": {
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "game", "image": MINECRAFT_IMAGE}],
            }
        },
        "serviceQualities": [
            {
                "name": "full",
                "containerName": "game",
                "initialDelaySeconds": 0,
                "periodSeconds": 1,
                "failureThreshold": 1,
                "exec": {"command": ["test", "-e", "full"]},
                "serviceQualityAction": [
                    {"state": True, "opsState": "Allocated"},
                    {"state": False, "opsState": "None"},
                ],
            }
        ],
    },
}


def uids(cluster: GivenCluster) -> dict[str, str]:
    """Return the uid of each pod by name."""
    path = '{range .items[*]}{.metadata.name} {.metadata.uid}{"\\n"}{end}'
    lines = cluster.must("get", "pods", "-o", f"jsonpath={path}").splitlines()
    return dict(line.split(" ") for line in lines)


def test_a_new_leader_acts_and_disturbs_nobody(open_cluster: OpenCluster, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.mkdir()
    (image / "image.yaml").write_text("{command: [sleep, infinity], workingDir: /game}\n")
    (image / "world.txt").write_text("an island\n")
    with open_cluster(images={MINECRAFT_IMAGE: image}) as cluster:
        assert isinstance(cluster, GivenCluster)
        cluster.apply(SET)
        cluster.wait_for(cluster.servers, {"led-0": READY, "led-1": READY})
        cluster.must("exec", "led-0", "-c", "game", "--", "touch", "full")
        cluster.wait_for(cluster.servers, {"led-0": FULL, "led-1": READY})
        before = uids(cluster)

        leaders = cluster.installation.leaders
        cluster.wait_for(lambda: len(leaders()), 1)
        (first,) = leaders()
        cluster.installation.must(
            *("-n", cluster.installation.namespace, "delete", "pod", first, "--wait=false")
        )
        # The verdict that was told before stands, and one that changes now has its effect.
        cluster.must("exec", "led-1", "-c", "game", "--", "touch", "full")
        cluster.wait_for(cluster.servers, {"led-0": FULL, "led-1": FULL})
        # The pod that goes may be seen with its label a little longer.
        cluster.wait_for(lambda: [name != first for name in leaders()], [True])
        assert uids(cluster) == before
        cluster.must("scale", "gss", "led", "--replicas=0")
        cluster.wait_for(cluster.servers, {})
