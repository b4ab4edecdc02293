"""Aggregators as programs of one namespace, of which one leads, and what can be seen of them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, LEASES, PODS, ObjectKey
from localcluster.cluster import free_port
from shared.api import names
from shared.protocol.paths import REPORTS_PATH
from tests.support.faulty import LEASE, Faulty, until

# Short enough for tests that wait until it has ended, long enough for a machine with busy cores.
SHORT_LEASE_SECONDS = 6
LONG_LEASE_SECONDS = 30
STANDS_BY = (503, "1")


def set_of(name: str, replicas: int) -> dict[str, Any]:
    """Return a set whose pods no kubelet runs."""
    return {
        "apiVersion": GAMESERVERSETS.api_version,
        "kind": GAMESERVERSETS.kind,
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "gameServerTemplate": {"spec": {"containers": [{"name": "game", "image": "game:1"}]}},
        },
    }


@dataclass(frozen=True)
class Program:
    """A running aggregator.

    Attributes:
        name: of its pod, the beginning of its identity.
        reports: URL to report to.
        health: URL of its readiness.
        log: what it has said.
    """

    name: str
    process: asyncio.subprocess.Process
    reports: str
    health: str
    log: Path

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def answer(self) -> tuple[int, str | None] | None:
        """Status and Retry-After of a report by nobody known; None when it hangs up."""
        headers = {"Authorization": "Bearer made-up"}
        async with aiohttp.ClientSession() as session:
            try:
                async with session.post(self.reports, json={}, headers=headers) as answer:
                    await answer.read()
                    return answer.status, answer.headers.get("Retry-After")
            except aiohttp.ClientConnectionError:
                return None

    async def ready(self) -> bool:
        """Tell what its readiness probe would."""
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(self.health) as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False


class Pair:
    """The aggregators of a test's namespace.

    Args:
        faulty: the namespace; its faults strike who uses its kubeconfig.
        folder: for logs.
    """

    def __init__(self, faulty: Faulty, folder: Path) -> None:
        self.faulty = faulty
        self.folder = folder

    @asynccontextmanager
    async def running(
        self,
        name: str,
        kubeconfig: Path | None = None,
        lease_seconds: int = SHORT_LEASE_SECONDS,
        program: Sequence[str] = ("-m", "aggregator"),
    ) -> AsyncIterator[Program]:
        """Give an aggregator that is ready, with a pod of that name; it is killed with the block.

        Args:
            name: of its pod.
            kubeconfig: instead of that which meets the faults.
            lease_seconds: how long its lease holds.
            program: arguments of the interpreter.
        """
        pod = {"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
        await self.faulty.kube.create(PODS, self.faulty.namespace, pod)
        ports = free_port(), free_port()
        settings = {
            "KUBECONFIG": str(kubeconfig or self.faulty.kubeconfig),
            "NAMESPACE": self.faulty.namespace,
            "POD_NAME": name,
            "POD_NAMESPACE": self.faulty.namespace,
            "LEASE_SECONDS": str(lease_seconds),
            "AGENT_IMAGE": "agent:1",
            "REPORT_URLS": f"http://127.0.0.1:{ports[0]}",
            "REPORT_ADDRESS": "127.0.0.1",
            "REPORT_PORT": str(ports[0]),
            "HEALTH_ADDRESS": "127.0.0.1",
            "HEALTH_PORT": str(ports[1]),
            "STATUS_PORT": "0",
        }
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *program,
                env=os.environ | {f"GAMEKEEPER_{key}": text for key, text in settings.items()},
                stdout=output,
                stderr=output,
            )
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        running = Program(name, process, urls[0] + REPORTS_PATH, urls[1] + "/readyz", log)
        try:
            await until(running.ready, True)
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def lease(self) -> dict[str, Any]:
        """The spec of the lease."""
        body = await self.faulty.kube.get(LEASES, ObjectKey(self.faulty.namespace, LEASE))
        return body["spec"] if body is not None else {"holderIdentity": "", "leaseTransitions": 0}

    async def leader(self) -> str:
        """The pod in the lease."""
        return str((await self.lease())["holderIdentity"]).partition("_")[0]

    async def labelled(self) -> list[str]:
        """The pods that Services would send agents to."""
        selector = f"{names.LEADER_LABEL}=true"
        listed = await self.faulty.kube.list(PODS, self.faulty.namespace, selector)
        return [json.loads(raw)["metadata"]["name"] for raw in listed.items]

    async def create(self, name: str = "minecraft", replicas: int = 1) -> None:
        """Make a set."""
        body = set_of(name, replicas)
        await self.faulty.kube.create(GAMESERVERSETS, self.faulty.namespace, body)

    async def scale(self, replicas: int, name: str = "minecraft") -> None:
        """Ask for another number of servers."""
        key = ObjectKey(self.faulty.namespace, name)
        patch = MergePatch({"spec": {"replicas": replicas}})
        await self.faulty.kube.patch(GAMESERVERSETS, key, patch)

    async def servers(self) -> list[str]:
        """The names of the GameServers."""
        return await self.faulty.names(GAMESERVERS)

    async def identities(self) -> dict[str, str]:
        """The uid of each server's pod; those that are going are left out."""
        aggregators = {"first", "second"}
        return {
            each["metadata"]["name"]: each["metadata"]["uid"]
            for each in await self.faulty.all(PODS)
            if each["metadata"]["name"] not in aggregators
            and "deletionTimestamp" not in each["metadata"]
        }
