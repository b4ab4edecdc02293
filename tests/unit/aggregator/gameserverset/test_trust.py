"""The CA bundle in every namespace with a set (SPEC 8.4)."""

import asyncio

import pytest

from aggregator.gameserverset.trust import TrustBundle
from aggregator.kube.errors import Unavailable
from aggregator.kube.resources import CONFIGMAPS, ObjectKey
from tests.support.memory_cluster import Fault, MemoryCluster, unavailable

KEY = ObjectKey("games", "gamekeeper-ca")
WANTED = {"ca.crt": "PEM"}


def stored(cluster):
    return cluster.objects[CONFIGMAPS.plural, KEY]["data"]


async def test_it_is_created_once():
    cluster = MemoryCluster()
    bundle = TrustBundle(cluster, lambda: "PEM")
    for _ in range(3):
        await bundle.ensure("games")
    assert (stored(cluster), len(cluster.writes)) == (WANTED, 1)


@pytest.mark.parametrize(("data", "writes"), [(WANTED, 0), ({"ca.crt": "old"}, 1), ({}, 1)])
async def test_what_is_there_is_made_right(data, writes):
    cluster = MemoryCluster()
    cluster.put(CONFIGMAPS, KEY.name, data=data)
    await TrustBundle(cluster, lambda: "PEM").ensure("games")
    assert (stored(cluster), len(cluster.writes)) == (WANTED, writes)


async def test_a_failure_is_tried_again():
    cluster = MemoryCluster(Fault(0, unavailable))
    bundle = TrustBundle(cluster, lambda: "PEM")
    with pytest.raises(Unavailable):
        await bundle.ensure("games")
    await bundle.ensure("games")
    assert stored(cluster) == WANTED


async def test_somebody_was_faster():
    cluster = MemoryCluster()

    def create_by_another(_):
        cluster.on_write = lambda _: None
        cluster.put(CONFIGMAPS, KEY.name, data={"ca.crt": "old"})

    cluster.on_write = create_by_another
    await TrustBundle(cluster, lambda: "PEM").ensure("games")
    assert stored(cluster) == WANTED


async def test_another_bundle_is_written_again():
    cluster = MemoryCluster()
    texts = ["PEM"]
    bundle = TrustBundle(cluster, lambda: texts[-1])
    await bundle.ensure("games")
    texts.append("NEW")
    await bundle.ensure("games")
    await bundle.ensure("games")
    assert (stored(cluster), len(cluster.writes)) == ({"ca.crt": "NEW"}, 2)


async def test_entries_of_others_stay_and_cost_no_write():
    cluster = MemoryCluster()
    cluster.put(CONFIGMAPS, KEY.name, data={"note": "x", "ca.crt": "old"})
    for _ in range(2):
        await TrustBundle(cluster, lambda: "PEM").ensure("games")
    assert (stored(cluster), len(cluster.writes)) == ({"note": "x", "ca.crt": "PEM"}, 1)


async def until(condition):
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0)


async def test_every_namespace_with_agents_is_kept_right():
    cluster = MemoryCluster(Fault(0, unavailable))
    texts, namespaces = ["PEM"], ["games"]
    bundle = TrustBundle(cluster, lambda: texts[-1])

    def holds(namespace, text):
        found = cluster.objects.get((CONFIGMAPS.plural, ObjectKey(namespace, KEY.name)))
        return found is not None and found["data"] == {"ca.crt": text}

    async with asyncio.TaskGroup() as tasks:
        # The first write fails, the next look mends it.
        keeping = tasks.create_task(bundle.keep(lambda: namespaces, period_seconds=0.001))
        await until(lambda: holds("games", "PEM"))
        del cluster.objects[CONFIGMAPS.plural, KEY]
        await until(lambda: holds("games", "PEM"))
        namespaces.append("arena")
        await until(lambda: holds("arena", "PEM"))
        keeping.cancel()


async def test_another_bundle_is_told_at_once():
    cluster = MemoryCluster()
    texts = ["PEM"]
    bundle = TrustBundle(cluster, lambda: texts[-1])
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(bundle.keep(lambda: ["games"], period_seconds=3600))
        await until(lambda: KEY in [key for _, key in cluster.objects])
        texts.append("NEW")
        bundle.changed.set()
        await until(lambda: stored(cluster) == {"ca.crt": "NEW"})
        keeping.cancel()
