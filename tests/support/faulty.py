"""An API server that fails on purpose, and aggregators on it: one namespace for each test."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from aggregator.app import Aggregator
from aggregator.kube.client import HttpKubeClient
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import LEASES, ObjectKey, Resource
from aggregator.kube.transport import Json, KubeClient
from aggregator.ledger import Accepted
from aggregator.settings import read_settings
from shared.clock import monotonic_seconds, utc_now
from shared.protocol.report import Report
from tests.support.apiserver import RunningApiServer

# The faults strike this user only, never the test that looks on.
AGGREGATOR_TOKEN, AGGREGATOR = "aggregator-token", "aggregator"
LEASE = "gamekeeper-aggregator"
SETTLE_SECONDS = 90.0


@dataclass(frozen=True)
class Faulty:
    """One namespace of the server.

    Attributes:
        kube: the client of the test, which meets no faults.
        kubeconfig: of the client that does.
        namespace: of the test.
    """

    server: RunningApiServer
    session: aiohttp.ClientSession
    kube: HttpKubeClient
    kubeconfig: str
    namespace: str

    async def order(self, action: str, **rule: Any) -> int:
        """Put a fault in force and return its number."""
        body = {"action": action, "user": AGGREGATOR, "namespace": self.namespace, **rule}
        async with self.session.post("/control/faults", json=body) as answer:
            assert answer.status == 201, await answer.text()
            return int((await answer.json())["id"])

    async def end(self, rule: int) -> None:
        """Take a fault out of force."""
        async with self.session.delete(f"/control/faults/{rule}") as answer:
            assert answer.status == 200

    async def hits(self) -> list[int]:
        """Return how often each fault struck."""
        async with self.session.get("/control/faults") as answer:
            return [fault["hits"] for fault in (await answer.json())["faults"]]

    async def all(self, resource: Resource) -> list[Json]:
        """Return what is stored."""
        return [json.loads(raw) for raw in (await self.kube.list(resource, self.namespace)).items]

    async def names(self, resource: Resource) -> list[str]:
        """Return the names of what is stored."""
        return sorted(item["metadata"]["name"] for item in await self.all(resource))

    async def give_lease_to(self, holder: str, seconds: int = 15) -> None:
        """Write another name, or nobody's, into the lease; it lasts for that long."""
        key = ObjectKey(self.namespace, LEASE)
        spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds if holder else 1}
        await self.kube.patch(LEASES, key, MergePatch({"spec": spec}))


async def until(condition: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Return once `await condition()` equals `wanted`; say what it was if it never does."""
    seen = await condition()
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            while seen != wanted:
                await asyncio.sleep(0.02)
                seen = await condition()
    except TimeoutError:
        pytest.fail(f"{seen} instead of {wanted}")


@asynccontextmanager
async def aggregating(
    faulty: Faulty, client: KubeClient, *, succeeds: bool = False, **settings: str
) -> AsyncIterator[Aggregator]:
    """Give a running aggregator of the namespace, on free ports of loopback.

    Args:
        faulty: the namespace.
        client: of the aggregator.
        succeeds: it finds the lease in its own name, whoever led before. A lease of nobody is no
            way to have it lead: the former leader could be the first to take it, and lead again.
        settings: names without prefix and their texts.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    given = {
        "NAMESPACE": faulty.namespace,
        "AGENT_IMAGE": "agent:1",
        "REPORT_URLS": f"http://127.0.0.1:{port}",
        "REPORT_ADDRESS": "127.0.0.1",
        "REPORT_PORT": port,
        "HEALTH_ADDRESS": "127.0.0.1",
        "HEALTH_PORT": "0",
        "STATUS_PORT": "0",
    } | settings
    stop = asyncio.Event()
    aggregator = Aggregator(
        read_settings({f"GAMEKEEPER_{name}": text for name, text in given.items()}), client
    )
    if succeeds:
        await faulty.give_lease_to(aggregator._election._identity)
    async with asyncio.TaskGroup() as group:
        group.create_task(aggregator.run(stop))
        yield aggregator
        stop.set()


async def leads(aggregator: Aggregator) -> bool:
    """Tell whether its controllers run."""
    return aggregator._leadership.leading and aggregator._present.term is not None


def deliver(aggregator: Aggregator, key: ObjectKey, whole: Report) -> None:
    """Let the agent of a pod report, as the intake does once it has accepted that."""
    ledger = aggregator._caches.ledger
    ledger.accept(Accepted(whole, utc_now(), changed=True), monotonic_seconds())
    aggregator._present.report_accepted(key, True)
