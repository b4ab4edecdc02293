"""`gamekeeper local`: a cluster on this machine until Ctrl-C, with a live table of the servers."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from cli.cluster import gamekeeper_cluster, status_api_url
from cli.kubectl import Kubectl
from cli.manifests import check_manifest, find_images
from localcluster.cluster import ClusterOptions
from shared.clock import monotonic_seconds
from shared.errors import AppError, InvalidInput, TerminalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from localcluster.cluster import LocalCluster

# How often files are looked at: an editor's save should be followed at once, and a stat is free.
_WATCH_SECONDS = 0.3
# As a shell tells of a program that Ctrl-C has ended.
_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """The command line of `gamekeeper local`.

    Attributes:
        images: `REF=DIR` each.
        port: of the API server; 0 for any.
        kubeconfig: where to write it; None for a temporary file.
        watch: apply files again when they change.
        data: file that keeps the objects between runs; None for none.
        faults: rules of faults on purpose.
    """

    files: Sequence[Path]
    images: Sequence[str]
    port: int
    kubeconfig: Path | None
    watch: bool
    data: Path | None
    faults: Sequence[str]


def run_local(options: LocalOptions) -> int:
    """Run until Ctrl-C or SIGTERM.

    Returns:
        0, or 130 when it was ended before the cluster was there.

    Raises:
        AppError: a file, an image or this machine does not do; nothing is left running.
    """
    for file in options.files:
        check_manifest(file)
    images = find_images(options.files, options.images)
    return asyncio.run(_run(options, images))


async def _run(options: LocalOptions, images: dict[str, Path]) -> int:
    """Run until a signal ends it; one during the start, which may take a while, ends that."""
    started, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.TaskGroup() as tasks:
            cluster = tasks.create_task(_serve(options, images, started, stop))

            def end() -> None:
                stop.set()
                if not started.is_set():
                    cluster.cancel()

            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, end)
    except* AppError as group:
        raise group.exceptions[0] from None
    return _INTERRUPTED if cluster.cancelled() else 0


async def _serve(
    options: LocalOptions, images: dict[str, Path], started: asyncio.Event, stop: asyncio.Event
) -> None:
    """Start a cluster and set `started`; apply the files, and stay until `stop` is set."""
    began = monotonic_seconds()
    cluster_options = ClusterOptions(
        images,
        port=options.port,
        kubeconfig=options.kubeconfig,
        data=options.data,
        faults=options.faults,
        progress=_say,
    )
    async with gamekeeper_cluster(cluster_options) as cluster:
        started.set()
        _say(f"ready after {monotonic_seconds() - began:.1f} s")
        _say(f"logs are in {cluster.directory / 'logs'}")
        _say(f"the status API is at {status_api_url(cluster)}; or type: gamekeeper explain gs NAME")
        print(f"export KUBECONFIG={cluster.kubeconfig}", flush=True)
        kubectl = Kubectl(cluster.kubeconfig)
        for file in options.files:
            await _apply(kubectl, file)
        await _show_until(stop, kubectl, cluster, options.files if options.watch else ())
        _say("stopping")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def _apply(kubectl: Kubectl, file: Path) -> None:
    """Apply one file; what the API server refuses is the user's to mend."""
    try:
        print((await kubectl.run("apply", "-f", str(file))).rstrip(), flush=True)
    except TerminalError as error:
        raise InvalidInput("", error.message) from error


async def _reapply(kubectl: Kubectl, files: Sequence[Path]) -> NoReturn:
    """Apply files again when they change; a fault is told, and the next change is waited for."""
    applied = {file: _stamp(file) for file in files}
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        for file, before in applied.items():
            now = _stamp(file)
            if now == before:
                continue
            applied[file] = now
            try:
                check_manifest(file)
                await _apply(kubectl, file)
            except InvalidInput as error:
                _say(error.message)


def _stamp(file: Path) -> tuple[int, int] | None:
    """Return what changes with the content; None while the file is away, as editors do it."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


async def _show_until(
    stop: asyncio.Event, kubectl: Kubectl, cluster: LocalCluster, watched: Sequence[Path]
) -> None:
    """Show the servers as they change, until `stop` is set or a program of the cluster ends."""
    watch = await asyncio.create_subprocess_exec(
        *kubectl.command("get", "gs", "--watch"), env=kubectl.environment, start_new_session=True
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(each.wait()) for each in cluster.programs.values()]
            if watched:
                waits.append(tasks.create_task(_reapply(kubectl, watched)))
            await stop.wait()
            for wait in waits:
                wait.cancel()
    except* TerminalError as group:
        raise group.exceptions[0] from None
    finally:
        watch.terminate()
        await watch.wait()
