"""Who may read the status API, and who is told what is missing."""

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from aggregator.kube.errors import Rejected, Unavailable
from aggregator.status.access import StatusAccess
from aggregator.status.api import StatusPorts, status_app
from cli.status_api import StatusOptions, find_status_api
from localcluster.certificates import make_authority
from shared.errors import TerminalError
from tests.support.status_world import Reviewer, World, get

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


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
