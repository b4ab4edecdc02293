"""From an edge in an agent to the patched GameServer: `make bench-edges`. A table, then JSON.

1,000 agents are connected (`edge_fleet`). An edge is a report with another verdict; it is over when
a watch of this process shows the GameServer with the opsState that it asks for, so the latency has
the network, the intake, the decision, the API server and its watch in it.

- 50 edges a second, each of another server, spread evenly.
- 1,000 edges at the same instant. A bare client then does as many writes of the same kinds and
  sizes to objects that nobody looks after, as fast as the API server takes them.
- Writes of an edge: what the watches show while the edges run, Events apart, and the set's status,
  which is written for many at a time; and of an idle fleet, whose agents go on reporting.

The API server here is the local one, a program of one core; the figure of one bare PATCH stands
beside, so that a reader can compare it with another.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import EVENTS, GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from aggregator.kube.transport import Selection
from benchmarks.apiserver import cpu_seconds
from benchmarks.edge_fleet import NAMESPACE, Agent, Fleet, running_fleet
from benchmarks.rows import Row, report
from shared.api import names
from tests.support.apiserver import start_apiserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aggregator.kube.resources import Resource

SERVERS = 1_000
EDGES_PER_SECOND = 50
EDGES = 1_000
IDLE_SECONDS = 60.0
BARE_PATCHES = 200
BARE = "bare"
DEFINITIONS = Path(__file__).parents[1] / "charts" / "gamekeeper" / "crds"
_PATIENCE_SECONDS = 120.0
_QUIET_SECONDS = 3.0
_WATCH_SECONDS = 3_600


class _Meta(msgspec.Struct):
    name: str = ""
    labels: dict[str, str] = {}


class _Spec(msgspec.Struct):
    ops_state: str = msgspec.field(name="opsState", default="")


class _Object(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _Event(msgspec.Struct):
    type: str
    object: _Object


_decode = msgspec.json.Decoder(_Event).decode


class _Witness:
    """Watches what is written, and tells when a server is as an edge wants it.

    Attributes:
        writes: events of the watches by resource since the last `clear`.
    """

    def __init__(self) -> None:
        self.writes: Counter[str] = Counter()
        self._wanted: dict[str, tuple[str, asyncio.Future[float]]] = {}
        self._last = perf_counter()

    def expect(self, agent: Agent) -> asyncio.Future[float]:
        """Return what will be the time at which the server is as the agent's verdict wants it."""
        shown: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        ops_state = names.OPS_STATE_WAIT_TO_BE_DELETED if agent.idle else names.OPS_STATE_NONE
        self._wanted[agent.name] = (ops_state, shown)
        return shown

    def see(self, resource: Resource, line: bytes) -> None:
        """Take in one line of a watch."""
        event = _decode(line)
        if event.type == "BOOKMARK":
            return
        self._last = perf_counter()
        self.writes[resource.plural] += 1
        if resource is not GAMESERVERS:
            return
        ops_state, shown = self._wanted.get(event.object.metadata.name, ("", None))
        if shown is not None and ops_state == event.object.spec.ops_state and not shown.done():
            shown.set_result(perf_counter())

    async def quiet(self) -> None:
        """Return when nothing was written for a while, at most after the patience is over."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while (rest := self._last + _QUIET_SECONDS - perf_counter()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(rest)

    @property
    def last(self) -> float:
        """When something was last written."""
        return self._last


@asynccontextmanager
async def _witness(fleet: Fleet) -> AsyncIterator[_Witness]:
    witness = _Witness()
    watched = (GAMESERVERS, PODS, GAMESERVERSETS, EVENTS)

    async def follow(resource: Resource, version: str) -> None:
        selection = Selection(resource, NAMESPACE)
        async for line in fleet.kube.watch(selection, version, _WATCH_SECONDS):
            witness.see(resource, line)

    async with asyncio.TaskGroup() as tasks:
        versions = [(await fleet.kube.list(each, NAMESPACE)).resource_version for each in watched]
        followers = [
            tasks.create_task(follow(resource, version))
            for resource, version in zip(watched, versions, strict=True)
        ]
        try:
            yield witness
        finally:
            for follower in followers:
                follower.cancel()


async def _edge(agent: Agent, witness: _Witness) -> float:
    """Turn the agent's verdict over and return how many seconds its server took to follow."""
    agent.idle = not agent.idle
    shown = witness.expect(agent)
    begin = perf_counter()
    await agent.report()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        return await shown - begin


async def measure_rate(fleet: Fleet, witness: _Witness) -> list[Row]:
    """Measure edges that come evenly."""
    order = list(fleet.agents.values())
    random.Random(1).shuffle(order)  # noqa: S311 - nothing secret
    witness.writes.clear()
    worked = cpu_seconds(fleet.aggregator)
    begin = perf_counter()

    async def edge(number: int) -> float:
        await asyncio.sleep(begin + number / EDGES_PER_SECOND - perf_counter())
        return await _edge(order[number % len(order)], witness)

    async with asyncio.TaskGroup() as tasks:
        edges = [tasks.create_task(edge(number)) for number in range(EDGES)]
    took = [task.result() * 1e3 for task in edges]
    await witness.quiet()
    written, seconds = witness.writes, witness.last - begin
    worked = (cpu_seconds(fleet.aggregator) - worked) / EDGES * 1e3
    percentiles = quantiles(took, n=100)
    name = f"{EDGES_PER_SECOND} edges/s"
    return [
        Row(f"{name}: GameServer patched, p50", median(took), "ms", 20),
        Row(f"{name}: GameServer patched, p99", percentiles[98], "ms", 100),
        Row("writes per edge", (written[GAMESERVERS.plural] + written[PODS.plural]) / EDGES, "", 3),
        Row("processor time of the aggregator per edge", worked, "ms"),
        Row("writes of the set's status", written[GAMESERVERSETS.plural] / seconds, "/s", 1),
        Row("Events per edge", written[EVENTS.plural] / EDGES, "", 2),
    ]


