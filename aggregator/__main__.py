"""Starts the aggregator: `python -m aggregator`, with settings from the environment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from aggregator.app import run
from aggregator.logs import configure_logs
from aggregator.runtime import tune
from aggregator.settings import read_settings
from shared.errors import AppError


async def _run_until_signalled() -> None:
    settings = read_settings(os.environ)
    configure_logs(settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)


def main() -> int:
    """Run until SIGTERM; exit code 2 with one line when the settings or the machine do not fit."""
    tune()
    try:
        asyncio.run(_run_until_signalled())
    except AppError as error:
        print(f"gamekeeper aggregator: {error.message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
