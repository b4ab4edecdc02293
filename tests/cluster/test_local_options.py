"""Options of `gamekeeper local` that change what the API server does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import MINECRAFT, MINECRAFT_IMAGE, wait_for
from tests.support.local import running_local

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(90),
    pytest.mark.local_only(reason="it is about options of gamekeeper local"),
]

IMAGE = f"--image={MINECRAFT_IMAGE}={MINECRAFT.parent / 'image'}"
READY = ("Ready", "None", "0", "0")
SET = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "metadata": {"name": "kept", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "gameServerTemplate": {
            "spec": {"containers": [{"name": "game", "image": MINECRAFT_IMAGE}]}
        },
    },
}


def test_data_keeps_the_set_and_its_servers_between_runs(tmp_path: Path) -> None:
    data = tmp_path / "state.json"
    allocated = ("Ready", "Allocated", "0", "0")
    with running_local(tmp_path, IMAGE, "--data", str(data)) as local:
        local.must("apply", "-f", "-", stdin=json.dumps(SET))
        wait_for(local.servers, {"kept-0": READY, "kept-1": READY})
        patch = '{"spec":{"opsState":"Allocated"}}'
        local.must("patch", "gs", "kept-1", "--type=merge", "-p", patch)
        wait_for(local.servers, {"kept-0": READY, "kept-1": allocated})
        assert local.stop() == 0
    with running_local(tmp_path, IMAGE, "--data", str(data)) as local:
        wait_for(local.servers, {"kept-0": READY, "kept-1": allocated})


def test_a_set_comes_up_though_the_api_server_fails_on_purpose(tmp_path: Path) -> None:
    fault = "action=error,verb=create,resource=pods,count=3"
    with running_local(tmp_path, IMAGE, "--fault", fault) as local:
        local.must("apply", "-f", "-", stdin=json.dumps(SET))
        wait_for(local.servers, {"kept-0": READY, "kept-1": READY})
        warned = local.must("get", "events", "--field-selector", "reason=FailedCreate")
        assert "cannot create pods" in warned


def test_a_rule_of_a_fault_that_is_none_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="action"),
        running_local(tmp_path, IMAGE, "--fault", "verb=create"),
    ):
        pass
