"""The whole demo on an installed Gamekeeper; `make demo` runs it on a local one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import yaml

from cli.demo import Demo
from cli.kubectl import Kubectl
from tests.support.cluster import MINECRAFT
from tests.support.given_cluster import GivenCluster

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster import OpenCluster

REASON = "make demo is the same on a local cluster"
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.installed_only(reason=REASON),
]
IMAGES = yaml.safe_load((MINECRAFT.parent / "images.yaml").read_text())["images"]


def test_every_step_of_the_demo_passes(open_cluster: OpenCluster, tmp_path: Path) -> None:
    images = {image: MINECRAFT.parent / folder for image, folder in IMAGES.items()}
    with open_cluster(images=images) as cluster:
        manifest = tmp_path / "minecraft.yaml"
        manifest.write_text(yaml.safe_dump(cluster.adapted(yaml.safe_load(MINECRAFT.read_text()))))
        demo = Demo(Kubectl(cluster.kubeconfig), manifest, cluster.patience_seconds)
        asyncio.run(demo.run())
        states = {name: cells[0] for name, cells in cluster.servers().items()}
        assert states == {f"minecraft-{id_}": "Ready" for id_ in (0, 1, 2, 5, 6)}

        # Agents were told whom to trust, by what the aggregator has made itself.
        assert isinstance(cluster, GivenCluster)
        bundle = json.loads(cluster.must("get", "configmap", "gamekeeper-ca", "-o", "json"))
        assert bundle["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
        # The Services lead to the leader's pod.
        installation = cluster.installation
        lease = ("-n", installation.namespace, "get", "lease", "gamekeeper-aggregator")

        def leads() -> bool:
            holder = cluster.must(*lease, "-o", "jsonpath={.spec.holderIdentity}")
            return installation.leaders() == [holder.partition("_")[0]]

        cluster.wait_for(leads, expected=True)