async def measure_burst(fleet: Fleet, witness: _Witness) -> list[Row]:
    """Measure edges of all servers at once, and the same writes by a bare client."""
    witness.writes.clear()
    begin = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        edges = [tasks.create_task(_edge(agent, witness)) for agent in fleet.agents.values()]
    patched = max(task.result() for task in edges)
    await witness.quiet()
    done = witness.last - begin
    bare = await _bare_seconds(fleet, witness.writes)
    return [
        Row(f"{SERVERS:,} edges at once: all GameServers patched", patched, "s"),
        Row("and all that follows from it written", done, "s"),
        Row("a bare client for as many writes", bare, "s"),
        Row("all patched, of the bare client's time", patched / bare, "", 1.5),
    ]


async def _bare_seconds(fleet: Fleet, written: Counter[str]) -> float:
    """Return how long writes of these kinds and numbers take when nobody decides anything."""
    await _copy(fleet)
    jobs: list[Any] = []
    servers, pods = written[GAMESERVERS.plural], written[PODS.plural]
    for number in range(servers):
        # Of each server one patch of its spec and metadata, and one of its status.
        key = ObjectKey(BARE, f"bare-{number // 2 % SERVERS}")
        subresource = "status" if number % 2 else None
        jobs.append(_patcher(fleet, GAMESERVERS, key, _server_patch(number), subresource))
    for number in range(pods):
        label = {"metadata": {"labels": {names.OPS_STATE_LABEL: f"State{number}"}}}
        jobs.append(_patcher(fleet, PODS, ObjectKey(BARE, f"bare-{number % SERVERS}"), label))
    jobs += [
        lambda number=number: fleet.kube.create(EVENTS, BARE, _event(number))
        for number in range(written[EVENTS.plural])
    ]
    begin = perf_counter()
    await fleet.each(jobs)
    return perf_counter() - begin


async def _copy(fleet: Fleet) -> None:
    """Make objects like those of the fleet that nobody looks after."""
    jobs = []
    for resource in (PODS, GAMESERVERS):
        listed = await fleet.kube.list(resource, NAMESPACE)
        for number, raw in enumerate(listed.items):
            body = json.loads(raw)
            meta = {key: body["metadata"].get(key, {}) for key in ("labels", "annotations")}
            copy = body | {"metadata": meta | {"name": f"bare-{number}"}}
            head = {"apiVersion": resource.api_version, "kind": resource.kind}
            jobs.append(lambda r=resource, b=head | copy: fleet.kube.create(r, BARE, b))
    await fleet.each(jobs)


def _server_patch(number: int) -> dict[str, Any]:
    if number % 2:
        return {"status": {"lastTransitionTime": "2026-06-01T12:00:00Z", "podUid": str(number)}}
    verdicts = json.dumps({"idle": {"podUid": "0" * 36, "status": "True", "resultHash": number}})
    return {
        "metadata": {"annotations": {names.VERDICTS_ANNOTATION: verdicts}},
        "spec": {"opsState": f"State{number}"},
    }


def _event(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"bare-{number}.{number:x}"},
        "involvedObject": {"kind": "GameServer", "namespace": BARE, "name": f"bare-{number}"},
        "reason": names.REASON_SERVICE_QUALITY_ACTION,
        "message": "idle=True(empty): opsState None -> WaitToBeDeleted",
        "type": "Normal",
        "count": 1,
    }


def _patcher(
    fleet: Fleet,
    resource: Resource,
    key: ObjectKey,
    body: dict[str, Any],
    subresource: str | None = None,
) -> Any:
    return lambda: fleet.kube.patch(resource, key, MergePatch(body), subresource)


async def measure_bare_patch(fleet: Fleet) -> Row:
    """Measure PATCHes one after the other, of an object that nobody looks after."""
    took = []
    for number in range(BARE_PATCHES):
        begin = perf_counter()
        body = MergePatch(_server_patch(2 * number))
        await fleet.kube.patch(GAMESERVERS, ObjectKey(BARE, "bare-0"), body)
        took.append((perf_counter() - begin) * 1e3)
    return Row("one bare PATCH, p50", median(took), "ms")


async def measure_idle(witness: _Witness) -> Row:
    """Measure the writes while agents report what they reported before."""
    await witness.quiet()
    witness.writes.clear()
    await asyncio.sleep(IDLE_SECONDS)
    return Row("writes per minute, idle fleet", witness.writes.total() * 60 / IDLE_SECONDS, "", 0)


async def measure(folder: Path) -> list[Row]:
    """Return all rows."""
    server = start_apiserver(folder / "apiserver", sorted(DEFINITIONS.glob("*.yaml")))
    try:
        for namespace in (NAMESPACE, BARE):
            server.kubectl("create", "namespace", namespace)
        async with running_fleet(server, folder, SERVERS) as fleet, _witness(fleet) as witness:
            await witness.quiet()
            rows = await measure_rate(fleet, witness)
            rows += await measure_burst(fleet, witness)
            rows.append(await measure_bare_patch(fleet))
            rows.append(await measure_idle(witness))
            return rows
    finally:
        server.stop()


def main() -> int:
    """Measure and print; return 1 when a limit is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(Path(folder)))
    return report(rows)


if __name__ == "__main__":
    sys.exit(main())
