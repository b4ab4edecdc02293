"""Watches over real HTTP, and a reflector whose server does everything wrong."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from aggregator.kube.errors import Unavailable
from aggregator.kube.reflector import Pace, Reflector
from aggregator.kube.resources import PODS
from aggregator.kube.store import Store
from aggregator.kube.transport import Selection
from shared.backoff import Backoff
from tests.support.kube_server import IMPATIENT, serve

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


async def test_watch_lines_arrive_whole_however_they_are_cut(tmp_path: Path) -> None:
    async def chopped(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b'{"a"', b":1}\n{", b'"b":2}\n\n', b'{"cut off"'):
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    async with serve(tmp_path, chopped) as client:
        lines = [line async for line in client.watch(Selection(PODS), "5", 60)]
    assert lines == [b'{"a":1}', b'{"b":2}']


async def test_a_line_of_three_megabytes_is_an_event(tmp_path: Path) -> None:
    line = b'{"x":"' + b"x" * 3_000_000 + b'"}'

    async def big(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line + b"\n")
        return response

    async with serve(tmp_path, big) as client:
        assert [each async for each in client.watch(Selection(PODS), "5", 60)] == [line]


async def test_a_line_without_end_is_given_up(tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10):
            await response.write(b"x" * 2**20)
        return response

    async with serve(tmp_path, endless) as client:
        with pytest.raises(Unavailable, match="WatchLineTooLong"):
            [line async for line in client.watch(Selection(PODS), "5", 60)]


async def test_a_silent_watch_ends_so_that_a_dead_connection_is_noticed(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{}\n")
        await released.wait()
        return response

    async with serve(tmp_path, silent, IMPATIENT) as client:
        lines = [line async for line in client.watch(Selection(PODS), "5", 60)]
        released.set()
    assert lines == [b"{}"]


async def test_a_reflector_survives_a_server_that_does_everything_wrong(tmp_path: Path) -> None:
    """EOF, 500, garbage, 410 and hanging up in a row; afterwards the store is right."""
    faults: list[Any] = ["eof", 500, "garbage", 410, "abort"]
    lists = 0

    def pod(name: str, version: int) -> dict[str, Any]:
        meta = {"namespace": "games", "name": name, "uid": name, "resourceVersion": str(version)}
        return {"metadata": meta}

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal lists
        if "watch" not in request.query:
            lists += 1
            listed = {"metadata": {"resourceVersion": "10"}, "items": [pod("a", 5)]}
            return web.json_response(listed)
        fault = faults.pop(0) if faults else None
        if isinstance(fault, int):
            return web.json_response({"code": fault, "reason": "R"}, status=fault)
        response = web.StreamResponse()
        await response.prepare(request)
        if fault == "garbage":
            await response.write(b"<html>\n")
        elif fault == "abort":
            assert request.transport is not None
            request.transport.abort()
        elif fault is None:
            line = json.dumps({"type": "ADDED", "object": pod("b", 11)})
            await response.write(line.encode() + b"\n")
            await asyncio.Event().wait()
        return response

    store: Store[str] = Store()
    settled = asyncio.Event()

    def on_change(old: str | None, new: str | None) -> None:
        if new == "b":
            settled.set()

    async with serve(tmp_path, handler) as client:
        reflector = Reflector(
            client,
            Selection(PODS),
            store,
            lambda raw: json.loads(raw)["metadata"]["name"],
            on_change,
            pace=Pace(Backoff(0.01, 0.05)),
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(reflector.run())
            await settled.wait()
            running.cancel()
    assert [name for _, name in store.items()] == ["a", "b"]
    # At the start, after the garbage and after the 410; the other faults cost no list.
    assert (lists, faults) == (3, [])
