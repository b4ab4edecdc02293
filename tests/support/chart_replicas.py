"""The chart's Deployment on a local cluster: its replicas are pods that the local kubelet runs.

What a cluster adds is added here: the controller that makes its pods (deployments.py), and the
Service that leads agents to the leader.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import sysconfig
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aggregator.kube.client import HttpKubeClient, open_kube_client
from aggregator.kube.resources import LEASES, PODS, ObjectKey
from cli.cluster import AGENT_IMAGE, agent_image
from cli.kubectl import Kubectl
from localcluster.cluster import ADDRESS, ClusterOptions, LocalCluster
from shared.api import names
from tests.support.deployments import POD_UID, Deployments, serves
from tests.support.forwarder import Forwarder
from tests.support.helm import CHART, NAMESPACE, RELEASE, of_kind, render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

Json = dict[str, Any]
REPOSITORY = Path(__file__).parents[2]
AGGREGATOR_IMAGE = "gamekeeper/aggregator:local"
# Short enough for a test, long enough for a machine whose cores are busy.
LEASE_SECONDS = 8


def aggregator_image() -> Json:
    """Return the image.yaml of the aggregator: this very source and its libraries."""
    folder, python = Path("/opt/gamekeeper"), Path("/opt/gamekeeper/python")
    prefix = Path(sys.base_prefix).resolve()
    program = python / Path(sys.executable).resolve().relative_to(prefix)
    libraries = Path(sysconfig.get_path("purelib")).resolve()
    mounts = {
        python: prefix,
        folder / "libraries": libraries,
        folder / "aggregator": REPOSITORY / "aggregator",
        folder / "shared": REPOSITORY / "shared",
    }
    return {
        "command": [str(program), "-S", "-m", "aggregator"],
        "env": {
            "PYTHONPATH": f"{folder}:{folder / 'libraries'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "LD_LIBRARY_PATH": str(python / "lib"),
        },
        "mounts": [{"source": str(here), "target": str(there)} for there, here in mounts.items()],
    }


@dataclass(frozen=True)
class Replicated:
    """A cluster whose aggregators are the pods of the chart's Deployment.

    Attributes:
        reports: the Service that agents report to.
        report_port: of that Service, on loopback.
    """

    cluster: LocalCluster
    kubectl: Kubectl
    kube: HttpKubeClient
    objects: list[Json]
    reports: Forwarder
    report_port: int

    async def apply(self, *bodies: Json) -> None:
        """Apply objects as a person does."""
        file = self.cluster.directory / "applied.yaml"
        file.write_text(yaml.safe_dump_all(bodies))
        await self.kubectl.run("apply", "--validate=strict", "-f", str(file))

    @property
    def selector(self) -> str:
        """Selects the pods of the Deployment."""
        (deployment,) = of_kind(self.objects, "Deployment").values()
        labels = deployment["spec"]["selector"]["matchLabels"]
        return ",".join(f"{name}={value}" for name, value in labels.items())

    async def replicas(self, further: str = "") -> list[Json]:
        """The pods of the Deployment, those that a further selector selects only."""
        selector = ",".join(filter(None, (self.selector, further)))
        return [json.loads(raw) for raw in (await self.kube.list(PODS, NAMESPACE, selector)).items]

    async def ready(self) -> list[str]:
        """The names of the replicas that are ready, and stay."""
        return sorted(each["metadata"]["name"] for each in await self.replicas() if serves(each))

    async def leaders(self) -> list[str]:
        """The names of the replicas that the Services select."""
        led = await self.replicas(f"{names.LEADER_LABEL}=true")
        return [each["metadata"]["name"] for each in led if serves(each)]

    async def holder(self) -> str:
        """Who holds the lease; no two processes have the same name."""
        body = await self.kube.get(LEASES, ObjectKey(NAMESPACE, f"{RELEASE}-aggregator"))
        return str((body or {"spec": {}})["spec"].get("holderIdentity", ""))

    async def address(self, pod: str) -> str:
        """The pod's IP address."""
        body = await self.kube.get(PODS, ObjectKey(NAMESPACE, pod))
        assert body is not None
        return str(body["status"]["podIP"])

    async def process(self, pod: str) -> int:
        """The process id, on this machine, of the aggregator in a pod."""
        body = await self.kube.get(PODS, ObjectKey(NAMESPACE, pod))
        assert body is not None
        wanted = f"{POD_UID}={body['metadata']['uid']}".encode()
        (found,) = [pid for pid in _processes() if wanted in _environment(pid)]
        return found


@asynccontextmanager
async def replicated(
    images: Mapping[str, Path], values: Json | None = None
) -> AsyncIterator[Replicated]:
    """Give a cluster in which the replicas of the chart are being started.

    Args:
        images: folders of the games' images.
        values: of the chart.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root: the replicas run as user 65532")

    # The port is in the chart, so it is taken before there is anybody to forward to.
    with socket.create_server((ADDRESS, 0)) as reserved:
        port = reserved.getsockname()[1]
        objects = render(_chosen(port) | (values or {}), "--skip-tests")
        programs = {AGENT_IMAGE: agent_image(), AGGREGATOR_IMAGE: aggregator_image()}
        options = ClusterOptions(dict(images), programs=programs, rbac=True)
        async with (
            LocalCluster(options) as cluster,
            open_kube_client(str(cluster.kubeconfig)) as kube,
        ):

            async def leader() -> tuple[str, int] | None:
                for pod in await world.leaders():
                    return await world.address(pod), 8443
                return None

            reports = Forwarder(leader)
            world = Replicated(cluster, Kubectl(cluster.kubeconfig), kube, objects, reports, port)
            await _install(world)
            api = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
            authority = Path(api["certificate-authority"]).read_text()
            async with reports.listening(reserved), asyncio.TaskGroup() as tasks:
                controller = Deployments(kube, api["server"], authority)
                running = tasks.create_task(controller.run())
                yield world
                running.cancel()


def _chosen(port: int) -> Json:
    """Return the values of the chart that a local cluster needs."""
    values: Json = {
        "aggregator.leaseSeconds": LEASE_SECONDS,
        "services.reports.port": port,
        # The Service's name cannot be resolved here, as in a pod on the host's network.
        "services.reports.clusterIP": ADDRESS,
    }
    for name, image in (("agent", AGENT_IMAGE), ("aggregator", AGGREGATOR_IMAGE)):
        repository, _, tag = image.rpartition(":")
        values |= {f"{name}.image.repository": repository, f"{name}.image.tag": tag}
        values[f"{name}.image.pullPolicy"] = "Never"
    return values


async def _install(world: Replicated) -> None:
    """Apply the definitions and the chart."""
    kubectl = world.kubectl
    await kubectl.run("create", "namespace", NAMESPACE)
    await kubectl.run("apply", "--server-side", "-f", str(CHART / "crds"))
    await kubectl.run("wait", "--for=condition=Established", "crd", "--all")
    await world.apply(*world.objects)


def _processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def _environment(pid: int) -> list[bytes]:
    """Return the variables of a process; none when it is gone or none of ours."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
