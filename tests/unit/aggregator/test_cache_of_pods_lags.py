"""The cache of pods is older than that of GameServers: each follows the API server by itself."""

import pytest

from aggregator.kube.resources import GAMESERVERS, PODS, ObjectKey
from tests.support.world import start


@pytest.mark.parametrize("shown", ["an older pod", "no pod"])
async def test_the_server_of_a_pod_that_the_cache_does_not_show_yet_is_not_deleted(clock, shown):
    """Another leader made both."""
    world = start(clock)
    await world.settle()
    key = ObjectKey("games", "minecraft-1")
    if shown == "no pod":
        world.edit_server("minecraft-1", deletion={"reason": "Kill", "podUid": "successor"})
        former = None
    else:
        former = world.caches.pods.get(key)
    pod = world.cluster.objects[PODS.plural, key]
    server = world.cluster.objects[GAMESERVERS.plural, key]
    pod["metadata"] |= {"uid": "successor", "resourceVersion": "9998"}
    for owner in server["metadata"]["ownerReferences"]:
        owner["uid"] = "successor"
    server["metadata"]["resourceVersion"] = "9999"
    world.edit_server("minecraft-1", opsState="Allocated")
    world.catch_up()
    if former is None:
        world.caches.pods.remove(key)
    else:
        world.caches.pods.put(key, former)
    before = len(world.cluster.writes)
    result = await world.servers.reconcile(key)
    assert (world.cluster.writes[before:], result.requeue_after_seconds) == ([], 1.0)
    world.catch_up()
    await world.servers.reconcile(key)
    assert world.cluster.objects[GAMESERVERS.plural, key]["spec"]["opsState"] == "Allocated"


async def test_a_pod_of_somebody_else_does_not_keep_the_server_of_a_claimed_pod(clock):
    world = start(clock)
    await world.settle()
    key = ObjectKey("games", "minecraft-1")
    world.edit_server("minecraft-1", deletion={"reason": "Kill", "podUid": "gone"})
    # Somebody took the name by hand; no pod of ours has it any more.
    pod = world.cluster.objects[PODS.plural, key]
    pod["metadata"] = {"name": key.name, "namespace": key.namespace, "uid": "foreign"}
    pod["metadata"]["resourceVersion"] = "9998"
    world.catch_up()
    world.caches.pods.remove(key)
    result = await world.servers.reconcile(key)
    assert (key in world.cluster.all(GAMESERVERS), result.requeue_after_seconds) == (False, None)
