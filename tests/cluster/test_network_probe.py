"""Qualities that only ask over the network: an agent without any right is enough for them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from localcluster.cluster import free_port
from tests.support.local import Local, running_local, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]


def quality(name: str, handler: dict[str, Any], ops_state: str) -> dict[str, Any]:
    return {
        "name": name,
        **handler,
        "containerName": "game",
        "initialDelaySeconds": 0,
        "periodSeconds": 1,
        "serviceQualityAction": [{"state": True, "opsState": ops_state}],
    }


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    image = tmp_path / "image"
    image.mkdir()
    # Pods of a local cluster are on this machine's network, where somebody may use any fixed port.
    port = free_port()
    server = [os.path.realpath(sys.executable), "-m", "http.server", str(port)]
    (image / "image.yaml").write_text(yaml.safe_dump({"command": server, "workingDir": "/game"}))
    container = {
        "name": "game",
        "image": "game:1",
        "ports": [{"name": "web", "containerPort": port}],
    }
    manifest = tmp_path / "set.yaml"
    manifest.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "game.kruise.io/v1alpha1",
                "kind": "GameServerSet",
                "metadata": {"name": "web", "namespace": "default"},
                "spec": {
                    "replicas": 1,
                    "gameServerTemplate": {"spec": {"containers": [container]}},
                    "serviceQualities": [
                        quality("listens", {"tcpSocket": {"port": port}}, "None"),
                        quality("busy", {"httpGet": {"path": "/", "port": "web"}}, "Allocated"),
                    ],
                },
            }
        )
    )
    with running_local(tmp_path, "-f", str(manifest), "--image", f"game:1={image}") as running:
        yield running


def test_qualities_without_a_script_need_an_agent_without_rights(local: Local) -> None:
    wait_for(local.servers, {"web-0": ("Ready", "Allocated", "0", "0")})
    pod = "jsonpath={.spec.shareProcessNamespace} {.spec.initContainers[0].securityContext}"
    shared, _, rights = local.must("get", "pod", "web-0", "-o", pod).partition(" ")
    assert shared == ""
    assert yaml.safe_load(rights)["runAsUser"] == 65532
    conditions = "{range .status.serviceQualitiesConditions[*]}{.name}={.status} {end}"
    look = ("get", "gs", "web-0", "-o", f"jsonpath={conditions}")
    # The first may have been asked a moment before the game listened; it is asked every second.
    wait_for(lambda: local.must(*look), "listens=True busy=True ")
