"""HTTP and TCP handlers against real servers: what counts as a success and what a failure says.

Source: https://kubernetes.io/docs/concepts/workloads/pods/probes/ and pkg/probe/http/http.go
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import grpc
import grpc_health.v1.health as grpc_health
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from localcluster.kubelet.handlers import (
    HandlerError,
    HandlerRunner,
    Outcome,
    Target,
    probe_session,
)
from localcluster.kubelet.launcher_client import LauncherClient, Process
from localcluster.kubelet.messages import Credentials, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(20)]


async def answer(request: web.Request) -> web.StreamResponse:
    """Answer as the path says: a status, a redirect, or the request's own headers."""
    word = request.match_info["word"]
    if word == "headers":
        wanted = request.headers.get("User-Agent") == "tester" and request.headers["X-A"] == "1"
        return web.Response(status=200 if wanted else 400)
    if word == "agent":
        known = request.headers["User-Agent"].startswith("kube-probe/")
        return web.Response(status=200 if known else 400)
    if word == "slow":
        await asyncio.sleep(60)
    if word == "large":
        return web.Response(body=b"x" * (4 << 20))
    if word == "elsewhere":
        raise web.HTTPFound("http://example.invalid/")
    if word == "again":
        raise web.HTTPFound("/again")
    if word == "moved":
        raise web.HTTPFound("/500")
    return web.Response(status=int(word))


@pytest.fixture
async def port() -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_get("/{word}", answer)
    server = TestServer(application)
    await server.start_server()
    assert server.port is not None
    yield server.port
    await server.close()


async def run(handler: dict[str, Any], port: int, timeout_seconds: float = 15) -> Outcome:
    """Run a handler against the container's port named `web`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    launcher = LauncherClient(ours)
    exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    program = Program(("x",), {}, "/", Credentials(0, 0, (), (), False))
    spec = {"name": "main", "ports": [{"name": "web", "containerPort": port}]}
    target = Target(spec, Process(os.getpid(), 0, None, exited), program)
    try:
        async with probe_session() as session:
            runner = HandlerRunner(launcher, session, "127.0.0.1")
            return await runner.run(handler, target, timeout_seconds)
    finally:
        launcher.close()
        theirs.close()


GOOD = Outcome(success=True)


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("/200", GOOD),
        ("204", GOOD),
        ("/304", GOOD),
        ("/404", Outcome(False, "HTTP probe failed with statuscode: 404")),
        ("/moved", Outcome(False, "HTTP probe failed with statuscode: 500")),
        ("/elsewhere", GOOD),
        ("/again", Outcome(False, "stopped after 10 redirects")),
        ("/agent", GOOD),
        ("/large", GOOD),
    ],
)
async def test_http(port: int, path: str, outcome: Outcome) -> None:
    assert await run({"httpGet": {"path": path, "port": "web"}}, port) == outcome


async def test_http_headers_are_the_specs_own(port: int) -> None:
    headers = [{"name": "User-Agent", "value": "tester"}, {"name": "X-A", "value": "1"}]

    assert await run(
        {"httpGet": {"path": "/headers", "port": port, "httpHeaders": headers}}, port
    ) == (GOOD)


async def test_an_answer_that_does_not_come_is_a_failure(port: int) -> None:
    outcome = await run({"httpGet": {"path": "/slow", "port": port}}, port, timeout_seconds=0.1)

    message = f'Get "http://127.0.0.1:{port}/slow": no answer in 0.1s'
    assert outcome == Outcome(success=False, message=message)


async def test_a_port_nobody_listens_on_is_a_failure() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        tcp = await run({"tcpSocket": {"port": port}}, port)
        http = await run({"httpGet": {"port": port}}, port)

    assert tcp.success is False
    assert tcp.message.startswith(f"dial tcp 127.0.0.1:{port}: ")
    assert http.success is False
    assert http.message.startswith(f'Get "http://127.0.0.1:{port}/": ')


async def test_tcp_and_sleep(port: int) -> None:
    assert await run({"tcpSocket": {"port": "web", "host": "127.0.0.1"}}, port) == GOOD
    assert await run({"sleep": {"seconds": 0}}, port) == GOOD


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ({"grpc": {"port": 0}}, "invalid port number: 0"),
        ({"httpGet": {"port": "admin"}}, "couldn't find port: admin"),
        ({"tcpSocket": {"port": 70000}}, "invalid port number: 70000"),
        ({"exec": {}}, "exec without a command"),
        ({}, "no handler; want exec, httpGet, tcpSocket or grpc"),
    ],
)
async def test_a_handler_that_cannot_run_says_nothing_about_the_container(
    handler: dict[str, Any], message: str
) -> None:
    with pytest.raises(HandlerError) as caught:
        await run(handler, 1)
    assert str(caught.value) == message


@contextlib.asynccontextmanager
async def health_server(*, speaks_health: bool = True) -> AsyncIterator[int]:
    """A real gRPC server: its health service knows a lobby that serves, a shop that does not."""
    server = grpc.aio.server()
    if speaks_health:
        servicer = grpc_health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        serving = health_pb2.HealthCheckResponse.ServingStatus
        await servicer.set("lobby", serving.SERVING)
        await servicer.set("shop", serving.NOT_SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


@pytest.mark.parametrize(
    ("service", "outcome"),
    [
        ("", GOOD),
        ("lobby", GOOD),
        ("shop", Outcome(False, 'service unhealthy (responded with "NOT_SERVING")')),
        ("stranger", Outcome(False, "error: health rpc probe failed: ")),
    ],
)
async def test_grpc(service: str, outcome: Outcome) -> None:
    async with health_server() as port:
        found = await run({"grpc": {"port": port, "service": service}}, port)
    assert (found.success, found.message[: len(outcome.message)]) == (
        outcome.success,
        outcome.message,
    )


async def test_a_grpc_server_without_a_health_service_fails() -> None:
    async with health_server(speaks_health=False) as port:
        found = await run({"grpc": {"port": port}}, port)
    assert not found.success
    assert found.message.startswith("error: this server does not implement the grpc health")


async def test_a_grpc_server_that_never_answers_is_timed_out() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]
        found = await run({"grpc": {"port": port}}, port, timeout_seconds=0.5)
    assert found == Outcome(False, "timeout: health rpc did not complete within 0.5s")
