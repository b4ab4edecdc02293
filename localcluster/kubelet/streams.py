"""The kubelet's HTTP server: logs and exec, for the API server only (loopback, bearer token).

    GET /containerLogs/{namespace}/{pod}/{container}?follow&previous&tailLines&timestamps
    GET /exec/{namespace}/{pod}/{container}?command=..&stdin&stdout&stderr&tty     WebSocket

Not pure. Source: the paths and parameters are those of kubelet's server (pkg/kubelet/server).
"""

from __future__ import annotations

import collections
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from localcluster.kubelet.exec_session import PROTOCOL, ExecOptions, ExecSession

if TYPE_CHECKING:
    from multidict import MultiMapping

    from localcluster.kubelet.container import Container
    from localcluster.kubelet.launcher_client import LauncherClient
    from localcluster.kubelet.log_file import LogLine
    from localcluster.kubelet.pods import Pods

_TRUE = ("1", "true")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StreamServer:
    """Handlers of one kubelet.

    Args:
        pods: whose containers are served.
        launcher: starts exec'd processes.
        token: what callers must present.
    """

    def __init__(self, pods: Pods, launcher: LauncherClient, token: str) -> None:
        self._pods = pods
        self._launcher = launcher
        self._expected = f"Bearer {token}".encode()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(middlewares=[self._authenticate])
        place = "{namespace}/{pod}/{container}"
        application.router.add_get(f"/containerLogs/{place}", self._logs)
        application.router.add_get(f"/exec/{place}", self._exec)
        return application

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        presented = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(presented, self._expected):
            raise web.HTTPUnauthorized(text="Unauthorized")
        return await handler(request)

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        container = self._find(request)
        query = request.query
        log = container.previous_log if _flag(query, "previous") else container.log
        if log is None:
            which = "previous terminated container" if _flag(query, "previous") else "container"
            pod = request.match_info["pod"]
            raise web.HTTPBadRequest(
                text=f'{which} "{container.name}" in pod "{pod}" has no log: it has not started'
            )
        tail = _tail(query)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        follow = _flag(query, "follow")
        if tail is not None:
            last, position = await _last_lines(log.read(follow=False), tail)
            for line in last:
                await response.write(_shown(line, query))
        else:
            position = 0
        if follow or tail is None:
            async for line in log.read(follow=follow, skip=position):
                await response.write(_shown(line, query))
        await response.write_eof()
        return response

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        container = self._find(request)
        query = request.query
        command = tuple(query.getall("command", []))
        if not command:
            raise web.HTTPBadRequest(text="you must specify at least 1 command for the container")
        if container.process is None:
            raise web.HTTPBadRequest(text=f'container "{container.name}" is not running')
        options = ExecOptions(command, _flag(query, "stdin"), _flag(query, "tty"))
        socket = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=1 << 20)
        await socket.prepare(request)
        await ExecSession(self._launcher, socket).run(container, options)
        return socket

    def _find(self, request: web.Request) -> Container:
        where = request.match_info
        worker = self._pods.find(where["namespace"], where["pod"])
        if worker is None:
            raise web.HTTPNotFound(text=f'pod "{where["pod"]}" not found on this node')
        container = worker.find(where["container"])
        if container is None:
            raise web.HTTPNotFound(text=f'container not found ("{where["container"]}")')
        return container


async def _last_lines(lines: AsyncIterator[LogLine], count: int) -> tuple[list[LogLine], int]:
    """Return the last `count` whole lines with their parts, and how many records were read."""
    kept: collections.deque[list[LogLine]] = collections.deque(maxlen=count)
    current: list[LogLine] = []
    records = 0
    async for line in lines:
        records += 1
        current.append(line)
        if line.complete:
            kept.append(current)
            current = []
    if current:
        kept.append(current)
    return [part for whole in kept for part in whole], records


def _shown(line: LogLine, query: MultiMapping[str]) -> bytes:
    prefix = f"{line.time} ".encode() if _flag(query, "timestamps") else b""
    return prefix + line.text + (b"\n" if line.complete else b"")


def _flag(query: MultiMapping[str], name: str) -> bool:
    return query.get(name, "").lower() in _TRUE


def _tail(query: MultiMapping[str]) -> int | None:
    text = query.get("tailLines", "")
    if not text:
        return None
    if not text.isdigit():
        raise web.HTTPBadRequest(text=f"tailLines: want a number >= 0, got {text!r}")
    return int(text)
