"""The API server under load: `make bench-apiserver`. Prints a table, then the same as JSON.

Starts the program as a process of its own over TLS and measures what LOCAL.md promises: watchers
that keep up with a thousand events a second, a list of thousands of pods, and memory. The load
comes from one more process, so the two cores of a small machine are one for each side.

The lag of a watcher is the time from the answer to a write until the watcher has read its event;
it includes the queueing of this process, so it is an upper bound.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from benchmarks.rows import Row, report
from tests.support.apiserver import RunningApiServer, start_apiserver

if TYPE_CHECKING:
    from collections.abc import Callable

PODS = 5_000
WATCHERS = 10
EVENTS_PER_SECOND = 1_000
SECONDS = 10
EVENTS = EVENTS_PER_SECOND * SECONDS
WRITERS = 8
NAMESPACE = "default"
SERVERS = 1_000
PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"
SERVERS_PATH = f"/apis/game.kruise.io/v1alpha1/namespaces/{NAMESPACE}/gameservers"
DEFINITIONS = Path(__file__).parents[1] / "charts" / "gamekeeper" / "crds"


class _Metadata(msgspec.Struct):
    resourceVersion: str  # noqa: N815 - Kubernetes' name


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Event(msgspec.Struct):
    type: str
    object: _Object


def pod(index: int) -> dict[str, Any]:
    """Return a pod as large as those of a game: labels, environment, two containers, status."""
    env = [{"name": f"SETTING_{n}", "value": f"value {n} of pod {index}"} for n in range(12)]
    probe = {"exec": {"command": ["bash", "./probe.sh"]}, "periodSeconds": 5, "timeoutSeconds": 2}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"game-{index:05}",
            "labels": {
                "game.kruise.io/owner-gss": "game",
                "game.kruise.io/game-server-name": f"game-{index:05}",
                "app": "game",
            },
            "annotations": {"bench.gamekeeper.dev/note": "x" * 200},
        },
        "spec": {
            "containers": [
                {
                    "name": "game",
                    "image": "registry.example/game/server:1.2.3",
                    "env": env,
                    "ports": [{"containerPort": 7777, "protocol": "UDP"}],
                    "readinessProbe": probe,
                    "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "initContainers": [
                {"name": "agent", "image": "agent:1", "restartPolicy": "Always", "env": env[:4]}
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }


def game_server(index: int) -> dict[str, Any]:
    """Return the object that changes most often in a cluster with Gamekeeper."""
    labels = {"game.kruise.io/owner-gss": "game"}
    return {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServer",
        "metadata": {"name": f"game-{index:05}", "labels": labels},
        "spec": {"opsState": "None", "updatePriority": 0, "deletionPriority": 0},
    }


def status_patch(number: int) -> bytes:
    """Return a status that the aggregator could write; each is another."""
    verdict = {"name": "idle", "status": "True", "result": str(number)}
    status = {"currentState": "Ready", "desiredState": "Ready", "podUid": "0" * 36}
    return json.dumps({"status": {**status, "serviceQualitiesConditions": [verdict]}}).encode()


async def fill(
    session: aiohttp.ClientSession, path: str, make: Callable[[int], dict[str, Any]], number: int
) -> float:
    """Create objects; return the rate per second."""
    indices = iter(range(number))

    async def create() -> None:
        for index in indices:
            async with session.post(path, json=make(index)) as response:
                response.raise_for_status()
                await response.read()

    begin = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(WRITERS):
            tasks.create_task(create())
    return number / (perf_counter() - begin)


async def list_seconds(session: aiohttp.ClientSession) -> tuple[float, float]:
    """Return how long a list of everything takes: the slowest of three, and its megabytes."""
    slowest, size = 0.0, 0
    for _ in range(3):
        begin = perf_counter()
        async with session.get(PATH) as response:
            size = len(await response.read())
        slowest = max(slowest, perf_counter() - begin)
    return slowest, size / 1e6


async def table_seconds(session: aiohttp.ClientSession) -> float:
    """Return how long `kubectl get pods` waits for its table."""
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    begin = perf_counter()
    async with session.get(PATH, headers=headers) as response:
        await response.read()
    return perf_counter() - begin


async def watch_lag(session: aiohttp.ClientSession) -> tuple[float, float, int]:
    """Write at the rate; return the largest lag, the real rate, and the events seen in all."""
    written: dict[str, float] = {}
    seen: list[tuple[str, float]] = []
    version = (await _json(session, f"{SERVERS_PATH}?limit=1"))["metadata"]["resourceVersion"]
    ready = asyncio.Semaphore(0)

    async def watch() -> None:
        decode = msgspec.json.Decoder(_Event).decode
        params = {"watch": "1", "resourceVersion": version}
        async with session.get(SERVERS_PATH, params=params) as response:
            ready.release()
            count, rest = 0, b""
            # Whole pieces: taking lines off the stream one by one is slower than the server.
            async for piece in response.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                now = perf_counter()
                seen.extend((decode(line).object.metadata.resourceVersion, now) for line in lines)
                count += len(lines)
                if count == EVENTS:
                    return

    async with asyncio.TaskGroup() as tasks:
        for _ in range(WATCHERS):
            tasks.create_task(watch())
        for _ in range(WATCHERS):
            await ready.acquire()
        begin = perf_counter()
        numbers = iter(range(EVENTS))
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(_write(session, numbers, begin, written))
        seconds = perf_counter() - begin
    lag = max(at - written[version] for version, at in seen)
    return lag, EVENTS / seconds, len(seen)


async def _write(
    session: aiohttp.ClientSession,
    numbers: Any,
    begin: float,
    written: dict[str, float],
) -> None:
    """Send each patch when it is due, and note when its answer came."""
    headers = {"Content-Type": "application/merge-patch+json"}
    decode = msgspec.json.Decoder(_Object).decode
    for number in numbers:
        await asyncio.sleep(begin + number / EVENTS_PER_SECOND - perf_counter())
        url = f"{SERVERS_PATH}/game-{number % SERVERS:05}/status"
        sent = perf_counter()
        async with session.patch(url, data=status_patch(number), headers=headers) as response:
            body = await response.read()
        written[decode(body).metadata.resourceVersion] = sent


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        response.raise_for_status()
        return await response.json()


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    msg = f"process {pid} has no memory"
    raise RuntimeError(msg)


_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


async def measure(server: RunningApiServer) -> list[Row]:
    """Return all rows."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(
        server.url, connector=connector, headers=headers, timeout=_NO_TIMEOUT
    ) as session:
        created = await fill(session, PATH, pod, PODS)
        listed, size = await list_seconds(session)
        table = await table_seconds(session)
        filled = resident_megabytes(server.process.pid)
        await fill(session, SERVERS_PATH, game_server, SERVERS)
        busy, own = cpu_seconds(server.process.pid), cpu_seconds(os.getpid())
        lag, rate, seen = await watch_lag(session)
        busy = cpu_seconds(server.process.pid) - busy
        own = cpu_seconds(os.getpid()) - own
        after = resident_megabytes(server.process.pid)
    return [
        Row(f"create {PODS} pods", created, "1/s"),
        Row(f"list of {PODS} pods ({size:.1f} MB)", listed, "s", 1.0),
        Row(f"table of {PODS} pods", table, "s", 1.0),
        Row(f"RSS with {PODS} pods", filled, "MiB", 400),
        Row("status writes to GameServers", rate, "1/s", EVENTS_PER_SECOND * 0.95, at_least=True),
        Row(f"events seen by {WATCHERS} watchers", seen, "", WATCHERS * EVENTS, at_least=True),
        Row(f"largest lag of {WATCHERS} watchers", lag, "s", 1.0),
        Row("RSS after the events", after, "MiB", 400),
        Row("server's share of a core in the events", busy * rate / EVENTS, "", 1.0),
        Row("this process's share of a core", own * rate / EVENTS, "", 1.0),
    ]


def main() -> int:
    """Measure and print; return 1 when a limit is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        server = start_apiserver(Path(folder) / "apiserver", sorted(DEFINITIONS.glob("*.yaml")))
        try:
            rows = asyncio.run(measure(server))
        finally:
            server.stop()
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
