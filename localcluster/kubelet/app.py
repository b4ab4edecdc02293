"""The kubelet as a whole: launcher client, pods, stream server, node, and its end. Not pure.

A kubelet's pods end with it, whatever ends it (sandbox.py); their objects stay. The next kubelet of
the same node starts them again, counted as restarts (left_behind.py). The folders of persistent
volume claims stay in the state directory for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from aiohttp import web

from localcluster.kubelet.addresses import Addresses
from localcluster.kubelet.api import ApiClient
from localcluster.kubelet.binder import Binder
from localcluster.kubelet.events import EventRecorder
from localcluster.kubelet.handlers import probe_session
from localcluster.kubelet.heartbeat import Heartbeat
from localcluster.kubelet.identities import decide_identities, read_caller
from localcluster.kubelet.launcher_client import LauncherClient
from localcluster.kubelet.node import HOST_IP
from localcluster.kubelet.pods import Machine, Pods
from localcluster.kubelet.references import ReferenceReader
from localcluster.kubelet.streams import StreamServer

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from localcluster.kubelet.settings import Settings

_FOLDERS = ("pods", "logs", "root")
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
    headers = {"Authorization": f"Bearer {settings.token}", "User-Agent": "gamekeeper-kubelet"}
    connector = aiohttp.TCPConnector(limit=0)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, connector=connector) as session,
            probe_session() as probing,
        ):
            api = ApiClient(session, settings.server, settings.tls)
            parts = _make_parts(settings, api, launcher, probing)
            await _serve(settings, parts, launcher, stop)
    finally:
        launcher.close()
        # Blocking: nothing else is left to do, and the launcher has just lost its channel.
        os.waitpid(launcher_pid, 0)  # noqa: ASYNC222
        _remove_state(settings.state_directory)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What runs as long as the kubelet does."""

    api: ApiClient
    pods: Pods
    binder: Binder
    recorders: tuple[EventRecorder, ...]


def _make_parts(
    settings: Settings,
    api: ApiClient,
    launcher: LauncherClient,
    probing: aiohttp.ClientSession,
) -> _Parts:
    recorder = EventRecorder(api, "kubelet", settings.node_name)
    scheduler = EventRecorder(api, "default-scheduler", "")
    machine = Machine(
        node_name=settings.node_name,
        state_directory=settings.state_directory,
        images=settings.images,
        identities=decide_identities(read_caller()),
        launcher=launcher,
        addresses=Addresses(random.SystemRandom().randint(1, _HIGHEST_OCTET)),
        probing=probing,
        recorder=recorder,
        references=ReferenceReader(api),
    )
    binder = Binder(api, settings.node_name, scheduler)
    return _Parts(api, Pods(api, machine, binder), binder, (recorder, scheduler))


async def _serve(
    settings: Settings, parts: _Parts, launcher: LauncherClient, stop: asyncio.Event
) -> None:
    server = StreamServer(parts.pods, launcher, settings.stream_token)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST_IP, 0)
        await site.start()
        port = runner.addresses[0][1]
        async with asyncio.TaskGroup() as tasks:
            life = tasks.create_task(_live(settings, parts, port))
            stopping = tasks.create_task(stop.wait())
            ends: list[asyncio.Future[Any]] = [stopping, life, launcher.ended]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            life.cancel()
            stopping.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_KILL_SECONDS):
                    await parts.pods.kill_all()
        if launcher.ended.done():
            raise LauncherEnded("the launcher process has ended and every pod with it")
    finally:
        await runner.cleanup()


async def _live(settings: Settings, parts: _Parts, port: int) -> None:
    heartbeat = Heartbeat(parts.api, settings.node_name, port, settings.lease_seconds)
    await heartbeat.register()
    log.info("node ready", node=settings.node_name, port=port)
    if settings.ready_file is not None:
        settings.ready_file.touch()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(heartbeat.run())
        tasks.create_task(parts.binder.run())
        for recorder in parts.recorders:
            tasks.create_task(recorder.run())
        await parts.pods.run()


def _remove_state(directory: Path) -> None:
    for name in _FOLDERS:
        shutil.rmtree(directory / name, ignore_errors=True)
    # Not ours alone if something else is in it.
    with contextlib.suppress(OSError):
        directory.rmdir()
