"""The client over real HTTP: requests and what becomes of the answers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aggregator.kube import patch
from aggregator.kube.client import open_kube_client
from aggregator.kube.errors import Expired, NotFound, Rejected, TestFailed, Throttled, Unavailable
from aggregator.kube.resources import GAMESERVERS, PODS, TOKENREVIEWS, ObjectKey
from aggregator.kube.transport import RawList
from shared.errors import InvalidInput
from tests.support.kube_server import IMPATIENT, Handler, kubeconfig, serve

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

KEY = ObjectKey("games", "a")


def failing(code: int, reason: str = "", **details: Any) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        status = {"kind": "Status", "code": code, "reason": reason, "message": "m"}
        return web.json_response(status | {"details": details}, status=code)

    return handler


async def echo(request: web.Request) -> web.Response:
    """Answer with what was asked."""
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "type": request.headers.get("Content-Type"),
            "accept": request.headers["Accept"],
            "authorization": request.headers["Authorization"],
            "body": json.loads(await request.read() or b"null"),
        }
    )


async def test_a_request_carries_the_token_and_says_what_it_sends(tmp_path: Path) -> None:
    merge = patch.MergePatch({"spec": {"opsState": None}})
    operations = patch.JsonPatch((patch.test("/metadata/uid", "u"), patch.remove("/spec")))
    server = "/apis/game.kruise.io/v1alpha1/namespaces/games/gameservers"
    async with serve(tmp_path, echo) as client:
        asked = [
            await client.get(PODS, KEY),
            await client.create(GAMESERVERS, "games", {"kind": "GameServer"}),
            await client.create(TOKENREVIEWS, "", {"spec": {}}),
            await client.patch(GAMESERVERS, KEY, merge, "status"),
            await client.patch(GAMESERVERS, KEY, operations),
        ]
    assert {(a.pop("accept"), a.pop("authorization")) for a in asked if a} == {
        ("application/json", "Bearer secret")
    }
    # GET has the type too: the library sets one in any case, and servers ignore it.
    assert [tuple(a.values()) for a in asked if a] == [
        ("GET", "/api/v1/namespaces/games/pods/a", "application/json", None),
        ("POST", server, "application/json", {"kind": "GameServer"}),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", "application/json", {"spec": {}}),
        (
            "PATCH",
            f"{server}/a/status",
            "application/merge-patch+json",
            {"spec": {"opsState": None}},
        ),
        (
            "PATCH",
            f"{server}/a",
            "application/json-patch+json",
            [
                {"op": "test", "path": "/metadata/uid", "value": "u"},
                {"op": "remove", "path": "/spec"},
            ],
        ),
    ]


async def test_a_deletion_carries_its_preconditions(tmp_path: Path) -> None:
    bodies: list[Any] = []

    async def remember(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({"kind": "Status", "status": "Success"})

    async with serve(tmp_path, remember) as client:
        assert await client.delete(PODS, KEY)
        assert await client.delete(PODS, KEY, uid="u", resource_version="7")
    assert bodies == [
        {"apiVersion": "v1", "kind": "DeleteOptions"},
        {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": "u", "resourceVersion": "7"},
        },
    ]


async def test_the_absent_is_none_and_its_deletion_success(tmp_path: Path) -> None:
    async with serve(tmp_path, failing(404, "NotFound")) as client:
        assert (await client.get(PODS, KEY), await client.delete(PODS, KEY)) == (None, False)
        with pytest.raises(NotFound):
            await client.patch(PODS, KEY, patch.MergePatch({"a": 1}))


@pytest.mark.parametrize(
    ("handler", "error", "facts"),
    [
        pytest.param(failing(410, "Expired"), Expired, {}, id="410"),
        pytest.param(
            failing(429, "TooManyRequests", retryAfterSeconds=4),
            Throttled,
            {"retry_after_seconds": 4.0},
            id="429",
        ),
        pytest.param(failing(422, "Invalid"), TestFailed, {}, id="a test that failed"),
        pytest.param(
            failing(422, "Invalid", causes=[{"field": "spec", "message": "x"}]),
            Rejected,
            {"code": 422},
            id="a schema that was broken",
        ),
        pytest.param(failing(503), Unavailable, {"outcome_unknown": True}, id="503"),
        pytest.param(failing(302), Rejected, {"code": 302}, id="a redirect to nowhere"),
    ],
)
async def test_a_status_becomes_an_error(tmp_path: Path, handler, error, facts) -> None:
    operations = patch.JsonPatch((patch.test("/a", 1),))
    async with serve(tmp_path, handler) as client:
        with pytest.raises(error) as raised:
            await client.patch(PODS, KEY, operations)
    assert {name: getattr(raised.value, name) for name in facts} == facts


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def half_a_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return response


async def no_json(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>hello</html>")


async def a_list(request: web.Request) -> web.StreamResponse:
    return web.json_response([1])


@pytest.mark.parametrize("handler", [hang_up, half_a_body, no_json, a_list])
async def test_a_write_without_a_proper_answer_may_have_happened(tmp_path: Path, handler) -> None:
    async with serve(tmp_path, handler) as client:
        with pytest.raises(Unavailable) as raised:
            await client.create(PODS, "games", {"kind": "Pod"})
    assert raised.value.outcome_unknown


async def test_an_answer_that_never_comes_is_given_up(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with serve(tmp_path, silent, IMPATIENT) as client:
        with pytest.raises(Unavailable) as raised:
            await client.create(PODS, "games", {"kind": "Pod"})
        released.set()
    assert (raised.value.reason, raised.value.outcome_unknown) == ("Timeout", True)


async def test_a_server_that_is_not_there_did_nothing(tmp_path: Path, unused_tcp_port: int) -> None:
    path = kubeconfig(tmp_path, f"http://127.0.0.1:{unused_tcp_port}")
    async with open_kube_client(path) as client:
        with pytest.raises(Unavailable) as raised:
            await client.create(PODS, "games", {"kind": "Pod"})
    assert (raised.value.reason, raised.value.outcome_unknown) == ("ConnectionFailed", False)


async def test_a_list_comes_in_pages_of_one_version(tmp_path: Path) -> None:
    queries: list[dict[str, str]] = []

    async def pages(request: web.Request) -> web.Response:
        queries.append(dict(request.query))
        start = int(request.query.get("continue", "0"))
        metadata = {"resourceVersion": "9", "continue": str(start + 2) if start < 2 else ""}
        items = [{"n": start}, {"n": start + 1}]
        return web.json_response({"metadata": metadata, "items": items})

    async with serve(tmp_path, pages) as client:
        whole = await client.list(PODS, "games", "app=a", page=2)
    assert whole == RawList(
        (b'{"n": 0}', b'{"n": 1}', b'{"n": 2}', b'{"n": 3}'), resource_version="9"
    )
    assert queries == [
        {"labelSelector": "app=a", "limit": "2"},
        {"labelSelector": "app=a", "limit": "2", "continue": "2"},
    ]


async def test_a_list_of_nothing_may_be_null(tmp_path: Path) -> None:
    async def nothing(request: web.Request) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": None})

    async with serve(tmp_path, nothing) as client:
        assert await client.list(PODS) == RawList((), "1")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="no file"),
        pytest.param("", id="empty"),
        pytest.param("a: [", id="no YAML"),
        pytest.param("just a word", id="no mapping"),
        pytest.param("current-context: x\ncontexts: []\nclusters: []\n", id="nothing in it"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_one_line_that_names_it(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        async with open_kube_client(str(path)):
            pass
    assert refused.value.field == "GAMEKEEPER_KUBECONFIG"
    assert str(path) in refused.value.message
    assert "\n" not in refused.value.message


async def test_outside_of_a_pod_there_is_no_service_account(monkeypatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(InvalidInput, match="the pod's service account"):
        async with open_kube_client():
            pass
