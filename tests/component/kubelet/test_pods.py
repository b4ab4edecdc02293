"""Pods from the API to processes and back, through the real program."""

from __future__ import annotations

import pytest

from tests.support.kubelet import KubeletUnderTest, is_ready

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


async def test_a_pod_becomes_ready_and_its_node_too(kubelet: KubeletUnderTest) -> None:
    node = kubelet.api.nodes["gamekeeper-local"]["status"]
    assert [(c["type"], c["status"]) for c in node["conditions"]] == [("Ready", "True")]

    await kubelet.api.create_pod("game-0", {"containers": [{"name": "main", "image": "game"}]})
    pod = await kubelet.api.until_pod("game-0", is_ready)

    assert pod["status"]["phase"] == "Running"
