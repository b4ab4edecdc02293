"""Qualities that only ask over the network: an agent without any right is enough for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.cluster import PYTHON_IMAGE, Cluster, OpenCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

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
def cluster(open_cluster: OpenCluster) -> Iterator[Cluster]:
    with open_cluster() as running:
        container = {
            "name": "game",
            "image": PYTHON_IMAGE,
            # Its own address: pods of a local cluster share this machine's network.
            "command": [*running.python, "-m", "http.server", "--bind", "$(POD_IP)", "8080"],
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "ports": [{"name": "web", "containerPort": 8080}],
        }
        qualities = [
            quality("listens", {"tcpSocket": {"port": 8080}}, "None"),
            quality("busy", {"httpGet": {"path": "/", "port": "web"}}, "Allocated"),
        ]
        template = {"spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}
        running.apply(
            {
                "apiVersion": "game.kruise.io/v1alpha1",
                "kind": "GameServerSet",
                "metadata": {"name": "web"},
                "spec": {
                    "replicas": 1,
                    "gameServerTemplate": template,
                    "serviceQualities": qualities,
                },
            }
        )
        yield running


def test_qualities_without_a_script_need_an_agent_without_rights(cluster: Cluster) -> None:
    cluster.wait_for(cluster.servers, {"web-0": ("Ready", "Allocated", "0", "0")})
    pod = "jsonpath={.spec.shareProcessNamespace} {.spec.initContainers[0].securityContext}"
    shared, _, rights = cluster.must("get", "pod", "web-0", "-o", pod).partition(" ")
    assert shared == ""
    assert yaml.safe_load(rights)["runAsUser"] == 65532
    conditions = "{range .status.serviceQualitiesConditions[*]}{.name}={.status} {end}"
    look = ("get", "gs", "web-0", "-o", f"jsonpath={conditions}")
    # The first may have been asked a moment before the game listened; it is asked every second.
    cluster.wait_for(lambda: cluster.must(*look), "listens=True busy=True ")
