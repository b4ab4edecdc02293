"""Each fault, as a client meets it, and the control endpoint that orders them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from localcluster.apiserver.app import make_app
from localcluster.apiserver.authentication import User
from localcluster.apiserver.faults import FaultRule
from localcluster.apiserver.state import Options, make_api_server
from tests.component.apiserver.conftest import TOKEN, Api
from tests.support.apiserver import start_apiserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.component, pytest.mark.timeout(20)]

MAPS = "/api/v1/namespaces/default/configmaps"
FAULTS = "/control/faults"
USER_TOKEN = "user-token"


@asynccontextmanager
async def serving(options: Options) -> AsyncIterator[Api]:
    users = {TOKEN: User("admin", ("system:masters",)), USER_TOKEN: User("anna", ())}
    schedule = asyncio.get_running_loop().call_soon
    server = make_api_server(users, "kubelet", [], schedule, options=options)
    async with (
        TestServer(make_app(server)) as http,
        aiohttp.ClientSession(base_url=http.make_url("/")) as session,
    ):
        yield Api(session, server)


@pytest.fixture
async def faulty() -> AsyncIterator[Api]:
    """A server with the control endpoint."""
    async with serving(Options(control=True)) as api:
        yield api


def config_map(name: str = "a", value: str = "1") -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"x": value}}


async def order(api: Api, action: str, **rule: Any) -> int:
    """Put a fault on config maps in force and return its number."""
    made = await api.ok("POST", FAULTS, {"action": action, "resource": "configmaps", **rule})
    return int(made["id"])


async def names(api: Api) -> list[str]:
    listed = await api.ok("GET", MAPS)
    return [item["metadata"]["name"] for item in listed["items"]]


@pytest.mark.parametrize(
    ("action", "code", "reason", "advice"),
    [
        ("conflict", 409, "Conflict", None),
        ("throttle", 429, "TooManyRequests", "3"),
        ("error", 500, "InternalError", None),
        ("gone", 410, "Expired", None),
    ],
)
async def test_a_refusal_on_purpose_changes_nothing_and_ends(
    faulty: Api, action: str, code: int, reason: str, advice: str | None
) -> None:
    await order(faulty, action, verb="create", count=1, seconds=3)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    body = json.dumps(config_map())
    async with faulty.session.post(MAPS, data=body, headers=headers) as answer:
        status = await answer.json()
        assert (answer.status, status["reason"]) == (code, reason)
        assert answer.headers.get("Retry-After") == advice
    assert await names(faulty) == []
    await faulty.ok("POST", MAPS, config_map())
    assert await names(faulty) == ["a"]


async def test_a_delay_comes_before_the_write(faulty: Api) -> None:
    await order(faulty, "delay", verb="create", seconds=0.2)
    loop = asyncio.get_running_loop()
    start = loop.time()
    await faulty.ok("POST", MAPS, config_map())
    assert loop.time() - start >= 0.2


async def test_a_held_write_is_done_when_the_rule_is_taken_away(faulty: Api) -> None:
    rule = await order(faulty, "hold", verb="create")
    async with asyncio.TaskGroup() as group:
        write = group.create_task(faulty.ok("POST", MAPS, config_map()))
        while (await faulty.ok("GET", FAULTS))["faults"][0]["hits"] == 0:
            await asyncio.sleep(0.01)
        assert await names(faulty) == []
        await faulty.ok("DELETE", f"{FAULTS}/{rule}")
        await write
    assert await names(faulty) == ["a"]


@pytest.mark.parametrize(("action", "stored"), [("close-before", []), ("close-after", ["a"])])
async def test_a_closed_connection_leaves_the_client_without_an_answer(
    faulty: Api, action: str, stored: list[str]
) -> None:
    await order(faulty, action, verb="create", count=1)
    with pytest.raises(aiohttp.ClientError):
        await faulty.request("POST", MAPS, config_map())
    assert await names(faulty) == stored


async def events(api: Api, **params: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a watch until it ends."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    query = {"watch": "true", "timeoutSeconds": "60", **params}
    async with api.session.get(MAPS, params=query, headers=headers) as answer:
        async for line in answer.content:
            yield json.loads(line)


async def test_a_drop_ends_a_watch_that_is_open(faulty: Api) -> None:
    await faulty.ok("POST", MAPS, config_map())
    watch = events(faulty)
    assert (await anext(watch))["type"] == "ADDED"
    await order(faulty, "drop", count=1)
    with pytest.raises(aiohttp.ClientError):
        await anext(watch)


async def test_a_drop_ends_the_next_watch_after_its_seconds(faulty: Api) -> None:
    await order(faulty, "drop", count=1, seconds=0.1)
    await faulty.ok("POST", MAPS, config_map())
    watch = events(faulty)
    assert (await anext(watch))["type"] == "ADDED"
    with pytest.raises(aiohttp.ClientError):
        await anext(watch)


async def test_a_watch_that_is_gone_says_so_in_its_stream(faulty: Api) -> None:
    await order(faulty, "gone", verb="watch", count=1)
    seen = [event async for event in events(faulty)]
    assert [(event["type"], event["object"]["code"]) for event in seen] == [("ERROR", 410)]


async def test_stale_reads_show_the_past_while_writes_see_the_present(faulty: Api) -> None:
    made = await faulty.ok("POST", MAPS, config_map())
    rule = await order(faulty, "stale")
    await faulty.patch(f"{MAPS}/a", {"data": {"x": "2"}})
    await faulty.ok("POST", MAPS, config_map("b"))
    past = await faulty.ok("GET", f"{MAPS}/a")
    assert (past["data"], await names(faulty)) == ({"x": "1"}, ["a"])
    assert (await faulty.request("GET", f"{MAPS}/b"))[0] == 404
    stale = {**made, "data": {"x": "3"}}
    assert (await faulty.request("PUT", f"{MAPS}/a", stale))[0] == 409
    await faulty.ok("DELETE", f"{FAULTS}/{rule}")
    assert (await faulty.ok("GET", f"{MAPS}/a"))["data"] == {"x": "2"}
    assert await names(faulty) == ["a", "b"]


async def test_a_stale_watch_is_silent_and_then_tells_everything(faulty: Api) -> None:
    version = (await faulty.ok("GET", MAPS))["metadata"]["resourceVersion"]
    early = events(faulty, resourceVersion=version)
    await faulty.ok("POST", MAPS, config_map("a"))
    assert (await anext(early))["object"]["metadata"]["name"] == "a"
    rule = await order(faulty, "stale")
    late = events(faulty, resourceVersion=version)
    await faulty.ok("POST", MAPS, config_map("b"))

    async def told(watch: AsyncIterator[dict[str, Any]], count: int) -> list[str]:
        return [(await anext(watch))["object"]["metadata"]["name"] for _ in range(count)]

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(told(early, 1)), group.create_task(told(late, 2))]
        done, _ = await asyncio.wait(waiting, timeout=0.3)
        assert done == set()
        await faulty.ok("DELETE", f"{FAULTS}/{rule}")
    assert [task.result() for task in waiting] == [["b"], ["a", "b"]]


async def test_the_control_endpoint_lists_rules_with_their_hits(faulty: Api) -> None:
    await order(faulty, "error", verb="get", name="a")
    await faulty.request("GET", f"{MAPS}/a")
    rule = {
        "action": "error", "verb": "get", "resource": "configmaps", "namespace": "*",
        "name": "a", "user": "*", "probability": 1.0, "count": None, "seconds": 0.0,
    }  # fmt: skip
    assert await faulty.ok("GET", FAULTS) == {"faults": [{"id": 1, **rule, "hits": 1}]}
    assert await faulty.ok("DELETE", FAULTS) == {"faults": []}
    assert (await faulty.request("GET", f"{MAPS}/a"))[0] == 404


async def test_the_control_endpoint_shows_what_was_asked_for(faulty: Api) -> None:
    await faulty.ok("POST", MAPS, config_map())
    await faulty.request("GET", "/version", headers={"Authorization": f"Bearer {USER_TOKEN}"})
    empty = dict.fromkeys(("group", "resource", "subresource", "namespace", "path"), "")
    create = {**empty, "verb": "create", "resource": "configmaps", "namespace": "default"}
    version = {**empty, "verb": "get", "path": "/version"}
    recorded = await faulty.ok("GET", "/control/requests")
    assert recorded == {"users": {"admin": [create], "anna": [version]}}
    assert await faulty.ok("DELETE", "/control/requests") == {"users": {}}


@pytest.mark.parametrize(
    ("method", "path", "body", "token", "code"),
    [
        pytest.param("GET", FAULTS, None, USER_TOKEN, 403, id="another user"),
        pytest.param("GET", "/control/requests", None, USER_TOKEN, 403, id="another user's record"),
        pytest.param("POST", FAULTS, {"action": "explode"}, TOKEN, 400, id="unknown action"),
        pytest.param("POST", FAULTS, b"[]", TOKEN, 400, id="no object"),
        pytest.param("DELETE", f"{FAULTS}/7", None, TOKEN, 404, id="unknown rule"),
        pytest.param("GET", "/control/other", None, TOKEN, 404, id="unknown path"),
    ],
)
async def test_the_control_endpoint_refuses(
    faulty: Api, method: str, path: str, body: Any, token: str, code: int
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert (await faulty.request(method, path, body, headers=headers))[0] == code


async def test_without_control_there_is_no_endpoint() -> None:
    async with serving(Options()) as api:
        assert (await api.request("GET", FAULTS))[0] == 404


async def test_faults_can_be_in_force_from_the_start() -> None:
    rule = FaultRule("error", verb="create", resource="configmaps", count=1)
    async with serving(Options(faults=(rule,))) as api:
        codes = [(await api.request("POST", MAPS, config_map()))[0] for _ in range(2)]
    assert codes == [500, 201]


def test_the_program_takes_faults_from_its_command_line(tmp_path: Path) -> None:
    rule = "action=throttle,verb=create,resource=configmaps,count=1,seconds=1"
    server = start_apiserver(tmp_path, options=["--fault", rule])
    # kubectl waits as Retry-After says, and tries again.
    assert server.kubectl("create", "configmap", "a").stdout == "configmap/a created\n"
    assert server.stop() == 0
