"""`kubectl describe gs` tells the story of a server, and the server tells what is around it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cluster import Cluster, OpenCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

MANIFEST = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "metadata": {"name": "story"},
    "spec": {
        "replicas": 1,
        "gameServerTemplate": {
            "metadata": {"labels": {"gs-sync/team": "red"}},
            "reclaimPolicy": "Delete",
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "game", "image": "story:1"}],
            },
        },
        "serviceQualities": [
            {
                "name": "players",
                "containerName": "game",
                "initialDelaySeconds": 0,
                "periodSeconds": 1,
                "exec": {"command": ["cat", "players"]},
                "serviceQualityAction": [
                    {
                        "state": True,
                        "opsState": "Allocated",
                        "deletionPriority": "{{.Result}}",
                        "labels": {"gs-sync/map": "de_dust"},
                    },
                    {"state": False, "opsState": "Maintaining"},
                ],
            }
        ],
    },
}  # fmt: skip


@pytest.fixture
def cluster(open_cluster: OpenCluster, tmp_path: Path) -> Iterator[Cluster]:
    image = tmp_path / "image"
    image.mkdir()
    description = {"command": ["sleep", "infinity"], "workingDir": "/game"}
    (image / "image.yaml").write_text(yaml.safe_dump(description))
    (image / "players").write_text("3\n")
    with open_cluster(images={"story:1": image}) as running:
        running.apply(MANIFEST)
        yield running


def story_of(cluster: Cluster) -> list[str]:
    """Type, reason and message of the events that `kubectl describe` prints, without the ages."""
    _, _, events = cluster.kubectl("describe", "gs", "story-0").stdout.partition("\nEvents:")
    found = []
    for line in events.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if cells[0] in ("Normal", "Warning"):
            found.append(f"{cells[0]} {cells[1]}: {cells[-1]}")
    return found


def pod_keys(cluster: Cluster) -> dict[str, str]:
    labels = json.loads(cluster.must("get", "pod", "story-0", "-o", "json"))["metadata"]["labels"]
    return {key: value for key, value in labels.items() if key.startswith("gs-sync/")}


FIRST = [
    "Normal ServiceQualityAction: players=True(3): opsState None -> Allocated, "
    "deletionPriority 0 -> 3, labels.gs-sync/map unset -> de_dust",
    "Normal GsStateChanged: opsState None -> Allocated",
]
REFUSED = (
    "Warning ServiceQualityFieldSkipped: players=True(many): deletionPriority is left alone: "
    "'many' is no 32-bit integer"
)
FAILED = [
    "Normal ServiceQualityAction: players=False(empty): opsState Allocated -> Maintaining",
    "Warning GsStateChanged: opsState Allocated -> Maintaining",
]


def test_describe_tells_the_story_of_a_server(cluster: Cluster) -> None:
    cluster.wait_for(lambda: sorted(story_of(cluster)), sorted(FIRST))

    # In one step: a probe that looks between two would find the file empty.
    cluster.must("exec", "story-0", "--", "sh", "-c", "echo many > new && mv new players")
    cluster.wait_for(lambda: sorted(story_of(cluster)), sorted([*FIRST, REFUSED]))

    cluster.must("exec", "story-0", "--", "rm", "players")
    cluster.wait_for(lambda: sorted(story_of(cluster)), sorted([*FIRST, REFUSED, *FAILED]))

    def conditions() -> dict[str, tuple[str, str]]:
        status = json.loads(cluster.must("get", "gs", "story-0", "-o", "json"))["status"]
        return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}

    normal = dict.fromkeys(
        ("PodNormal", "NodeNormal", "PersistentVolumeNormal"), ("True", "Normal")
    )
    cluster.wait_for(conditions, normal)

    # What is to be synced is in the pod, and goes from it.
    cluster.wait_for(lambda: pod_keys(cluster), {"gs-sync/team": "red", "gs-sync/map": "de_dust"})
    cluster.must("label", "gs", "story-0", "gs-sync/team-", "gs-sync/map=de_inferno", "--overwrite")
    cluster.wait_for(lambda: pod_keys(cluster), {"gs-sync/map": "de_inferno"})

    # A label that somebody removes hides nothing: it comes back, and nobody else is made.
    cluster.must("label", "pod", "story-0", "game.kruise.io/owner-gss-")
    owner = ["get", "pods", "-l", "game.kruise.io/owner-gss=story", "-o", "name"]
    cluster.wait_for(lambda: cluster.must(*owner), "pod/story-0\n")

    # With Delete the server outlives its pod, with what a person or a probe has set.
    uid = cluster.must("get", "gs", "story-0", "-o", "jsonpath={.metadata.uid}")
    old = cluster.must("get", "pod", "story-0", "-o", "jsonpath={.metadata.uid}")
    cluster.must("delete", "pod", "story-0")
    bound = ["get", "gs", "story-0", "-o", "jsonpath={.metadata.uid} {.spec.deletionPriority}"]
    cluster.wait_for(lambda: cluster.must(*bound), f"{uid} 3")
    pod_uid = ["get", "gs", "story-0", "-o", "jsonpath={.status.podUid}"]
    cluster.wait_for(lambda: cluster.must(*pod_uid) not in ("", old), True)

    # Scaled down, it goes with its pod.
    cluster.must("scale", "gss", "story", "--replicas=0")
    cluster.wait_for(lambda: cluster.must("get", "gs", "-o", "name"), "")
