"""The status API over real HTTP: what it tells, to whom, and how it says no."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from aggregator.caches import Caches
from aggregator.kube.errors import Rejected, Unavailable
from aggregator.kube.resources import SUBJECTACCESSREVIEWS, TOKENREVIEWS, ObjectKey, Resource
from aggregator.kube.transport import Json
from aggregator.ledger import Accepted, Ledger
from aggregator.status.access import StatusAccess
from aggregator.status.api import StatusPorts, status_app
from aggregator.status.history import RunHistory, ServerHistory
from aggregator.status.views import StatusViews
from cli.status_api import StatusOptions, find_status_api
from localcluster.certificates import make_authority
from shared.errors import TerminalError
from tests.support.builders import (
    NOW,
    game_server,
    game_server_set,
    pod,
    probe_report,
    quality,
    report,
)
from tests.support.kube import FakeKubeClient

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

IDLE = quality("idle", {"state": True, "opsState": "WaitToBeDeleted"})


@dataclass
class World:
    """An aggregator as far as the status API sees it."""

    caches: Caches = field(default_factory=lambda: Caches(Ledger(0, 10)))
    runs: RunHistory = field(default_factory=RunHistory)
    history: ServerHistory = field(default_factory=ServerHistory)
    access: StatusAccess | None = None
    leading: bool = True
    seconds: float = 5.0

    def add_server(self, id_: int, **server: Any) -> None:
        key = ObjectKey("games", f"minecraft-{id_}")
        self.caches.pods.put(key, pod(id_))
        self.caches.servers.put(key, game_server(id_, **server))

    def accept(self, id_: int, *probes: Any) -> None:
        told = report(*probes, pod_uid=f"pod-{id_}")
        self.caches.ledger.accept(Accepted(told, NOW, changed=True), self.seconds)
        self.runs.record(told)

    def views(self, monotonic: Callable[[], float] | None = None) -> StatusViews:
        return StatusViews(
            self.caches,
            self.runs,
            self.history,
            wanted_revision=lambda _owner: "r2",
            monotonic=monotonic or (lambda: self.seconds),
            now=lambda: NOW,
        )


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


async def get(http: TestClient, path: str, **headers: str) -> tuple[int, Any]:
    answer = await http.get(path, headers=headers)
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status, await answer.json()


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


async def test_sets_are_listed_with_their_counts(http: TestClient) -> None:
    status, body = await get(http, "/v1/gameserversets")
    assert (status, [each["name"] for each in body["items"]]) == (200, ["minecraft"])
    assert body["items"][0]["agents"] == {"Reporting": 1}


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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8081", 200),
        ("127.0.0.1", 200),
        ("127.8.9.1:80", 200),
        ("[::1]:8081", 200),
        ("evil.example.com", 403),
        ("127.0.0.1.evil.example.com", 403),
    ],
)
async def test_without_authentication_only_this_machine_s_names_are_answered(
    http: TestClient, host: str, status: int
) -> None:
    answered, _ = await get(http, "/v1/gameservers", Host=host)
    assert answered == status


# -- with authentication ---------------------------------------------------------------------------


class Reviewer(FakeKubeClient):
    """Knows the token of alice, who may get the servers of the namespace games."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Json] = []
        self.failure: Exception | None = None

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        if self.failure is not None:
            raise self.failure
        self.asked.append(body["spec"])
        if resource == TOKENREVIEWS:
            user = {
                "username": "alice",
                "uid": "7",
                "groups": ["players"],
                "extra": {"example.com/team": ["red"]},
            }
            good = body["spec"]["token"] == "good"
            return {"status": {"authenticated": good, "user": user if good else {}}}
        assert resource == SUBJECTACCESSREVIEWS
        attributes = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": attributes.get("namespace") == "games"}}


@pytest.fixture
def reviewer(world: World) -> Reviewer:
    client = Reviewer()
    world.access = StatusAccess(client)
    return client


@pytest.fixture
def ask(reviewer: Reviewer, http: TestClient) -> Callable[..., Any]:
    async def ask(path: str, token: str = "good") -> tuple[int, Any]:
        return await get(http, path, Authorization=f"Bearer {token}")

    return ask


