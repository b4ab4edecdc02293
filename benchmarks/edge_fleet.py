"""A fleet for `benchmarks.edges`: an API server, an aggregator, and agents that are connections.

The API server and the aggregator are the real programs, each a process of its own. The pods were
made by the aggregator for its set, and are said to run here, as a kubelet would say it. An agent is
one kept-alive TLS connection with its pod's own token, because 1,000 interpreters would measure the
scheduler of this machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from aggregator.kube.batch import run_batch
from aggregator.kube.client import open_kube_client
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from localcluster.certificates import make_authority
from localcluster.cluster import free_port
from shared.clock import utc_now
from shared.protocol.paths import AGENT_CONTAINER_NAME, REPORTS_PATH, TOKEN_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from aggregator.kube.client import HttpKubeClient
    from tests.support.apiserver import RunningApiServer

NAMESPACE = "games"
SET = "minecraft"
WRITERS = 64
HEARTBEAT_SECONDS = 10.0
_ADDRESS = "127.0.0.1"
_START_SECONDS = 120.0
# A list of everything costs the API server more than the writes it waits for.
_LOOK_SECONDS = 2.0


def _set(servers: int) -> dict[str, Any]:
    quality = {
        "name": "idle",
        "containerName": "game",
        "exec": {"command": ["bash", "./idle.sh"]},
        "serviceQualityAction": [
            {"state": True, "opsState": "WaitToBeDeleted"},
            {"state": False, "opsState": "None"},
        ],
    }
    return {
        "apiVersion": GAMESERVERSETS.api_version,
        "kind": GAMESERVERSETS.kind,
        "metadata": {"name": SET},
        "spec": {
            "replicas": servers,
            "gameServerTemplate": {"spec": {"containers": [{"name": "game", "image": "game:1"}]}},
            "serviceQualities": [quality],
        },
    }


@dataclass
class Agent:
    """The connection of one agent.

    Attributes:
        name: of its pod.
        uid: of its pod.
        idle: what its probe says.
        revision: of the probe list that the aggregator gave it.
    """

    name: str
    uid: str
    token: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    idle: bool = False
    revision: str = ""
    sequence: int = 0
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def report(self) -> None:
        """Send a report that must be accepted."""
        async with self._one_at_a_time:
            self._send()
            status, body = await self._answered()
        if status != 200:
            raise RuntimeError(f"{self.name} was answered with {status}: {body.decode()}")
        self.revision = json.loads(body)["probesRevision"]

    async def beat(self, first_seconds: float) -> None:
        """Report what there is every heartbeat, until cancelled."""
        await asyncio.sleep(first_seconds)
        while True:
            await self.report()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    def _send(self) -> None:
        self.sequence += 1
        body = json.dumps(self._body()).encode()
        head = (
            f"POST {REPORTS_PATH} HTTP/1.1\r\nHost: {_ADDRESS}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)

    async def _answered(self) -> tuple[int, bytes]:
        """Return the status and the body of the answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head.split(b" ", 2)[1]), await self.reader.readexactly(length)

    def _body(self) -> dict[str, Any]:
        now = utc_now().isoformat()
        probe = {
            "name": "idle",
            "status": "True" if self.idle else "False",
            "exitCode": 0 if self.idle else 1,
            "startedAt": now,
            "durationSeconds": 0.0123,
            "transitionAt": now,
            "runs": self.sequence,
            "consecutive": 1,
        }
        return {
            "podUid": self.uid,
            "epoch": 1_780_000_000_000,
            "sequence": self.sequence,
            "sentAt": now,
            "agentVersion": "0.1.0",
            "probesRevision": self.revision,
            "containers": [{"name": "game", "running": True, "startedAt": now}],
            "probes": [probe],
        }


