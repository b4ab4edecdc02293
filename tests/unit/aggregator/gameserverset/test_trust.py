"""The CA bundle in every namespace with a set (SPEC 8.4)."""

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
    bundle = TrustBundle(cluster, "PEM")
    for _ in range(3):
        await bundle.ensure("games")
    assert (stored(cluster), len(cluster.writes)) == (WANTED, 1)


@pytest.mark.parametrize(("data", "writes"), [(WANTED, 0), ({"ca.crt": "old"}, 1), ({}, 1)])
async def test_what_is_there_is_made_right(data, writes):
    cluster = MemoryCluster()
    cluster.put(CONFIGMAPS, KEY.name, data=data)
    await TrustBundle(cluster, "PEM").ensure("games")
    assert (stored(cluster), len(cluster.writes)) == (WANTED, writes)


async def test_a_failure_is_tried_again():
    cluster = MemoryCluster(Fault(0, unavailable))
    bundle = TrustBundle(cluster, "PEM")
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
    await TrustBundle(cluster, "PEM").ensure("games")
    assert stored(cluster) == WANTED
