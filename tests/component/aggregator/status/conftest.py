"""The status API of an aggregator with one set and one server, over real HTTP."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from aggregator.kube.resources import ObjectKey
from aggregator.status.api import StatusPorts, status_app
from tests.support.builders import game_server_set, probe_report, quality
from tests.support.status_world import World

IDLE = quality("idle", {"state": True, "opsState": "WaitToBeDeleted"})


@pytest.fixture
def world() -> World:
    known = World()
    owner = game_server_set(qualities=(IDLE,), status={"currentReplicas": 2, "readyReplicas": 1})
    known.caches.sets.put(ObjectKey("games", "minecraft"), owner)
    known.add_server(0)
    known.accept(0, probe_report("idle", "True", "empty", runs=4))
    return known


@pytest.fixture
async def http(world: World) -> AsyncIterator[TestClient]:
    ports = StatusPorts(world.views(), world.access, lambda: world.leading)
    async with TestClient(TestServer(status_app(ports))) as client:
        yield client
