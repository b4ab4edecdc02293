"""Thousands of agents hold a TLS connection each, so one must not cost much memory."""

import gc
import ssl
import tracemalloc
from asyncio.sslproto import SSLProtocol
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector, web
from aiohttp.test_utils import unused_port

from aggregator.runtime import tune
from aggregator.serving import HttpServer
from localcluster.certificates import make_authority

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

CONNECTIONS = 20
LARGE = 900_000


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    thresholds = gc.get_threshold()
    # Put back after the test, as it is now.
    monkeypatch.setattr(SSLProtocol, "max_size", SSLProtocol.max_size)
    tune()
    yield
    gc.set_threshold(*thresholds)


async def echo(request: web.BaseRequest) -> web.Response:
    return web.Response(body=b"".join([piece async for piece in request.content.iter_any()]))


async def connect(stack: AsyncExitStack, folder: Path) -> tuple[ClientSession, str]:
    """Return a client that trusts an echo server, both for the time of the stack."""
    authority = make_authority()
    certificate, key = authority.issue("echo", ["localhost"], ["127.0.0.1"])
    (folder / "tls.crt").write_bytes(certificate)
    (folder / "tls.key").write_bytes(key)
    (folder / "ca.crt").write_bytes(authority.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    port = unused_port()
    await stack.enter_async_context(HttpServer(echo, "127.0.0.1", port, context))
    trust = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    client = ClientSession(connector=TCPConnector(ssl=trust, limit=0))
    return await stack.enter_async_context(client), f"https://127.0.0.1:{port}/"


@pytest.mark.usefixtures("tuned")
async def test_a_connection_costs_less_than_a_hundred_kib_at_both_of_its_ends(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        client, url = await connect(stack, tmp_path)
        async with client.post(url, data=b"first") as answer:
            assert await answer.read() == b"first"
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        async with AsyncExitStack() as open_answers:
            # An answer that is not read yet holds its connection, so each request makes one.
            for _ in range(CONNECTIONS):
                await open_answers.enter_async_context(client.post(url, data=b"x"))
            used, _ = tracemalloc.get_traced_memory()
    assert used / CONNECTIONS < 100 * 1024


@pytest.mark.usefixtures("tuned")
async def test_what_is_larger_than_the_buffer_comes_through_whole(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        client, url = await connect(stack, tmp_path)
        large = bytes(range(256)) * (LARGE // 256)
        async with client.post(url, data=large) as answer:
            assert await answer.read() == large
