"""What the status API tells of servers, and how it says no."""

from datetime import timedelta

import pytest
from aiohttp.test_utils import TestClient

from aggregator.kube.resources import ObjectKey
from tests.support.builders import NOW, game_server
from tests.support.status_world import World, get

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


async def test_a_server_is_told_with_verdicts_decisions_runs_and_changes(
    http: TestClient, world: World
) -> None:
    key = ObjectKey("games", "minecraft-0")
    former, now = game_server(), game_server(opsState="Allocated")
    world.history.record(key, former, now, NOW + timedelta(seconds=1))
    status, body = await get(http, "/v1/gameservers/games/minecraft-0")
    assert status == 200
    (told,) = body.pop("qualities")
    assert body == {
        "namespace": "games",
        "name": "minecraft-0",
        "gameServerSet": "minecraft",
        "state": "",
        "opsState": "None",
        "deletionPriority": 0,
        "updatePriority": 0,
        "agent": {
            "state": "Reporting",
            "version": "0.1.0",
            "epoch": 1,
            "sequence": 1,
            "receivedAt": "2026-01-02T03:04:05.678Z",
            "silentSeconds": 0.0,
            "lostInSeconds": 30.0,
            "probesRevision": "r1",
            "wantedProbesRevision": "r2",
            "containers": [],
        },
        "verdicts": {"idle": "True(empty)"},
        "podUid": "pod-0",
        "actions": [],
        "transitions": [
            {
                "at": "2026-01-02T03:04:06.678Z",
                "field": "opsState",
                "before": "None",
                "after": "Allocated",
                "cause": "",
            }
        ],
        "observedSince": "2026-01-02T03:04:05.678Z",
    }
    assert told["decision"] == "RunsNow"
    assert told["verdict"]["result"] == "empty"
    assert told["fields"] == [
        {
            "field": "opsState",
            "asked": "WaitToBeDeleted",
            "present": "None",
            "state": "WillBeWritten",
            "message": "None becomes WaitToBeDeleted",
        }
    ]
    assert [each["number"] for each in told["runs"]] == [4]


async def test_a_silent_agent_is_lost_and_its_verdicts_count_no_more(
    http: TestClient, world: World
) -> None:
    world.seconds += 31
    _, body = await get(http, "/v1/gameservers/games/minecraft-0")
    assert (body["agent"]["state"], body["agent"]["lostInSeconds"]) == ("AgentLost", 0.0)
    assert body["qualities"][0]["decision"] == "AgentLost"


async def test_a_list_comes_in_parts_in_the_order_of_the_ids(
    http: TestClient, world: World
) -> None:
    for id_ in (1, 2, 10, 11):
        world.add_server(id_)
    names, path = [], "/v1/gameservers?limit=2"
    while path:
        _, body = await get(http, path)
        assert len(body["items"]) <= 2
        names += [each["name"].removeprefix("minecraft-") for each in body["items"]]
        path = f"/v1/gameservers?limit=2&continue={body['continue']}" if "continue" in body else ""
    assert names == ["0", "1", "2", "10", "11"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["minecraft-0"]),
        ("?namespace=games", ["minecraft-0"]),
        ("?namespace=elsewhere", []),
        ("?set=minecraft", ["minecraft-0"]),
        ("?set=another", []),
        ("?continue=games/minecraft-0", []),
        ("?continue=a/z", ["minecraft-0"]),
    ],
)
async def test_a_list_can_be_narrowed(http: TestClient, query: str, expected: list[str]) -> None:
    status, body = await get(http, f"/v1/gameservers{query}")
    assert (status, [each["name"] for each in body["items"]]) == (200, expected)


@pytest.mark.parametrize(
    ("path", "status", "reason", "words"),
    [
        ("/v1/gameservers/games/nobody", 404, "NotFound", "no game server nobody in games"),
        ("/v1/gameserversets/games/nobody", 404, "NotFound", "no set nobody in games"),
        ("/v1/nothing", 404, "NotFound", "GET /v1/nothing"),
        ("/v1/gameservers?limit=0", 400, "Invalid", "1 to 1000"),
        ("/v1/gameservers?limit=1001", 400, "Invalid", "1 to 1000"),
        ("/v1/gameservers?limit=0000010000", 400, "Invalid", "1 to 1000"),
        ("/v1/gameservers?limit=1_0", 400, "Invalid", "1 to 1000"),
        ("/v1/gameservers?limit=%C2%B2", 400, "Invalid", "1 to 1000"),
        ("/v1/gameservers?continue=x", 400, "Invalid", "continue"),
        ("/v1/gameservers?colour=red", 400, "Invalid", "continue, limit, namespace, set"),
        (f"/v1/gameservers?namespace={'n' * 600}", 400, "Invalid", "at most 512"),
    ],
)
async def test_what_cannot_be_answered_is_told_as_json(
    http: TestClient, path: str, status: int, reason: str, words: str
) -> None:
    answered, body = await get(http, path)
    assert (answered, body["reason"]) == (status, reason)
    assert words in body["message"]


async def test_nothing_can_be_written(http: TestClient) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = await http.request(method, "/v1/gameservers/games/minecraft-0")
        body = await answer.json()
        assert (answer.status, body["reason"]) == (405, "MethodNotAllowed")


async def test_a_standby_says_that_it_does_not_know(http: TestClient, world: World) -> None:
    world.leading = False
    answer = await http.get("/v1/gameservers")
    body = await answer.json()
    assert (answer.status, body["reason"], answer.headers["Retry-After"]) == (
        503,
        "NotLeading",
        "1",
    )
