"""What is followed, whom it concerns, and what is done without."""

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from aggregator.caches import Caches
from aggregator.kube.errors import Rejected
from aggregator.kube.resources import (
    AUTOSCALERS,
    GAMESERVERS,
    GAMESERVERSETS,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODS,
    ObjectKey,
)
from aggregator.ledger import Ledger
from aggregator.pods import decode_our_pod
from aggregator.watches import Watches
from shared.api import names
from tests.support.kube import FakeKubeClient

pytestmark = pytest.mark.looptime

SET = {"kind": "GameServerSet", "name": "minecraft", "uid": "set-uid", "controller": True}
OURS = {"ownerReferences": [{**SET, "apiVersion": names.API_VERSION}]}


class Told:
    """Collects what a listener is told."""

    def __init__(self) -> None:
        self.changed: list[tuple[str, str]] = []
        self.looked_at: list[str] = []

    def _note(self, kind: str, old: Any, new: Any) -> None:
        self.changed.append((kind, (new or old).metadata.name))

    def set_changed(self, old: Any, new: Any) -> None:
        self._note("set", old, new)

    def server_changed(self, old: Any, new: Any) -> None:
        self._note("server", old, new)

    def pod_changed(self, old: Any, new: Any) -> None:
        self._note("pod", old, new)

    def autoscaler_changed(self, old: Any, new: Any) -> None:
        self._note("autoscaler", old, new)

    def look_at_server(self, key: ObjectKey) -> None:
        self.looked_at.append(key.name)


class Cluster(FakeKubeClient):
    """Counts which resources are listed, and may refuse some."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused = refused

    def listed(self) -> set[str]:
        return {name for verb, name in self.calls if verb == "list"}

    def _call(self, verb: str, name: str) -> None:
        super()._call(verb, name)
        if verb == "list" and name in self.refused:
            raise Rejected("Forbidden", f"{name} is forbidden", 403)

    def pod(self, name: str, **body: Any) -> None:
        self.put(PODS, name, spec={"nodeName": "node-1", "containers": []}, **body)
        self.objects[PODS.plural, ObjectKey("games", name)]["metadata"] |= OURS


def event(kind: str, name: str, version: int, **body: Any) -> dict[str, Any]:
    metadata = {"name": name, "resourceVersion": str(version), "uid": f"uid-{name}"}
    return {"type": kind, "object": {"metadata": metadata, **body}}


async def follow(cluster: Cluster, seconds: float = 30) -> tuple[Caches, Told]:
    """Follow for some time; the caches are whole long before."""
    caches, told = Caches(Ledger(0, 10)), Told()
    watches = Watches(cluster, "", caches, told)
    with capture_logs():
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(watches.run())
            await watches.synced()
            await asyncio.sleep(seconds)
            running.cancel()
    return caches, told


async def test_pods_of_others_and_volumes_that_nobody_mounts_cost_nothing() -> None:
    cluster = Cluster()
    cluster.pod("minecraft-0")
    cluster.put(PODS, "web-1", spec={"containers": []})
    caches, told = await follow(cluster)
    assert told.changed == [("pod", "minecraft-0")]
    assert [key.name for key, _ in caches.pods.items()] == ["minecraft-0"]
    followed = {each.plural for each in (GAMESERVERSETS, GAMESERVERS, PODS, AUTOSCALERS, NODES)}
    assert (cluster.listed(), caches.readable) == (followed, {NODES.plural})


async def test_what_happens_to_a_node_concerns_the_servers_on_it() -> None:
    cluster = Cluster()
    cluster.pod("minecraft-0")
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    silent = {"conditions": [{"type": "Ready", "status": "Unknown"}]}
    cluster.watches["nodes"].append(
        [
            event("ADDED", "node-1", 201, status=ready),
            event("MODIFIED", "node-1", 202, status=ready),
            event("ADDED", "node-2", 203, status=ready),
            event("MODIFIED", "node-1", 204, status=silent),
            event("DELETED", "node-1", 205, status=silent),
            asyncio.Event(),
        ]
    )
    caches, told = await follow(cluster)
    # Once more than there are differences: when it became known which nodes there are.
    assert told.looked_at == ["minecraft-0"] * 4
    assert [key.name for key, _ in caches.nodes.items()] == ["node-2"]


async def test_claims_and_volumes_are_followed_once_a_pod_mounts_one() -> None:
    cluster = Cluster()
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}
    cluster.pod("minecraft-0")
    cluster.objects[PODS.plural, ObjectKey("games", "minecraft-0")]["spec"]["volumes"] = [volume]
    claim = {"namespace": "games", "name": "data-0"}
    cluster.watches["persistentvolumes"].append(
        [
            1.0,
            event("ADDED", "pv-1", 201, spec={"claimRef": claim}, status={"phase": "Bound"}),
            event("ADDED", "pv-2", 202, spec={}, status={"phase": "Available"}),
            asyncio.Event(),
        ]
    )
    caches, told = await follow(cluster)
    assert {PERSISTENTVOLUMECLAIMS.plural, PERSISTENTVOLUMES.plural} <= caches.readable
    # For nodes, claims and volumes when they became known, and for its own volume.
    assert told.looked_at == ["minecraft-0"] * 4


async def test_without_the_right_to_read_nodes_everything_else_works() -> None:
    cluster = Cluster(NODES.plural)
    cluster.pod("minecraft-0")
    caches, told = await follow(cluster)
    assert (told.changed, told.looked_at, caches.readable) == ([("pod", "minecraft-0")], [], set())


@pytest.mark.parametrize(
    ("metadata", "ours"),
    [
        pytest.param(OURS, True, id="a set controls it"),
        pytest.param({"labels": {names.OWNER_LABEL: "minecraft"}}, True, id="an orphan of a set"),
        pytest.param({}, False, id="no owner"),
        pytest.param(
            {
                "labels": {names.OWNER_LABEL: "minecraft"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "controller": True}],
            },
            False,
            id="another controls it, whatever its labels say",
        ),
        pytest.param(
            {"annotations": {"note": "see game.kruise.io/owner-gss"}}, False, id="it only names us"
        ),
        pytest.param(
            {"ownerReferences": [{**SET, "controller": False}]}, False, id="an owner, no controller"
        ),
    ],
)
def test_a_pod_is_ours_by_its_controller(metadata: dict[str, Any], ours: bool) -> None:
    head = {"name": "a", "namespace": "games", "uid": "u", "resourceVersion": "1"}
    raw = json.dumps({"metadata": head | metadata}).encode()
    assert (decode_our_pod(raw) is not None) is ours
