"""Servers that are made again, and what holds a set back from it."""

import pytest

from aggregator.kube.errors import Conflict, Rejected
from aggregator.kube.resources import GAMESERVERSETS, SERVICES, ObjectKey
from shared.api import names
from tests.support.standing_set import change_image, images, kill_pod, standing, states, status
from tests.support.world import SET_KEY


async def test_a_kill_of_a_pod_that_ended_is_not_lost_with_it(clock):
    world = await standing(clock, replicas=2)
    kill_pod(world, 1)
    world.catch_up()
    world.edit_server("minecraft-1", opsState="Kill")
    with pytest.raises(Conflict, match="ServerChanged"):
        await world.sets.reconcile(SET_KEY)
    await world.settle()
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    assert (stored["spec"]["replicas"], states(world)) == (1, {"0": "Ready"})


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_a_pod_that_ended_is_made_again_at_once_and_then_with_back_off(clock, phase):
    world = await standing(clock)
    kill_pod(world, 1, phase)
    await world.settle()
    assert (world.cluster.deleted, world.cluster.created) == (["minecraft-1"], ["minecraft-1"])
    kill_pod(world, 1, phase)
    await world.step()
    await world.step()
    assert world.cluster.deleted == ["minecraft-1"]
    told = {each["type"]: each["message"] for each in status(world)["conditions"]}
    assert told["CrashLooping"].startswith("the pods of minecraft-1 end again and again")
    clock.seconds += 10
    await world.settle()
    assert world.cluster.deleted == ["minecraft-1", "minecraft-1"]
    assert "CrashLooping" not in [each["type"] for each in status(world)["conditions"]]


@pytest.mark.parametrize("how", ["update", "end", "delete"])
async def test_a_server_that_is_made_again_keeps_its_id_where_a_smaller_one_is_free(clock, how):
    world = await standing(clock, replicas=5)
    world.edit_server("minecraft-1", opsState="Kill")
    await world.settle()
    world.cluster.deleted.clear()
    if how == "update":
        change_image(world)
    elif how == "end":
        kill_pod(world, 4)
    else:
        world.cluster.mark_deleted(ObjectKey("games", "minecraft-4"))
    await world.settle()
    assert list(images(world)) == ["0", "2", "3", "4"]
    assert "minecraft-4" in world.cluster.deleted
    world.edit_set(replicas=5)
    await world.settle()
    assert list(images(world)) == ["0", "1", "2", "3", "4"]


async def test_a_forbidden_companion_stops_neither_growth_nor_status(clock):
    world = await standing(clock, replicas=1)
    world.restart()
    for key in world.cluster.all(SERVICES):
        del world.cluster.objects[SERVICES.plural, key]

    def refuse(write):
        if write.kind == SERVICES.plural:
            raise Rejected("Forbidden", "services is forbidden", 403)

    world.cluster.on_write = refuse
    world.edit_set(replicas=2)
    world.catch_up()
    with pytest.raises(Rejected, match="services is forbidden"):
        await world.sets.reconcile(SET_KEY)
    assert world.cluster.created == ["minecraft-1"]
    assert status(world)["replicas"] == 2


async def test_a_paused_set_writes_its_status_only(clock):
    world = await standing(clock)
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    stored["metadata"]["annotations"] = {names.PAUSED_ANNOTATION: "true"}
    world.edit_set(replicas=1)
    change_image(world)
    world.edit_server("minecraft-0", opsState="Kill")
    await world.settle()
    written = {
        (write.kind, write.subresource)
        for write in world.cluster.writes
        if write.writer == "aggregator.gameserverset"
    }
    assert written == {(GAMESERVERSETS.plural, "status")}
    del world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["metadata"]["annotations"]
    world.edit_set()
    await world.settle()
    assert images(world) == {"1": "game:2"}
