"""What the status API tells of sets, and that a large one keeps nobody waiting."""

import asyncio
from itertools import count

import pytest
from aiohttp.test_utils import TestClient

from aggregator.kube.resources import ObjectKey
from tests.support.builders import probe_report
from tests.support.status_world import World, get

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


async def test_a_set_counts_its_servers_by_state_agent_verdict_and_decision(
    http: TestClient, world: World
) -> None:
    world.add_server(10, opsState="Allocated")
    world.add_server(2)
    world.accept(2, probe_report("idle", "Unknown", reason="NoBash"))
    status, body = await get(http, "/v1/gameserversets/games/minecraft")
    assert status == 200
    assert [each["name"] for each in body.pop("servers")] == [
        "minecraft-0",
        "minecraft-2",
        "minecraft-10",
    ]
    assert body == {
        "namespace": "games",
        "name": "minecraft",
        "replicas": 3,
        "currentReplicas": 2,
        "readyReplicas": 1,
        "opsStates": {"Allocated": 1, "None": 2},
        "agents": {"NoReport": 1, "Reporting": 2},
        "generation": 1,
        "observedGeneration": 0,
        "conditions": [],
        "qualities": [
            {
                "name": "idle",
                "permanent": False,
                "verdicts": {"True": 1, "Unknown": 2},
                "decisions": {"NoReport": 1, "RunsNow": 1, "Unknown": 1},
            }
        ],
        "serversOmitted": 0,
        "observedAt": "2026-01-02T03:04:05.678Z",
        "observedSince": "2026-01-02T03:04:05.678Z",
    }


async def test_a_large_set_shows_its_first_servers_and_says_how_many_are_left_out(
    http: TestClient, world: World
) -> None:
    for id_ in range(1, 520):
        world.add_server(id_)
    _, body = await get(http, "/v1/gameserversets/games/minecraft")
    assert (len(body["servers"]), body["serversOmitted"]) == (500, 20)
    assert body["opsStates"] == {"None": 520}


async def test_a_set_is_looked_over_once_for_all_who_look_at_it_within_a_second(
    http: TestClient, world: World
) -> None:
    path = "/v1/gameserversets/games/minecraft"
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(get(http, path)) for _ in range(3)]
    world.add_server(1)
    at_once = await get(http, path)
    world.seconds += 1
    later = await get(http, path)
    answers = [*(each.result() for each in asked), at_once, later]
    assert [len(body["servers"]) for _, body in answers] == [1, 1, 1, 1, 2]


async def test_the_longer_looking_over_a_set_takes_the_longer_it_is_remembered(
    world: World,
) -> None:
    key, ticks = ObjectKey("games", "minecraft"), count(start=0, step=3)
    views = world.views(monotonic=lambda: world.seconds + next(ticks))
    # Each look at the clock is three seconds later, so what was seen is older than a second.
    first = await views.game_server_set(key)
    assert first is await views.game_server_set(key)


async def test_others_are_served_while_a_large_set_is_looked_over(world: World) -> None:
    for id_ in range(1, 400):
        world.add_server(id_)
    turns = 0
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(world.views().game_server_set(ObjectKey("games", "minecraft")))
        while not answer.done():
            await asyncio.sleep(0)
            turns += 1
    assert turns >= 400 / 10


async def test_sets_are_listed_with_their_counts(http: TestClient) -> None:
    status, body = await get(http, "/v1/gameserversets")
    assert (status, [each["name"] for each in body["items"]]) == (200, ["minecraft"])
    assert body["items"][0]["agents"] == {"Reporting": 1}
