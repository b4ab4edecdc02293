"""Decisions of a set that is deleted without its dependents while they are carried out.

Both were found by the simulator: pods that a person wanted to keep would have been lost.
"""

import pytest

from aggregator.kube.errors import Conflict
from aggregator.kube.resources import GAMESERVERSETS, PODS, ObjectKey
from tests.support.builders import SET_UID, game_server_set
from tests.support.memory_cluster import MemoryCluster
from tests.support.world import SET_KEY, Clock, World

FIRST = ObjectKey(SET_KEY.namespace, "minecraft-0")


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    clock.install(monkeypatch)
    return clock


async def standing(clock: Clock) -> World:
    """One running server of `game:1`."""
    cluster = MemoryCluster()
    spec = {"spec": {"containers": [{"name": "game", "image": "game:1"}]}}
    owner = game_server_set(replicas=1, template=spec)
    body = owner.model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster.objects[GAMESERVERSETS.plural, SET_KEY] = body
    world = World(cluster, clock)
    await world.settle()
    return world


def stored_pod(world: World):
    return world.cluster.objects[PODS.plural, FIRST]


def touch(world: World, metadata, **changes) -> None:
    world.cluster.version += 1
    metadata |= changes | {"resourceVersion": str(world.cluster.version)}


def adopt_by_another(world: World) -> None:
    """Let the pod be a server of the set that was applied after this one."""
    owners = stored_pod(world)["metadata"]["ownerReferences"]
    later = [owner | {"uid": "later"} for owner in owners]
    touch(world, stored_pod(world)["metadata"], ownerReferences=later)


def outdate(world: World) -> None:
    template = {"spec": {"containers": [{"name": "game", "image": "game:2"}]}}
    world.edit_set(gameServerTemplate=template)


def end(world: World) -> None:
    stored_pod(world)["status"] = {"phase": "Failed"}
    touch(world, stored_pod(world)["metadata"])


@pytest.mark.parametrize("happen", [outdate, end], ids=["outdated", "ended"])
async def test_a_pod_that_is_to_be_made_again_is_not_taken_from_the_next_set(clock, happen):
    world = await standing(clock)
    happen(world)
    world.catch_up()

    def on_write(write):
        if write.verb == "delete":
            adopt_by_another(world)

    world.cluster.on_write = on_write
    with pytest.raises(Conflict):
        await world.sets.reconcile(SET_KEY)
    asked = [write.name for write in world.cluster.writes if write.verb == "delete"]
    assert (asked, world.cluster.deleted) == ([FIRST.name], [])


async def test_an_orphan_is_not_adopted_for_a_set_that_is_gone(clock):
    world = await standing(clock)
    del stored_pod(world)["metadata"]["ownerReferences"]
    touch(world, stored_pod(world)["metadata"])
    world.catch_up()
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    assert stored["metadata"]["uid"] == SET_UID
    del world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    with pytest.raises(Conflict, match="StaleSet"):
        await world.sets.reconcile(SET_KEY)
    assert "ownerReferences" not in stored_pod(world)["metadata"]