class Fleet:
    """Everything that runs, and the set with its servers.

    Attributes:
        kube: a client of an administrator.
        aggregator: process id.
        agents: by the name of the pod.
    """

    def __init__(self, kube: HttpKubeClient, aggregator: int) -> None:
        self.kube = kube
        self.aggregator = aggregator
        self.agents: dict[str, Agent] = {}

    async def make_servers(self, count: int) -> None:
        """Have the set made, and say that its pods run; returns when all GameServers are Ready."""
        await self.kube.create(GAMESERVERSETS, NAMESPACE, _set(count))
        await self._until(lambda: self._count(PODS), count)
        pods = await self.kube.list(PODS, NAMESPACE)
        await self.each([self._starter(json.loads(raw)) for raw in pods.items])
        await self._until(self._ready, count)

    async def connect(self, server: RunningApiServer, port: int, ca_file: Path) -> None:
        """Connect one agent for each pod; their first report says that they are not idle."""
        context = ssl.create_default_context(cafile=str(ca_file))
        trust = ssl.create_default_context(cafile=str(server.ca_file))
        headers = {"Authorization": f"Bearer {server.token}"}
        pods = await self.kube.list(PODS, NAMESPACE)
        async with aiohttp.ClientSession(server.url, headers=headers) as session:

            async def connect(pod: dict[str, Any]) -> None:
                name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
                token = await _token(session, trust, name, uid)
                reader, writer = await asyncio.open_connection(_ADDRESS, port, ssl=context)
                self.agents[name] = agent = Agent(name, uid, token, reader, writer)
                await agent.report()

            jobs = [lambda raw=raw: connect(json.loads(raw)) for raw in pods.items]
            await self.each(jobs)

    async def each(self, jobs: list[Callable[[], Awaitable[None]]]) -> None:
        """Do all jobs, some at a time."""
        failures = await run_batch(jobs, WRITERS)
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Hang up every agent."""
        for agent in self.agents.values():
            agent.writer.transport.abort()

    def _starter(self, pod: dict[str, Any]) -> Callable[[], Awaitable[None]]:
        async def start() -> None:
            now = utc_now().isoformat(timespec="seconds").replace("+00:00", "Z")
            kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
            conditions = [
                {"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds
            ]
            running = {"ready": True, "started": True, "restartCount": 0, "imageID": "game:1"}
            game = {"name": "game", "image": "game:1", "containerID": "containerd://1"} | running
            agent = {"name": AGENT_CONTAINER_NAME, "image": "agent:1"} | running
            status = {
                "phase": "Running",
                "conditions": conditions,
                "containerStatuses": [game],
                "initContainerStatuses": [agent],
                "startTime": now,
            }
            key = ObjectKey(NAMESPACE, pod["metadata"]["name"])
            await self.kube.patch(PODS, key, MergePatch({"status": status}), "status")

        return start

    async def _count(self, resource: Any) -> int:
        return len((await self.kube.list(resource, NAMESPACE)).items)

    async def _ready(self) -> int:
        listed = await self.kube.list(GAMESERVERS, NAMESPACE)
        states = [json.loads(raw).get("status", {}).get("currentState") for raw in listed.items]
        return states.count("Ready")

    async def _until(self, look: Callable[[], Awaitable[int]], expected: int) -> None:
        async with asyncio.timeout(_START_SECONDS):
            while await look() != expected:  # noqa: ASYNC110 - another process changes it
                await asyncio.sleep(_LOOK_SECONDS)


async def _token(session: aiohttp.ClientSession, trust: Any, pod: str, uid: str) -> str:
    """Return a projected token, as a kubelet asks for it."""
    reference = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}
    spec = {"audiences": [TOKEN_AUDIENCE], "expirationSeconds": 3600, "boundObjectRef": reference}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default/token"
    async with session.post(path, json=body, ssl=trust) as response:
        response.raise_for_status()
        token: str = (await response.json())["status"]["token"]
        return token


@asynccontextmanager
async def running_fleet(
    server: RunningApiServer, folder: Path, servers: int
) -> AsyncIterator[Fleet]:
    """Give a fleet whose agents have all reported once, for the time of the block."""
    authority = make_authority()
    certificate, key = authority.issue("reports", ["localhost"], [_ADDRESS])
    path, ca_file = folder / "reports.crt", folder / "ca.pem"
    path.write_bytes(certificate)
    path.with_suffix(".key").write_bytes(key)
    ca_file.write_bytes(authority.certificate_pem)
    port = free_port()
    settings = {
        "KUBECONFIG": str(server.kubeconfig),
        "NAMESPACE": NAMESPACE,
        "REPORT_ADDRESS": _ADDRESS,
        "REPORT_PORT": str(port),
        "REPORT_TLS_CERTIFICATE_FILE": str(path),
        "REPORT_TLS_KEY_FILE": str(path.with_suffix(".key")),
        "REPORT_CA_FILE": str(ca_file),
        "REPORT_URLS": f"https://{_ADDRESS}:{port}",
        "HEALTH_PORT": "0",
        "STATUS_PORT": "0",
        "STATUS_AUTHENTICATION": "off",
        "STATUS_ADDRESS": _ADDRESS,
        "AGENT_IMAGE": "agent:1",
        "LOG_LEVEL": "warning",
    }
    async with open_kube_client(str(server.kubeconfig)) as kube:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aggregator"),
            env=os.environ | {f"GAMEKEEPER_{name}": value for name, value in settings.items()},
        )
        fleet = Fleet(kube, process.pid)
        try:
            await fleet.make_servers(servers)
            await fleet.connect(server, port, ca_file)
            async with asyncio.TaskGroup() as tasks:
                share = HEARTBEAT_SECONDS / servers
                beats = [
                    tasks.create_task(agent.beat(number * share))
                    for number, agent in enumerate(fleet.agents.values())
                ]
                yield fleet
                for beat in beats:
                    beat.cancel()
        finally:
            fleet.close()
            process.terminate()
            await process.wait()
