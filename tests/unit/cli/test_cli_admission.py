"""What the cluster would say of a manifest, in one line for each fault."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from cli.admission import find_faults

EXEC = {"command": ["true"]}
PATH = "spec.serviceQualities[0]"


def game_server_set(quality: dict[str, Any], **fields: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "game", "image": "game:1"}]}}
    return {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServerSet",
        "metadata": {"name": "minecraft"},
        "spec": {
            "replicas": 1,
            "gameServerTemplate": template,
            "serviceQualities": [{"name": "idle", **quality}],
            **fields,
        },
    }


@pytest.mark.parametrize(
    ("quality", "faults"),
    [
        pytest.param({"exec": EXEC}, [], id="good"),
        pytest.param(
            {},
            [f"{PATH}: must have exactly one of exec, httpGet, tcpSocket, grpc"],
            id="no handler",
        ),
        pytest.param(
            {"exec": EXEC, "tcpSocket": {"port": 1}},
            [f"{PATH}: must have exactly one of exec, httpGet, tcpSocket, grpc"],
            id="two handlers",
        ),
        pytest.param(
            {"exec": {"command": "ls -l"}},
            [f"{PATH}.exec.command: must be of type array, not string"],
            id="a word in place of a list",
        ),
        pytest.param(
            {"exec": EXEC, "periodSeconds": 0},
            [f"{PATH}.periodSeconds: should be greater than or equal to 1"],
            id="out of bounds",
        ),
        pytest.param(
            {"exec": EXEC, "periodSecond": 1, "serviceQualityActions": []},
            [
                f"{PATH}.periodSecond: there is no such field",
                f"{PATH}.serviceQualityActions: there is no such field",
            ],
            id="typing mistakes",
        ),
        pytest.param(
            {"exec": EXEC, "containerName": "proxy"},
            ["spec.serviceQualities: containerName must name a container of the template"],
            id="another container",
        ),
    ],
)
def test_each_fault_names_its_field(quality: dict[str, Any], faults: list[str]) -> None:
    assert find_faults(game_server_set(quality)) == faults


def test_a_fault_elsewhere_is_found_too() -> None:
    assert find_faults(game_server_set({"exec": EXEC}, replicas=-1)) == [
        "spec.replicas: should be greater than or equal to 0"
    ]


def test_the_manifest_is_left_as_it_was() -> None:
    manifest = game_server_set({"exec": EXEC, "periodSecond": 1})
    before = deepcopy(manifest)
    find_faults(manifest)
    assert manifest == before
