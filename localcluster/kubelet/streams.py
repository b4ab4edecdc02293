"""The kubelet's HTTP server: logs and exec, for the API server only (loopback, bearer token).

    GET /containerLogs/{namespace}/{pod}/{container}?QUERY            QUERY: see log_query.py
    GET /exec/{namespace}/{pod}/{container}?command=..&stdin&stdout&stderr&tty     WebSocket

Not pure. Source: the paths and parameters are those of kubelet's server (pkg/kubelet/server).
"""

from __future__ import annotations

import collections
import contextlib
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from localcluster.kubelet.exec_session import PROTOCOL, ExecOptions, ExecSession
from localcluster.kubelet.log_query import LogQuery, is_true, parse_log_query
from localcluster.kubelet.status import Terminated, Waiting
from shared.clock import utc_now

if TYPE_CHECKING:
    from localcluster.kubelet.container import Container
    from localcluster.kubelet.launcher_client import LauncherClient
    from localcluster.kubelet.log_file import ContainerLog, LogLine
    from localcluster.kubelet.pods import Pods

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
        try:
            query = parse_log_query(request.query, utc_now())
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        log = container.previous_log if query.previous else container.log
        if log is None:
            raise web.HTTPBadRequest(text=_no_log(container, request.match_info["pod"], query))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        left = query.limit_bytes
        async with contextlib.aclosing(_wanted_lines(log, query)) as lines:
            async for line in lines:
                content = query.show(line)
                await response.write(content if left is None else content[:left])
                left = None if left is None else left - len(content)
                if left is not None and left <= 0:
                    break
        await response.write_eof()
        return response

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        container = self._find(request)
        query = request.query
        command = tuple(query.getall("command", []))
        if not command:
            raise web.HTTPBadRequest(text="you must specify at least 1 command for the container")
        if container.instance is None:
            raise web.HTTPBadRequest(text=f'container "{container.name}" is not running')
        options = ExecOptions(command, is_true(query, "stdin"), is_true(query, "tty"))
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


async def _wanted_lines(log: ContainerLog, query: LogQuery) -> AsyncGenerator[LogLine, None]:
    """Yield what a request wants: the last lines, and with `follow` those that come."""
    position = 0
    if query.tail_lines is not None:
        last, position = await _last_lines(log.read(follow=False), query)
        for line in last:
            yield line
    if query.follow or query.tail_lines is None:
        async for line in log.read(follow=query.follow, skip=position):
            if query.wants(line):
                yield line


async def _last_lines(lines: AsyncIterator[LogLine], query: LogQuery) -> tuple[list[LogLine], int]:
    """Return the last whole lines with their parts, and how many records were read."""
    kept: collections.deque[list[LogLine]] = collections.deque(maxlen=query.tail_lines)
    current: list[LogLine] = []
    records = 0
    async for line in lines:
        records += 1
        if not query.wants(line):
            continue
        current.append(line)
        if line.complete:
            kept.append(current)
            current = []
    if current:
        kept.append(current)
    return [part for whole in kept for part in whole], records


def _no_log(container: Container, pod: str, query: LogQuery) -> str:
    if query.previous:
        return f'previous terminated container "{container.name}" in pod "{pod}" not found'
    state = container.state.state
    reason = state.reason if isinstance(state, Waiting | Terminated) else "ContainerCreating"
    return f'container "{container.name}" in pod "{pod}" is waiting to start: {reason}'
