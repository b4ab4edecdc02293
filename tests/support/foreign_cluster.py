"""A cluster that somebody else has made, as far as one machine can: nothing of ours runs on it.

Here: the local API server with RBAC, the process kubelet, and stand-ins for what `gamekeeper local`
does without: the controller of Deployments, and kube-proxy. So helm can install the chart on it,
its aggregators are pods with the token of their service account, and `pytest tests/cluster` can be
pointed at it as at any other cluster:

    python -m tests.support.foreign_cluster

prints the command and runs until Ctrl-C. What it cannot show: containerd, images that are pulled,
a network between nodes.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
import socket
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from aggregator.kube.client import open_kube_client
from aggregator.kube.resources import PODS, SERVICES
from cli.cluster import AGENT_IMAGE, agent_image
from localcluster.cluster import ADDRESS, ClusterOptions, LocalCluster
from shared.errors import AppError
from tests.support.chart_replicas import AGGREGATOR_IMAGE, aggregator_image
from tests.support.deployments import Deployments, list_all, serves
from tests.support.forwarder import Forwarder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aggregator.kube.client import HttpKubeClient

GAME_IMAGES = ("games/base:1", "games/base:2")


@dataclass(frozen=True)
class Foreign:
    """The cluster, and what pytest has to be told about it.

    Attributes:
        local: what it is made of.
        values: a file with values of the chart that this cluster needs.
        status_url: where the status API can be asked once it is installed.
    """

    local: LocalCluster
    values: Path
    status_url: str

    def pytest_options(self) -> tuple[str, ...]:
        """Return the options of `pytest tests/cluster`."""
        games = (f"--game-image={each}" for each in GAME_IMAGES)
        return (
            f"--kubeconfig={self.local.kubeconfig}",
            f"--agent-image={AGENT_IMAGE}",
            f"--aggregator-image={AGGREGATOR_IMAGE}",
            *games,
            f"--chart-values={self.values}",
            f"--status-url={self.status_url}",
        )


@dataclass(frozen=True)
class Backend:
    """Where a Service leads to: a port, by name, of a ready pod that it selects."""

    client: HttpKubeClient
    service: str
    port: str

    async def find(self) -> tuple[str, int] | None:
        """Return address and port; None where there is no such pod, or nobody can say."""
        # Who was sent nowhere tries again.
        with suppress(AppError):
            for service in await list_all(self.client, SERVICES):
                if service["metadata"]["name"] != self.service:
                    continue
                selector = ",".join(f"{k}={v}" for k, v in service["spec"]["selector"].items())
                for pod in filter(serves, await list_all(self.client, PODS, selector)):
                    return pod["status"]["podIP"], self._number(pod)
        return None

    def _number(self, pod: dict[str, Any]) -> int:
        (container,) = pod["spec"]["containers"]
        ports = {each["name"]: int(each["containerPort"]) for each in container["ports"]}
        return ports[self.port]


@asynccontextmanager
async def foreign_cluster(folder: Path) -> AsyncIterator[Foreign]:
    """Give such a cluster for the time of the block.

    Args:
        folder: receives files, empty.
    """
    # Nothing is in a game's image but what this machine has anyway: bash, coreutils, ps.
    (folder / "game").mkdir()
    (folder / "game" / "image.yaml").write_text(yaml.safe_dump({"command": ["bash"]}))
    aggregator = aggregator_image()
    # Tests start Python in it by its name, as the real image has it.
    python = Path(aggregator["command"][0]).parent
    aggregator["env"]["PATH"] = f"{python}:/usr/bin:/bin"
    programs = {AGENT_IMAGE: agent_image(), AGGREGATOR_IMAGE: aggregator}
    options = ClusterOptions(
        dict.fromkeys(GAME_IMAGES, folder / "game"), programs=programs, rbac=True, control=True
    )
    async with AsyncExitStack() as stack:
        # Ports are told to helm and to pytest before anybody listens: so they are held.
        reports, status = (
            stack.enter_context(socket.create_server((ADDRESS, 0))) for _ in range(2)
        )
        values = folder / "values.yaml"
        values.write_text(yaml.safe_dump(_values(reports.getsockname()[1])))
        local = await stack.enter_async_context(LocalCluster(options))
        body = yaml.safe_load(local.kubeconfig.read_text())["clusters"][0]["cluster"]
        authority = Path(body["certificate-authority"]).read_text()
        client = await stack.enter_async_context(open_kube_client(str(local.kubeconfig)))
        for reserved, name in ((reports, "reports"), (status, "status")):
            service = Forwarder(Backend(client, f"gamekeeper-{name}", name).find)
            await stack.enter_async_context(service.listening(reserved))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        running = tasks.create_task(Deployments(client, body["server"], authority).run())
        yield Foreign(local, values, f"https://localhost:{status.getsockname()[1]}")
        running.cancel()


def _values(port: int) -> dict[str, Any]:
    """Names of Services cannot be resolved here; a ClusterIP is an address of this machine."""
    return {"services": {"reports": {"clusterIP": ADDRESS, "port": port}}}


async def _run(folder: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with foreign_cluster(folder) as foreign:
        command = [sys.executable, "-m", "pytest", "tests/cluster", *foreign.pytest_options()]
        print(shlex.join(command), flush=True)
        await stop.wait()


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(prefix="foreign-") as made:
        asyncio.run(_run(Path(made)))
