"""The sidecar that one would write in an afternoon, to compare the agent with: `benchmarks.agent`.

asyncio and aiohttp; two commands every three seconds, a report over TLS every ten. It runs the
commands beside itself instead of in the game's container, has no thresholds and no /status.
"""

from __future__ import annotations

import asyncio
import os
import ssl

import aiohttp

PROBES = 2
PERIOD_SECONDS = 3
HEARTBEAT_SECONDS = 10


async def probe(state: dict[int, str], number: int) -> None:
    """Run the command for ever."""
    while True:
        process = await asyncio.create_subprocess_exec(
            "true", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        await process.communicate()
        state[number] = str(process.returncode)
        await asyncio.sleep(PERIOD_SECONDS)


async def report(state: dict[int, str]) -> None:
    """Send the state for ever."""
    context = ssl.create_default_context(cafile=os.environ["GAMEKEEPER_CA_FILE"])
    url = f"{os.environ['GAMEKEEPER_REPORT_URLS']}/v1/reports"
    headers = {"Authorization": "Bearer none"}
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            body = {"probes": list(state.values()), "probesRevision": "r1", "sequence": 1}
            async with session.post(url, json=body, ssl=context) as response:
                await response.read()
            await asyncio.sleep(HEARTBEAT_SECONDS)


async def main() -> None:
    """Probe and report until killed."""
    state: dict[int, str] = {}
    async with asyncio.TaskGroup() as tasks:
        for number in range(PROBES):
            tasks.create_task(probe(state, number))
        tasks.create_task(report(state))


if __name__ == "__main__":
    asyncio.run(main())
