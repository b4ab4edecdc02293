"""The ScaledObjects of the seeds as closed loops: our scaler, KEDA, its HPA, and a cluster."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from aggregator.autoscaler.rivals import RivalReader
from aggregator.external_scaler import LiveSets
from aggregator.keda.answers import Answers
from aggregator.keda.server import Endpoint, ScalerServer
from tests.support.autoscaled_world import AutoscaledWorld, Pods, autoscaled
from tests.support.keda_client import KedaClient
from tests.support.keda_loop import KedaLoop, virtual_clock
from tests.support.scaling import MARKED

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]

SEEDS = Path(__file__).parents[2] / "data" / "seeds" / "scaledobjects"
EXACT = Fraction(0)


class NoAutoscaling:
    """The present term, which these ScaledObjects ask nothing of."""

    def remove_marked(self, set_key: Any, policy: Any) -> None:
        raise AssertionError("removal by name was not asked for")


@pytest.fixture
async def start(monkeypatch) -> AsyncIterator[Callable[..., Any]]:
    """Return a function that starts a loop; what it started ends with the test."""
    clock = virtual_clock(monkeypatch)
    async with AsyncExitStack() as stack:

        async def begin(name: str, replicas: int, **options: Any) -> KedaLoop:
            pods = options.pop("pods", None)
            metadata = options.pop("metadata", {})
            spec = options.pop("spec", {})
            world = autoscaled(clock, replicas=replicas, pods=pods, mode="Off")
            body = yaml.safe_load((SEEDS / f"{name}.yaml").read_text())
            body["spec"] |= spec
            body["spec"]["triggers"][0].setdefault("metadata", {}).update(metadata)
            live = LiveSets(world.caches, RivalReader(world.cluster), NoAutoscaling)
            server = ScalerServer(Answers(live), Endpoint("localhost", 0))
            await stack.enter_async_context(server)
            client = await stack.enter_async_context(KedaClient(server.port))
            await world.run(20)
            return KedaLoop(world, client, body, **options)

        yield begin


def mark(world: AutoscaledWorld, *ids: int) -> None:
    for id_ in ids:
        world.edit_server(f"minecraft-{id_}", opsState=MARKED)


def allocate(world: AutoscaledWorld, ids: Any) -> None:
    for id_ in ids:
        world.edit_server(f"minecraft-{id_}", opsState="Allocated")


async def test_a_marked_server_goes_after_the_window_and_no_other(start):
    loop = await start("plain", 3)
    mark(loop.world, 0)
    await loop.run(40)
    assert loop.world.removed == []
    await loop.run(60)
    assert loop.world.removed == ["minecraft-0"]
    assert loop.world.states() == {"None": 2}


async def test_the_fourth_idle_server_goes_where_three_are_the_most(start):
    loop = await start("max-available", 4)
    await loop.run(90)
    assert loop.world.removed == ["minecraft-3"]
    assert loop.world.states() == {"None": 3}


async def test_two_servers_come_where_three_are_the_least(start):
    loop = await start("min-available", 1)
    await loop.run(60)
    assert loop.world.states() == {"None": 3}
    assert loop.world.replicas == [1, 3]


async def test_a_cpu_trigger_beside_ours_lets_the_set_grow_and_holds_it(start):
    loop = await start("cpu", 5, cpu=lambda: 100 if len(loop.world.replicas) < 3 else 50)
    await loop.run(120)
    assert loop.world.replicas == [5, 10, 20]
    assert loop.world.removed == []


async def test_slow_termination_costs_no_server_that_is_in_use(start):
    loop = await start(
        "max-available",
        30,
        pods=Pods(grace_seconds=120),
        metadata={"minAvailable": "3", "maxAvailable": "10"},
    )
    allocate(loop.world, range(20, 30))
    await loop.run(300)
    assert loop.world.states() == {"None": 10, "Allocated": 10}
    assert loop.world.spec_replicas() == 20


async def test_nine_marked_at_the_maximum_are_freed_after_three_minutes(start):
    loop = await start("min-available", 10, spec={"maxReplicaCount": 10})
    mark(loop.world, *range(1, 10))
    await loop.run(170)
    assert loop.world.removed == []
    await loop.run(180)
    assert set(loop.world.removed) == {f"minecraft-{id_}" for id_ in range(1, 10)}
    assert loop.world.states() == {"None": 3}


async def test_one_marked_of_twenty_stays_within_the_tolerance_of_the_hpa_and_goes_without(start):
    loop = await start("plain", 20)
    mark(loop.world, 7)
    await loop.run(90)
    assert loop.world.removed == []
    loop.hpa.tolerance = EXACT
    await loop.run(90)
    assert loop.world.removed == ["minecraft-7"]


async def test_growth_within_the_tolerance_comes_where_the_tolerance_is_told(start):
    loop = await start("min-available", 20, metadata={"minAvailable": "2", "hpaTolerance": "0.1"})
    allocate(loop.world, range(20))
    await loop.run(60)
    # 22 would be within a tenth of 20.
    assert loop.world.states() == {"Allocated": 20, "None": 3}


async def test_a_set_goes_to_zero_after_the_cooldown_and_comes_back_for_what_shall_be_kept(start):
    loop = await start("plain", 2)
    mark(loop.world, 0, 1)
    await loop.run(500)
    assert (loop.world.states(), loop.world.spec_replicas()) == ({}, 0)
    loop.body["spec"]["triggers"][0]["metadata"]["minAvailable"] = "2"
    await loop.run(60)
    assert loop.world.states() == {"None": 2}


async def test_a_scaler_that_answers_with_errors_changes_nothing(start):
    loop = await start("max-available", 4, metadata={"maxAvailable": "-1"})
    await loop.run(90)
    assert loop.metrics == []
    assert (loop.world.states(), loop.world.replicas) == ({"None": 4}, [4])
