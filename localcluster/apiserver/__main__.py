"""The program: `python -m localcluster.apiserver --help`."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import sys
from typing import TYPE_CHECKING

from aiohttp import web

from localcluster.apiserver.app import make_app
from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.persistence import Saver
from localcluster.apiserver.settings import Settings, read_settings
from localcluster.apiserver.state import make_api_server
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from localcluster.apiserver.state import ApiServer

# Open watches and execs are told to end first; who does not is cut off after this.
_SHUTDOWN_SECONDS = 0.5
# Stored objects hold no cycles. With the default thresholds each burst of writes walks all of them,
# which stalls every request; the aggregator's caches were measured to need the same.
_GC_THRESHOLDS = (50_000, 50, 100)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InvalidInput: the port is taken, the address is not of this machine, or a definition is
            refused.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        server = make_api_server(
            settings.users,
            settings.kubelet_token,
            settings.definitions,
            loop.call_soon,
            options=settings.options,
        )
    except ApiError as error:
        raise InvalidInput("--crd", error.message) from error
    saver = _saver(settings, server)
    runner = web.AppRunner(
        make_app(server),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(
            runner,
            settings.address,
            settings.port,
            ssl_context=settings.tls,
        )
        await _start(site, settings)
        if settings.port_file is not None:
            _write_port(settings.port_file, _port(runner))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(server.nodes.run())]
            if saver is not None:
                running.append(tasks.create_task(saver.run()))
            await stop.wait()
            for task in running:
                task.cancel()
    finally:
        await runner.cleanup()
        if saver is not None:
            saver.save()


def _saver(settings: Settings, server: ApiServer) -> Saver | None:
    """Return what keeps the state, after it has written the file once."""
    if settings.data is None:
        return None
    saver = Saver(settings.data, server.verbs.store, server.signing_key)
    try:
        saver.save()
    except OSError as error:
        why = f"cannot write {settings.data}: {error.strerror}"
        raise InvalidInput("--data", why) from error
    return saver


async def _start(site: web.TCPSite, settings: Settings) -> None:
    try:
        await site.start()
    except OSError as error:
        why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise InvalidInput(
            "--port",
            f"cannot listen on {settings.address}:{settings.port}: {why}; "
            "choose another, or 0 for a free one",
        ) from error


def _port(runner: web.AppRunner) -> int:
    port: int = runner.addresses[0][1]
    return port


def _write_port(path: Path, port: int) -> None:
    # Whoever waits for the file must never read half of it.
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(f"{port}\n", encoding="ascii")
    temporary.replace(path)


def main() -> int:
    """Run the program and return its exit code: 0 after a signal, 2 for bad arguments."""
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        asyncio.run(serve(read_settings(sys.argv[1:])))
    except InvalidInput as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
