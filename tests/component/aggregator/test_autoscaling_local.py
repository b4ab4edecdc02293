"""The autoscaling of the seeds on the local cluster, in virtual time: through KEDA and built in.

The ScaledObjects, and the autoscalers beside them in the examples, are applied as they are.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from aggregator.autoscaler.rivals import SCALED_OBJECTS, RivalReader
from aggregator.external_scaler import LiveSets
from aggregator.keda.answers import Answers
from aggregator.keda.server import Endpoint, ScalerServer
from aggregator.kube.resources import AUTOSCALERS
from tests.support.keda_client import KedaClient
from tests.support.keda_loop import KedaLoop, virtual_clock
from tests.support.local_world import LocalWorld, local_cluster, seed_world
from tests.support.scaling import MARKED
from tests.support.world import SET_KEY

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]

EXAMPLES = Path(__file__).parents[3] / "examples" / "autoscaling"


class NoAutoscaling:
    """The present term, which these ScaledObjects ask nothing of."""

    def remove_marked(self, set_key: Any, policy: Any) -> None:
        raise AssertionError("removal by name was not asked for")


def example(name: str, kind: str) -> dict[str, Any]:
    return yaml.safe_load((EXAMPLES / f"{name}.{kind}.yaml").read_text())


@pytest.fixture
async def begin(monkeypatch, tmp_path) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that makes a set of so many servers; it ends with the test."""
    clock = virtual_clock(monkeypatch)
    async with local_cluster(clock, monkeypatch, tmp_path) as cluster:

        async def make(replicas: int) -> LocalWorld:
            world = await seed_world(cluster, clock, replicas)
            await world.run(20)
            return world

        yield make


@pytest.fixture
async def keda(begin) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that applies a ScaledObject and has KEDA work on it."""
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())

        async def start(
            name: str, replicas: int, spec: dict[str, Any] | None = None, **options: Any
        ) -> KedaLoop:
            world = await begin(replicas)
            body = example(name, "scaledobject")
            body["spec"] |= spec or {}
            await world.cluster.create(SCALED_OBJECTS, SET_KEY.namespace, body)
            live = LiveSets(world.caches, RivalReader(world.cluster), NoAutoscaling)
            reading = tasks.create_task(live.run())
            stack.callback(reading.cancel)
            server = ScalerServer(Answers(live), Endpoint("localhost", 0))
            await stack.enter_async_context(server)
            client = await stack.enter_async_context(KedaClient(server.port))
            stored = await world.cluster.get(
                SCALED_OBJECTS, SET_KEY._replace(name=body["metadata"]["name"])
            )
            return KedaLoop(world, client, stored, **options)

        yield start


@pytest.fixture
async def built_in(begin) -> Callable[..., Any]:
    """Return a function that applies an autoscaler of the examples."""

    async def start(name: str, replicas: int) -> LocalWorld:
        world = await begin(replicas)
        body = example(name, "autoscaler")
        await world.cluster.create(AUTOSCALERS, SET_KEY.namespace, body)
        return world

    return start


@pytest.fixture(params=["through KEDA", "built in"])
async def either(request, keda, built_in) -> Callable[..., Any]:
    """Return a function that begins with one of both, and gives the world and what runs it."""

    async def start(name: str, replicas: int) -> tuple[LocalWorld, Callable[..., Any]]:
        if request.param == "built in":
            world = await built_in(name, replicas)
            return world, world.run
        loop = await keda(name, replicas)
        return loop.world, loop.run

    return start


async def test_a_marked_server_goes_after_its_45_seconds_and_no_other(either):
    world, run = await either("marked", 3)
    await run(20)
    world.edit_server("minecraft-0", opsState=MARKED)
    await run(40)
    assert world.removed == []
    await run(60)
    assert (world.removed, world.states()) == (["minecraft-0"], {"None": 2})


async def test_the_fourth_idle_server_goes_where_three_are_the_most(either):
    world, run = await either("max-available", 4)
    await run(90)
    assert (world.removed, world.states()) == (["minecraft-3"], {"None": 3})
    assert world.replicas == [4, 3]


async def test_two_servers_come_where_three_are_the_least(either):
    world, run = await either("min-available", 1)
    await run(60)
    assert (world.removed, world.states()) == ([], {"None": 3})
    assert world.replicas == [1, 3]


async def test_a_cpu_trigger_beside_ours_lets_the_set_grow_from_5_to_20_and_holds_it(keda):
    loop = await keda("cpu", 5, cpu=lambda: 100 if len(loop.world.replicas) < 3 else 50)
    await loop.run(120)
    assert (loop.world.replicas, loop.world.removed) == ([5, 10, 20], [])


async def test_without_the_cpu_the_autoscaler_of_the_same_example_removes_the_marked_alone(
    built_in,
):
    world = await built_in("cpu", 5)
    world.edit_server("minecraft-2", opsState=MARKED)
    await world.run(80)
    assert (world.replicas, world.removed) == ([5, 4], ["minecraft-2"])


async def test_nine_marked_at_the_maximum_that_the_scaled_object_tells_go_after_the_window(keda):
    loop = await keda("min-available", 10, {"maxReplicaCount": 10})
    for id_ in range(1, 10):
        loop.world.edit_server(f"minecraft-{id_}", opsState=MARKED)
    await loop.run(130)
    assert set(loop.world.removed) == {f"minecraft-{id_}" for id_ in range(1, 10)}
    assert loop.world.states() == {"None": 3}


async def test_an_autoscaler_beside_a_scaled_object_waits_until_that_is_paused(built_in):
    world = await built_in("min-available", 1)
    body = example("min-available", "scaledobject")
    await world.cluster.create(SCALED_OBJECTS, SET_KEY.namespace, body)
    await world.run(60)
    assert world.spec_replicas() == 1
    assert world.condition("Conflict") == ("True", "ScaledObject")
    paused = {"metadata": {"annotations": {"autoscaling.keda.sh/paused": "true"}}}
    world.cluster.edit(SCALED_OBJECTS, "minecraft", paused)
    await world.run(30)
    assert world.states() == {"None": 3}
    assert world.condition("Conflict") == ("False", "NoConflict")
