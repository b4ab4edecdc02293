"""Thousands of agents hold a TLS connection each, so one must not cost much memory."""

import asyncio
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


async def serve(stack: AsyncExitStack, folder: Path) -> tuple[int, ssl.SSLContext]:
    """Return the port of an echo server, there for the time of the stack, and who trusts it."""
    authority = make_authority()
    certificate, key = authority.issue("echo", ["localhost"], ["127.0.0.1"])
    (folder / "tls.crt").write_bytes(certificate)
    (folder / "tls.key").write_bytes(key)
    (folder / "ca.crt").write_bytes(authority.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    port = unused_port()
    await stack.enter_async_context(HttpServer(echo, "127.0.0.1", port, context))
    return port, ssl.create_default_context(cafile=str(folder / "ca.crt"))


async def hold_connection(stack: AsyncExitStack, port: int, trust: ssl.SSLContext) -> None:
    """Open a connection that ends with the stack; it is whole when this returns."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    stack.push_async_callback(writer.wait_closed)
    stack.callback(writer.close)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
    await reader.readuntil(b"hello")


@pytest.mark.usefixtures("tuned")
async def test_a_connection_costs_little_memory_at_both_of_its_ends_together(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        port, trust = await serve(stack, tmp_path)
        await hold_connection(stack, port, trust)
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for _ in range(CONNECTIONS):
            await hold_connection(stack, port, trust)
        used, _ = tracemalloc.get_traced_memory()
    assert used / CONNECTIONS < 150 * 1024


@pytest.mark.usefixtures("tuned")
async def test_what_is_larger_than_the_buffer_comes_through_whole(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        port, trust = await serve(stack, tmp_path)
        client = await stack.enter_async_context(ClientSession(connector=TCPConnector(ssl=trust)))
        large = bytes(range(256)) * (LARGE // 256)
        async with client.post(f"https://127.0.0.1:{port}/", data=large) as answer:
            assert await answer.read() == large
