"""`kubectl describe gs` tells the story of a server, and the server tells what is around it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.local import Local, running_local, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

MANIFEST = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "metadata": {"name": "story", "namespace": "default"},
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
def local(tmp_path: Path) -> Iterator[Local]:
    manifest = tmp_path / "story.yaml"
    manifest.write_text(yaml.safe_dump(MANIFEST))
    image = tmp_path / "image"
    image.mkdir()
    description = {"command": ["sleep", "infinity"], "workingDir": "/game"}
    (image / "image.yaml").write_text(yaml.safe_dump(description))
    (image / "players").write_text("3\n")
    with running_local(tmp_path, "-f", str(manifest), "--image", f"story:1={image}") as running:
        yield running


def story_of(local: Local) -> list[str]:
    """Type, reason and message of the events that `kubectl describe` prints, without the ages."""
    _, _, events = local.kubectl("describe", "gs", "story-0").stdout.partition("\nEvents:")
    found = []
    for line in events.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if cells[0] in ("Normal", "Warning"):
            found.append(f"{cells[0]} {cells[1]}: {cells[-1]}")
    return found


def pod_keys(local: Local) -> dict[str, str]:
    labels = json.loads(local.must("get", "pod", "story-0", "-o", "json"))["metadata"]["labels"]
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


def test_describe_tells_the_story_of_a_server(local: Local) -> None:
    wait_for(lambda: sorted(story_of(local)), sorted(FIRST))

    # In one step: a probe that looks between two would find the file empty.
    local.must("exec", "story-0", "--", "sh", "-c", "echo many > new && mv new players")
    wait_for(lambda: sorted(story_of(local)), sorted([*FIRST, REFUSED]))

    local.must("exec", "story-0", "--", "rm", "players")
    wait_for(lambda: sorted(story_of(local)), sorted([*FIRST, REFUSED, *FAILED]))

    def conditions() -> dict[str, tuple[str, str]]:
        status = json.loads(local.must("get", "gs", "story-0", "-o", "json"))["status"]
        return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}

    normal = dict.fromkeys(
        ("PodNormal", "NodeNormal", "PersistentVolumeNormal"), ("True", "Normal")
    )
    wait_for(conditions, normal)

    # What is to be synced is in the pod, and goes from it.
    wait_for(lambda: pod_keys(local), {"gs-sync/team": "red", "gs-sync/map": "de_dust"})
    local.must("label", "gs", "story-0", "gs-sync/team-", "gs-sync/map=de_inferno", "--overwrite")
    wait_for(lambda: pod_keys(local), {"gs-sync/map": "de_inferno"})

    # A label that somebody removes hides nothing: it comes back, and nobody else is made.
    local.must("label", "pod", "story-0", "game.kruise.io/owner-gss-")
    owner = ["get", "pods", "-l", "game.kruise.io/owner-gss=story", "-o", "name"]
    wait_for(lambda: local.must(*owner), "pod/story-0\n")

    # With Delete the server outlives its pod, with what a person or a probe has set.
    uid = local.must("get", "gs", "story-0", "-o", "jsonpath={.metadata.uid}")
    old = local.must("get", "pod", "story-0", "-o", "jsonpath={.metadata.uid}")
    local.must("delete", "pod", "story-0")
    bound = ["get", "gs", "story-0", "-o", "jsonpath={.metadata.uid} {.spec.deletionPriority}"]
    wait_for(lambda: local.must(*bound), f"{uid} 3")
    pod_uid = ["get", "gs", "story-0", "-o", "jsonpath={.status.podUid}"]
    wait_for(lambda: local.must(*pod_uid) not in ("", old), True)

    # Scaled down, it goes with its pod.
    local.must("scale", "gss", "story", "--replicas=0")
    wait_for(lambda: local.must("get", "gs", "-o", "name"), "")
