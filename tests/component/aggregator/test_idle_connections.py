"""Connections that say nothing, or never finish what they say, are hung up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from aggregator.serving import HttpServer

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

IDLE_SECONDS = 0.3
REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


async def answer(request: web.BaseRequest) -> web.Response:
    return web.Response(body=await request.read())


def application() -> web.Application:
    app = web.Application()
    app.router.add_post("/", answer)
    return app


SERVED: dict[str, Callable[[], object]] = {
    "a bare handler": lambda: answer,
    "an application": application,
}


@asynccontextmanager
async def connected(
    served: Callable[[], object], idle_seconds: float = IDLE_SECONDS
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = unused_port()
    async with HttpServer(served(), "127.0.0.1", port, None, idle_seconds):  # type: ignore[arg-type]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("served", SERVED.values(), ids=SERVED)
@pytest.mark.parametrize(
    "said", [b"", b"POST / HT", REQUEST[:-4]], ids=["nothing", "half a line", "half a head"]
)
async def test_who_never_says_a_whole_request_is_hung_up(
    served: Callable[[], object], said: bytes
) -> None:
    async with connected(served) as (reader, writer):
        writer.write(said)
        assert await reader.read() == b""


@pytest.mark.parametrize("served", SERVED.values(), ids=SERVED)
async def test_who_falls_silent_after_a_request_is_hung_up(served: Callable[[], object]) -> None:
    async with connected(served) as (reader, writer):
        writer.write(REQUEST)
        assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200")
        assert await reader.read() == b""


async def test_who_goes_on_speaking_is_kept_for_longer_than_that() -> None:
    # Long enough for a busy machine to send the next request in time.
    async with connected(lambda: answer, idle_seconds=4.0) as (reader, writer):
        begin = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < begin + 5.0:
            writer.write(REQUEST)
            assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.1)
