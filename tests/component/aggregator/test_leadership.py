"""Two aggregators as programs: one leads, the other takes over, and a paused one harms nobody."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, LEASES, PODS, ObjectKey
from localcluster.cluster import free_port
from shared.api import names
from shared.protocol.paths import REPORTS_PATH
from tests.support.faulty import LEASE, Faulty, until

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]

# Short enough for a test, long enough for a machine whose cores are busy.
LEASE_SECONDS = 6
SET = {
    "apiVersion": GAMESERVERSETS.api_version,
    "kind": GAMESERVERSETS.kind,
    "metadata": {"name": "minecraft"},
    "spec": {
        "replicas": 1,
        "gameServerTemplate": {"spec": {"containers": [{"name": "game", "image": "game:1"}]}},
    },
}


@dataclass(frozen=True)
class Program:
    """A running aggregator.

    Attributes:
        name: of its pod, the beginning of its identity.
    """

    name: str
    process: asyncio.subprocess.Process
    reports: str
    health: str

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


class Pair:
    """Aggregators of one namespace, and what can be seen of them."""

    def __init__(self, faulty: Faulty, folder: Path) -> None:
        self.faulty = faulty
        self.folder = folder

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[Program]:
        """Give an aggregator program with a pod of that name; it is killed with the block."""
        pod = {"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
        await self.faulty.kube.create(PODS, self.faulty.namespace, pod)
        ports = free_port(), free_port()
        settings = {
            "KUBECONFIG": self.faulty.kubeconfig,
            "NAMESPACE": self.faulty.namespace,
            "POD_NAME": name,
            "POD_NAMESPACE": self.faulty.namespace,
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "AGENT_IMAGE": "agent:1",
            "REPORT_URLS": f"http://127.0.0.1:{ports[0]}",
            "REPORT_ADDRESS": "127.0.0.1",
            "REPORT_PORT": str(ports[0]),
            "HEALTH_ADDRESS": "127.0.0.1",
            "HEALTH_PORT": str(ports[1]),
            "STATUS_PORT": "0",
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "aggregator",
                env=os.environ | {f"GAMEKEEPER_{key}": text for key, text in settings.items()},
                stdout=log,
                stderr=log,
            )
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        program = Program(name, process, urls[0] + REPORTS_PATH, urls[1] + "/readyz")
        try:
            await until(lambda: ready(program), True)
            yield program
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def lease(self) -> dict[str, Any]:
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

    async def scale(self, replicas: int) -> None:
        key = ObjectKey(self.faulty.namespace, "minecraft")
        await self.faulty.kube.patch(
            GAMESERVERSETS, key, MergePatch({"spec": {"replicas": replicas}})
        )

    async def servers(self) -> list[str]:
        return await self.faulty.names(GAMESERVERS)


async def ready(program: Program) -> bool:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(program.health) as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


async def report_to(session: aiohttp.ClientSession, program: Program) -> tuple[int, str | None]:
    """Status and Retry-After of a report by nobody known."""
    headers = {"Authorization": "Bearer made-up"}
    async with session.post(program.reports, json={}, headers=headers) as answer:
        await answer.read()
        return answer.status, answer.headers.get("Retry-After")


@pytest.fixture
def pair(faulty: Faulty, tmp_path: Path) -> Pair:
    return Pair(faulty, tmp_path)


async def test_a_standby_is_ready_refuses_reports_and_takes_over_at_a_graceful_stop(
    pair: Pair,
) -> None:
    async with pair.running("first") as first, aiohttp.ClientSession() as session:
        await until(pair.labelled, ["first"])
        await pair.faulty.kube.create(GAMESERVERSETS, pair.faulty.namespace, SET)
        await until(pair.servers, ["minecraft-0"])
        async with pair.running("second") as second:
            # Readiness is no leadership: `running` has waited for it.
            assert await pair.leader() == "first"
            assert await report_to(session, first) == (401, None)
            assert await report_to(session, second) == (503, "1")
            released_at = asyncio.get_running_loop().time()
            first.signal(signal.SIGTERM)
            await until(pair.leader, "second")
            waited = asyncio.get_running_loop().time() - released_at
            # Far less than a lease: it was released, and not waited for.
            assert waited < LEASE_SECONDS
            assert await first.process.wait() == 0
            await until(pair.labelled, ["second"])
            await pair.scale(2)
            await until(pair.servers, ["minecraft-0", "minecraft-1"])
            assert (await pair.lease())["leaseTransitions"] == 1


async def test_a_paused_leader_is_replaced_and_writes_nothing_when_it_wakes(pair: Pair) -> None:
    async with pair.running("first") as first, pair.running("second") as second:
        await until(pair.labelled, ["first"])
        await pair.faulty.kube.create(GAMESERVERSETS, pair.faulty.namespace, SET)
        await until(pair.servers, ["minecraft-0"])
        first.signal(signal.SIGSTOP)
        # It sleeps with work to do: the set changes behind its back, and changes again.
        await pair.scale(2)
        await until(pair.leader, "second")
        await until(pair.servers, ["minecraft-0", "minecraft-1"])
        await until(pair.labelled, ["second"])
        before = await pair.lease()
        first.signal(signal.SIGCONT)
        async with aiohttp.ClientSession() as session:
            await until(lambda: report_to(session, first), (503, "1"))
            assert await report_to(session, second) == (401, None)
        after = await pair.lease()
        assert (after["holderIdentity"], after["leaseTransitions"]) == (
            before["holderIdentity"],
            before["leaseTransitions"],
        )
        assert await pair.labelled() == ["second"]
    woken = (pair.folder / "first.log").read_text().partition("leads no more")[2]
    assert '"changes"' not in woken
    assert "stands by" in woken


async def test_a_killed_leader_is_replaced_and_its_label_is_taken(pair: Pair) -> None:
    async with pair.running("first") as first, pair.running("second"):
        await until(pair.labelled, ["first"])
        first.signal(signal.SIGKILL)
        await first.process.wait()
        await until(pair.leader, "second")
        await until(pair.labelled, ["second"])
        await pair.faulty.kube.create(GAMESERVERSETS, pair.faulty.namespace, SET)
        await until(pair.servers, ["minecraft-0"])


async def test_a_leader_that_loses_its_lease_closes_the_connections_of_agents(pair: Pair) -> None:
    async with pair.running("first") as first:
        await until(pair.labelled, ["first"])
        _, _, address = first.reports.partition("//")
        host, _, port = address.partition("/")[0].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            head = f"POST {REPORTS_PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n"
            auth = "Content-Type: application/json\r\nAuthorization: Bearer made-up\r\n\r\n{}"
            writer.write((head + auth).encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 401")
            # An open connection waits for the next report: nothing more comes until it is closed.
            await pair.faulty.give_lease_to("somebody else")
            rest = await reader.read()
            assert reader.at_eof()
            assert rest.endswith(b"}")
        finally:
            writer.close()
            await writer.wait_closed()
        await until(pair.labelled, [])