async def test_who_may_get_game_servers_may_read(ask: Callable[..., Any], reviewer) -> None:
    status, body = await ask("/v1/gameservers/games/minecraft-0")
    assert (status, body["name"]) == (200, "minecraft-0")
    assert reviewer.asked == [
        {"token": "good"},
        {
            "user": "alice",
            "uid": "7",
            "groups": ["players"],
            "extra": {"example.com/team": ["red"]},
            "resourceAttributes": {
                "verb": "get",
                "group": "game.kruise.io",
                "resource": "gameservers",
                "namespace": "games",
                "name": "minecraft-0",
            },
        },
    ]
    await ask("/v1/gameservers/games/minecraft-0")
    assert len(reviewer.asked) == 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/gameservers?namespace=games", 200),
        ("/v1/gameserversets/games/minecraft", 200),
        ("/v1/gameservers", 403),
        ("/v1/gameserversets", 403),
        ("/v1/gameservers/elsewhere/minecraft-0", 403),
        ("/v1/gameserversets/elsewhere/minecraft", 403),
        ("/v1/gameservers?namespace=elsewhere", 403),
    ],
)
async def test_a_right_is_for_a_namespace(ask: Callable[..., Any], path: str, status: int) -> None:
    answered, body = await ask(path)
    assert answered == status
    if status == 403:
        assert body["message"].startswith("alice may not get gameservers.game.kruise.io in ")


async def test_what_may_not_be_read_cannot_be_told_from_what_does_not_exist(
    ask: Callable[..., Any],
) -> None:
    there = await ask("/v1/gameservers/elsewhere/minecraft-0")
    absent = await ask("/v1/gameservers/elsewhere/nobody")
    assert there == absent


@pytest.mark.parametrize("token", ["bad", ""])
async def test_without_a_valid_token_nothing_is_told(
    ask: Callable[..., Any], token: str, http: TestClient
) -> None:
    status, body = await ask("/v1/gameservers/games/minecraft-0", token)
    assert (status, body["reason"]) == (401, "Unauthenticated")
    answer = await http.get("/v1/gameservers/games/minecraft-0")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Unavailable("ConnectionFailed", "refused"), id="away"),
        pytest.param(Rejected("Forbidden", "may not review", 403), id="no right to ask"),
    ],
)
async def test_trouble_with_the_api_server_is_no_refusal(
    ask: Callable[..., Any], reviewer: Reviewer, failure: Exception
) -> None:
    reviewer.failure = failure
    status, body = await ask("/v1/gameservers/games/minecraft-0")
    assert (status, body["reason"]) == (503, "Unavailable")
    reviewer.failure = None
    assert (await ask("/v1/gameservers/games/minecraft-0"))[0] == 200


# -- the command against it ------------------------------------------------------------------------


async def test_the_command_reads_over_tls_with_its_token(world: World, tmp_path: Path) -> None:
    world.access = StatusAccess(Reviewer())
    authority = make_authority()
    certificate, key = authority.issue("status", ["localhost"], ["127.0.0.1"])
    (tmp_path / "status.crt").write_bytes(certificate)
    (tmp_path / "status.key").write_bytes(key)
    (tmp_path / "ca.crt").write_bytes(authority.certificate_pem)
    (tmp_path / "token").write_text("good\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "status.crt", tmp_path / "status.key")
    ports = StatusPorts(world.views(), world.access, lambda: True)
    server = TestServer(status_app(ports))
    await server.start_server(ssl=context)
    try:
        options = StatusOptions(
            server=f"https://localhost:{server.port}",
            token_file=tmp_path / "token",
            ca_file=tmp_path / "ca.crt",
        )
        environment = {"HOME": str(tmp_path)}
        body = await find_status_api(options, environment).get("/v1/gameservers/games/minecraft-0")
        assert body["name"] == "minecraft-0"

        without_token = find_status_api(replace(options, token_file=None), environment)
        with pytest.raises(TerminalError, match="--token-file"):
            await without_token.get("/v1/gameservers/games/minecraft-0")
        without_authority = find_status_api(replace(options, ca_file=None), environment)
        with pytest.raises(TerminalError, match="--ca-file"):
            await without_authority.get("/v1/gameservers/games/minecraft-0")
    finally:
        await server.close()
