"""A local cluster with the chart in it: its roles enforced, its account's token, its settings.

A Deployment has no controller here, so the aggregator is started with the environment that the
Deployment gives it; only addresses and ports are of this machine.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import yaml

from cli.cluster import AGENT_IMAGE, agent_image
from cli.kubectl import Kubectl
from cli.manifests import find_images
from localcluster.cluster import ADDRESS, ClusterOptions, LocalCluster, free_port
from localcluster.programs import HttpReady, ProgramSpec
from tests.support.helm import CHART, NAMESPACE, RELEASE, environment, of_kind, render
from tests.support.rights import Right, asked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

EXAMPLE = Path(__file__).parents[2] / "examples" / "minecraft" / "minecraft.yaml"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
POD = f"{RELEASE}-0"
REPOSITORY, _, TAG = AGENT_IMAGE.rpartition(":")


@dataclass(frozen=True)
class Installed:
    """A cluster with the chart in it and its aggregator running."""

    cluster: LocalCluster
    kubectl: Kubectl
    objects: list[dict[str, Any]]
    token: str
    status_port: int

    async def get(self, *arguments: str) -> Any:
        return json.loads(await self.kubectl.run("get", *arguments, "-o", "json"))

    async def apply(self, *bodies: dict[str, Any]) -> None:
        file = self.cluster.directory / f"objects-{uuid4()}.yaml"
        file.write_text(yaml.safe_dump_all(bodies))
        await self.kubectl.run("apply", "-f", str(file))

    async def asked(self) -> set[Right]:
        """What the aggregator has asked the API server for so far."""
        async with self._control() as session, session.get("/control/requests") as response:
            users = (await response.json())["users"]
        return asked(users[ACCOUNT])

    async def lose_answer(self, verb: str, resource: str) -> None:
        """Let the aggregator's next write of this kind happen without an answer."""
        rule = {"action": "close-after", "user": ACCOUNT, "count": 1}
        body = rule | {"verb": verb, "resource": resource}
        async with self._control() as session, session.post("/control/faults", json=body) as made:
            assert made.status == 201, await made.text()

    def _control(self) -> aiohttp.ClientSession:
        body = yaml.safe_load(self.cluster.kubeconfig.read_text())
        server = body["clusters"][0]["cluster"]
        context = ssl.create_default_context(cafile=server["certificate-authority"])
        headers = {"Authorization": f"Bearer {body['users'][0]['user']['token']}"}
        connector = aiohttp.TCPConnector(ssl=context)
        return aiohttp.ClientSession(server["server"], headers=headers, connector=connector)


@asynccontextmanager
async def installed(values: dict[str, Any] | None = None) -> AsyncIterator[Installed]:
    """Give a cluster in which the chart with these values is at work."""
    options = ClusterOptions(
        find_images([EXAMPLE], []), programs={AGENT_IMAGE: agent_image()}, rbac=True, control=True
    )
    port = free_port()
    # Pods here are on the network of this machine: the Service's address is that of loopback, and
    # its name cannot be resolved, as in a pod on the host's network.
    chosen = {
        "services.reports.port": port,
        "services.reports.clusterIP": ADDRESS,
        "agent.image.repository": REPOSITORY,
        "agent.image.tag": TAG,
        "agent.image.pullPolicy": "Never",
    }
    objects = render(chosen | (values or {}), "--skip-tests")
    async with LocalCluster(options) as cluster:
        kubectl = Kubectl(cluster.kubeconfig)
        await kubectl.run("create", "namespace", NAMESPACE)
        await kubectl.run("apply", "--server-side", "-f", str(CHART / "crds"))
        await kubectl.run("wait", "--for=condition=Established", "crd", "--all")
        manifest = cluster.directory / "chart.yaml"
        manifest.write_text(yaml.safe_dump_all([*objects, pod_of(objects)]))
        await kubectl.run("apply", "--validate=strict", "-f", str(manifest))
        token = await kubectl.run("-n", NAMESPACE, "create", "token", RELEASE)
        world = Installed(cluster, kubectl, objects, token.strip(), free_port())
        await cluster.start_program(_aggregator(world, port))
        yield world


def pod_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The pod of the Deployment: nothing runs in it here, but it is what the leader labels."""
    (deployment,) = of_kind(objects, "Deployment").values()
    template = deployment["spec"]["template"]
    metadata = template["metadata"] | {"name": POD, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _aggregator(world: Installed, port: int) -> ProgramSpec:
    cluster = world.cluster
    body = yaml.safe_load(cluster.kubeconfig.read_text())
    body["users"][0]["user"]["token"] = world.token
    kubeconfig = cluster.directory / "credentials" / "account.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(body))
    variables = environment(world.objects, POD)
    health = free_port()
    variables |= {
        "GAMEKEEPER_KUBECONFIG": str(kubeconfig),
        "GAMEKEEPER_REPORT_ADDRESS": ADDRESS,
        "GAMEKEEPER_REPORT_PORT": str(port),
        "GAMEKEEPER_HEALTH_ADDRESS": ADDRESS,
        "GAMEKEEPER_HEALTH_PORT": str(health),
        "GAMEKEEPER_STATUS_ADDRESS": ADDRESS,
        "GAMEKEEPER_STATUS_PORT": str(world.status_port),
        "GAMEKEEPER_KEDA_ADDRESS": ADDRESS,
        "GAMEKEEPER_KEDA_PORT": str(free_port()),
    }
    ready = HttpReady(lambda: f"http://{ADDRESS}:{health}/readyz")
    return ProgramSpec("aggregator", [sys.executable, "-m", "aggregator"], ready, variables)


async def until(look: Callable[[], Awaitable[Any]], expected: Any, seconds: float = 90) -> None:
    """Look until it is as expected; fails with what it was last."""
    actual = None
    try:
        async with asyncio.timeout(seconds):
            while (actual := await look()) != expected:
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"expected {expected}\nactual {actual}") from None
