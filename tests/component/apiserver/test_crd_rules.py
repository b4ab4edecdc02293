"""The rules of our own CRDs (SPEC 1.3) as the API server applies them: field path and message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from localcluster.apiserver.app import make_app
from localcluster.apiserver.authentication import User
from localcluster.apiserver.state import make_api_server
from shared.crds import custom_resource_definitions
from tests.component.apiserver.conftest import TOKEN, Api

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(20)]

BASE = "/apis/game.kruise.io/v1alpha1/namespaces/default"
SETS, SERVERS = f"{BASE}/gameserversets", f"{BASE}/gameservers"
RESERVE = 'must be an id, or a range "a-b" with a <= b, from 0 to 2147483647'
PRIORITY = "must be a whole number from -2147483648 to 2147483647"
ONE_HANDLER = "must have exactly one of exec, httpGet, tcpSocket, grpc"
AGENT_NAME = "gamekeeper-agent is reserved for the agent; choose another name"
KEYS = (
    "a key must be NAME or PREFIX/NAME with at most 317 characters, and neither part may be empty"
)
FINAL = "the server is being deleted: opsState cannot change"


@pytest.fixture
async def games() -> AsyncIterator[Api]:
    """A server with our CRDs."""
    admin = User("admin", ("system:masters",))
    schedule = asyncio.get_running_loop().call_soon
    server = make_api_server({TOKEN: admin}, "kubelet", custom_resource_definitions(), schedule)
    async with (
        TestServer(make_app(server)) as http,
        aiohttp.ClientSession(base_url=http.make_url("/")) as session,
    ):
        yield Api(session, server)


def game_server_set(*containers: str, **spec: Any) -> dict[str, Any]:
    named = [{"name": name, "image": "x"} for name in containers or ("game",)]
    template = {"spec": {"containers": named}}
    return {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServerSet",
        "metadata": {"name": "minecraft"},
        "spec": {"replicas": 1, "gameServerTemplate": template, **spec},
    }


def with_template(**changes: Any) -> dict[str, Any]:
    made = game_server_set()
    template = made["spec"]["gameServerTemplate"]
    template["spec"] |= changes.pop("spec", {})
    template |= changes
    return made


def quality(name: str = "idle", **fields: Any) -> dict[str, Any]:
    return {"name": name, "exec": {"command": ["probe.sh"]}, **fields}


def game_server(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServer",
        "metadata": {"name": "minecraft-0"},
        "spec": spec,
    }


def causes(answer: Any) -> list[tuple[str, str]]:
    return [(cause["field"], cause["message"]) for cause in answer["details"]["causes"]]


def invalid(kind: str, why: str) -> str:
    return f'Invalid value: "{kind}": {why}'


IDS = "spec.reserveGameServerIds[0]"
QUALITIES = "spec.serviceQualities"
TEMPLATE = "spec.gameServerTemplate"
NEEDED = invalid("object", "containerName is required, because the template has several containers")
UNKNOWN = invalid("object", "containerName must name a container of the template")
NO_HANDLER = '"spec.serviceQualities[0]" must validate one and only one schema (oneOf). Found none'
TWO_HANDLERS = f"{NO_HANDLER.removesuffix('none')}2"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            game_server_set(reserveGameServerIds=["5-3"]),
            [(IDS, invalid("", RESERVE))], id="a range backwards",
        ),
        pytest.param(
            game_server_set(reserveGameServerIds=["3-2147483648"]),
            [(IDS, invalid("", RESERVE))], id="a range beyond int32",
        ),
        pytest.param(
            game_server_set(reserveGameServerIds=[0, "1-1", "9-8"]),
            [(IDS.replace("[0]", "[2]"), invalid("", RESERVE))], id="the third item",
        ),
        pytest.param(
            game_server_set("game", "web", serviceQualities=[quality()]),
            [(QUALITIES, NEEDED)], id="several containers and none named",
        ),
        pytest.param(
            game_server_set("game", "web", serviceQualities=[quality(containerName="db")]),
            [(QUALITIES, UNKNOWN)], id="an unknown container",
        ),
        pytest.param(
            game_server_set(serviceQualities=[quality(containerName="web")]),
            [(QUALITIES, UNKNOWN)], id="an unknown container beside the only one",
        ),
        pytest.param(
            game_server_set(serviceQualities=[{"name": "idle"}]),
            [
                (f"{QUALITIES}[0]", f'Invalid value: "": {NO_HANDLER} valid'),
                (f"{QUALITIES}[0]", invalid("object", ONE_HANDLER)),
            ],
            id="no handler",
        ),
        pytest.param(
            game_server_set(serviceQualities=[quality(tcpSocket={"port": 1})]),
            [
                (f"{QUALITIES}[0]", f'Invalid value: "": {TWO_HANDLERS} valid alternatives'),
                (f"{QUALITIES}[0]", invalid("object", ONE_HANDLER)),
            ],
            id="two handlers",
        ),
        pytest.param(
            game_server_set("gamekeeper-agent"),
            [(f"{TEMPLATE}.spec.containers[0].name", invalid("object", AGENT_NAME))],
            id="the agent's name taken by a container",
        ),
        pytest.param(
            with_template(spec={"initContainers": [{"name": "a"}, {"name": "gamekeeper-agent"}]}),
            [(f"{TEMPLATE}.spec.initContainers[1].name", invalid("object", AGENT_NAME))],
            id="the agent's name taken by an init container",
        ),
        pytest.param(
            with_template(metadata={"labels": {"/name": "a"}}),
            [(f"{TEMPLATE}.metadata.labels", invalid("object", KEYS))], id="a label without prefix",
        ),
        pytest.param(
            with_template(metadata={"annotations": {"example.com/": "a"}}),
            [(f"{TEMPLATE}.metadata.annotations", invalid("object", KEYS))],
            id="an annotation without name",
        ),
        pytest.param(
            with_template(metadata={"labels": {"a" * 318: "a"}}),
            [(f"{TEMPLATE}.metadata.labels", invalid("object", KEYS))], id="a key too long",
        ),
    ],
)  # fmt: skip
async def test_a_set_that_breaks_a_rule_is_refused(
    games: Api, body: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    status, answer = await games.request("POST", SETS, body)
    assert (status, causes(answer)) == (422, expected)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(game_server_set(), id="without qualities"),
        pytest.param(
            game_server_set(reserveGameServerIds=[0, 2**31 - 1, "0-2147483647", "3-3", 3, 3]),
            id="ids, ranges, duplicates",
        ),
        pytest.param(game_server_set(serviceQualities=[quality()]), id="the only container"),
        pytest.param(
            game_server_set("game", "web", serviceQualities=[quality(containerName="web")]),
            id="one of two containers",
        ),
        pytest.param(
            game_server_set("a", "b", serviceQualities=[]), id="two containers, no quality"
        ),
        pytest.param(
            with_template(metadata={"labels": {"app": "x", "example.com/app": ""}}), id="labels"
        ),
    ],
)
async def test_a_set_within_the_rules_is_stored(games: Api, body: dict[str, Any]) -> None:
    wanted = body["spec"].get("reserveGameServerIds")
    made = await games.ok("POST", SETS, body)
    assert made["spec"].get("reserveGameServerIds") == wanted


@pytest.mark.parametrize("field", ["updatePriority", "deletionPriority"])
@pytest.mark.parametrize(
    ("value", "accepted"),
    [("-2147483648", True), ("2147483647", True), ("2147483648", False), ("-9999999999", False)],
)
async def test_priorities_have_32_bits_as_text_too(
    games: Api, field: str, value: str, *, accepted: bool
) -> None:
    status, answer = await games.request("POST", SERVERS, game_server(**{field: value}))
    if accepted:
        assert (status, answer["spec"][field]) == (201, value)
    else:
        assert (status, causes(answer)) == (422, [(f"spec.{field}", invalid("", PRIORITY))])


CLAIM = {"deletion": {"reason": "ScaleDown"}}


@pytest.mark.parametrize(
    ("before", "change", "refused"),
    [
        pytest.param(CLAIM, {"opsState": "Allocated"}, True, id="late allocation"),
        pytest.param({}, {"opsState": "Allocated"}, False, id="not claimed"),
        pytest.param({}, {**CLAIM, "opsState": "Kill"}, False, id="claimed with the change"),
        pytest.param(CLAIM, {"deletionPriority": 5}, False, id="another field"),
        pytest.param(CLAIM, {"deletion": None, "opsState": "None"}, False, id="claim taken back"),
    ],
)
async def test_a_claimed_server_keeps_its_ops_state(
    games: Api, before: dict[str, Any], change: dict[str, Any], *, refused: bool
) -> None:
    await games.ok("POST", SERVERS, game_server(**before))
    status, answer = await games.patch(f"{SERVERS}/minecraft-0", {"spec": change})
    if refused:
        assert (status, causes(answer)) == (422, [("spec.opsState", invalid("object", FINAL))])
    else:
        assert status == 200, answer


async def test_a_change_elsewhere_does_not_judge_an_old_list_again(games: Api) -> None:
    """Ten thousand reserved ids must not slow down every patch of the replicas."""
    ids = [f"{number}-{number + 1}" for number in range(10_000)]
    await games.ok("POST", SETS, game_server_set(reserveGameServerIds=ids))
    status, changed = await games.patch(f"{SETS}/minecraft", {"spec": {"replicas": 2}})
    assert (status, changed["spec"]["reserveGameServerIds"] == ids) == (200, True)


DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
AT = "spec.validation.openAPIV3Schema.properties[spec]"


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        pytest.param(
            {"type": "object", "x-kubernetes-validations": [{"rule": "self.x =="}]},
            f"{AT}.x-kubernetes-validations[0].rule",
            "compilation failed: ",
            id="a rule that does not compile",
        ),
        pytest.param(
            {"properties": {"x": {"type": "string"}}},
            f"{AT}.type",
            "Required value: must not be empty for specified object fields",
            id="a schema without type",
        ),
        pytest.param(
            {"type": "object", "properties": {"x": {"type": "integer", "default": "many"}}},
            f"{AT}.properties[x].default",
            "must be of type integer",
            id="a default of another type",
        ),
    ],
)
async def test_a_definition_with_a_bad_schema_is_refused(
    games: Api, spec: dict[str, Any], field: str, words: str
) -> None:
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True}
    body = {
        "metadata": {"name": "doors.test.gamekeeper.dev"},
        "spec": {
            "group": "test.gamekeeper.dev",
            "scope": "Namespaced",
            "names": {"plural": "doors", "kind": "Door"},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    status, answer = await games.request("POST", DEFINITIONS, body)
    [cause] = answer["details"]["causes"]
    assert (status, cause["field"], words in cause["message"]) == (422, field, True), cause
