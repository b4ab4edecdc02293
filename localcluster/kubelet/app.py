"""The kubelet as a whole: launcher client, pods, stream server, node, and its end. Not pure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from aiohttp import web

from localcluster.kubelet.addresses import Addresses
from localcluster.kubelet.api import ApiClient
from localcluster.kubelet.identities import decide_identities, read_caller
from localcluster.kubelet.launcher_client import LauncherClient
from localcluster.kubelet.node import HOST_IP, register_node
from localcluster.kubelet.pods import Machine, Pods
from localcluster.kubelet.streams import StreamServer
from shared.errors import TransientError

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from localcluster.kubelet.settings import Settings

_FOLDERS = ("pods", "logs", "root")
_REGISTER_RETRY_SECONDS = 0.5
_KILL_SECONDS = 2.0
_HIGHEST_OCTET = 254

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class LauncherEnded(Exception):  # noqa: N818 - an event that ends the kubelet
    """The launcher ended by itself; every pod is dead with it."""


async def run(settings: Settings, channel: socket.socket, launcher_pid: int) -> None:
    """Be the kubelet until SIGTERM or SIGINT; then leave nothing behind.

    Args:
        settings: the command line.
        channel: to the launcher.
        launcher_pid: of the launcher, a child of this process.

    Raises:
        LauncherEnded: the pods died with it.
    """
    for name in _FOLDERS:
        (settings.state_directory / name).mkdir(exist_ok=True)
    launcher = LauncherClient(channel)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    machine = Machine(
        node_name=settings.node_name,
        state_directory=settings.state_directory,
        images=settings.images,
        identities=decide_identities(read_caller()),
        launcher=launcher,
        addresses=Addresses(random.SystemRandom().randint(1, _HIGHEST_OCTET)),
    )
    headers = {"Authorization": f"Bearer {settings.token}", "User-Agent": "gamekeeper-kubelet"}
    connector = aiohttp.TCPConnector(limit=0)
    try:
        async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
            api = ApiClient(session, settings.server, settings.tls)
            pods = Pods(api, machine)
            await _serve(settings, api, pods, launcher, stop)
    finally:
        launcher.close()
        # Blocking: nothing else is left to do, and the launcher has just lost its channel.
        os.waitpid(launcher_pid, 0)  # noqa: ASYNC222
        _remove_state(settings.state_directory)


async def _serve(
    settings: Settings, api: ApiClient, pods: Pods, launcher: LauncherClient, stop: asyncio.Event
) -> None:
    server = StreamServer(pods, launcher, settings.stream_token)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST_IP, 0)
        await site.start()
        port = runner.addresses[0][1]
        async with asyncio.TaskGroup() as tasks:
            life = tasks.create_task(_live(settings, api, pods, port))
            stopping = tasks.create_task(stop.wait())
            ends: list[asyncio.Future[Any]] = [stopping, life, launcher.ended]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            life.cancel()
            stopping.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KILL_SECONDS):
                    await pods.kill_all()
        if launcher.ended.done():
            raise LauncherEnded("the launcher process has ended and every pod with it")
    finally:
        await runner.cleanup()


async def _live(settings: Settings, api: ApiClient, pods: Pods, port: int) -> None:
    while True:
        try:
            await register_node(api, settings.node_name, port)
        except TransientError as error:
            log.warning("api request failed", reason=error.reason, message=error.message)
            await asyncio.sleep(_REGISTER_RETRY_SECONDS)
        else:
            break
    log.info("node ready", node=settings.node_name, port=port)
    if settings.ready_file is not None:
        settings.ready_file.touch()
    await pods.run()


def _remove_state(directory: Path) -> None:
    for name in _FOLDERS:
        shutil.rmtree(directory / name, ignore_errors=True)
    # Not ours alone if something else is in it.
    with contextlib.suppress(OSError):
        directory.rmdir()
