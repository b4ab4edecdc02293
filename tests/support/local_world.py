"""A set on the local API server, in virtual time: real requests and schemas, the test's clock.

The server runs in this process and is asked over HTTP by the aggregator's own client, so that
defaults, rules, subresources, preconditions and garbage collection are the local cluster's. Its
clock is the world's. Of a kubelet there is what `AutoscaledWorld` knows of one: pods start and end
at their pace.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from aiohttp.test_utils import TestServer

from aggregator.kube.client import open_kube_client
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import (
    AUTOSCALERS,
    GAMESERVERS,
    GAMESERVERSETS,
    PODS,
    ObjectKey,
    Resource,
)
from localcluster.apiserver.app import make_app
from localcluster.apiserver.authentication import User
from localcluster.apiserver.deletion import DeleteOptions
from localcluster.apiserver.state import ApiServer, make_api_server
from localcluster.apiserver.write_rules import WriteOptions
from shared.crds import custom_resource_definitions
from tests.support.autoscaled_world import AUTOSCALER_KEY, AutoscaledWorld, Pods
from tests.support.builders import NOW
from tests.support.world import SET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aggregator.kube.client import HttpKubeClient
    from tests.support.memory_cluster import Write
    from tests.support.world import Clock

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
_DATA = Path(__file__).parents[1] / "data"
_TOKEN = "admin-token"
_NODE = "node"


class LocalCluster:
    """The local API server: asked through the client, looked at and changed from within.

    Attributes:
        deleted: names of pods whose deletion was asked for, in order.
        writer: set by whoever writes; nothing is made of it here.
    """

    def __init__(self, client: HttpKubeClient, server: ApiServer) -> None:
        self.client = client
        self.server = server
        self.deleted: list[str] = []
        self.writer = ""
        self.on_write: Callable[[Write], None] = lambda _: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    async def delete(self, resource: Resource, key: ObjectKey, **options: Any) -> bool:
        done = await self.client.delete(resource, key, **options)
        if resource == PODS and key.name not in self.deleted:
            self.deleted.append(key.name)
        return done

    def all(self, resource: Resource) -> dict[ObjectKey, dict[str, Any]]:
        """The objects of the set's namespace by key; not to be changed."""
        found = self.server.verbs.store.collection((resource.group, resource.plural)).objects
        return {
            ObjectKey(*key): stored.object
            for key, stored in found.items()
            if key[0] == SET_KEY.namespace
        }

    def edit(self, resource: Resource, name: str, patch: dict[str, Any], part: str = "") -> None:
        """Change an object by a merge patch, as a person does, or a kubelet its `part` status."""
        body = (MergePatch.content_type, json.dumps(patch).encode())
        key = (SET_KEY.namespace, name)
        self.server.verbs.patch(self._served(resource), key, body, WriteOptions(), part)

    def bind(self, name: str) -> None:
        """Do the scheduler's work for a pod."""
        target = {"target": {"kind": "Node", "name": _NODE}}
        self.server.verbs.bind(self._served(PODS), (SET_KEY.namespace, name), target)

    def end(self, name: str) -> None:
        """Confirm the end of a pod; the garbage collector takes what it owned."""
        options = DeleteOptions(grace_seconds=0)
        self.server.verbs.delete(self._served(PODS), (SET_KEY.namespace, name), options)
        self.server.controllers.drain()

    def _served(self, resource: Resource) -> Any:
        return self.server.registry.find(resource.group, resource.version, resource.plural)


class LocalWorld(AutoscaledWorld):
    """An `AutoscaledWorld` on the local API server."""

    cluster: LocalCluster

    def edit_server(self, name: str, **spec: Any) -> None:
        self.cluster.edit(GAMESERVERS, name, {"spec": spec})

    def edit_set(self, **spec: Any) -> None:
        self.cluster.edit(GAMESERVERSETS, SET_KEY.name, {"spec": spec})

    def spec_replicas(self) -> int:
        return self.cluster.all(GAMESERVERSETS)[SET_KEY]["spec"]["replicas"]

    def status(self) -> dict[str, Any]:
        return self.cluster.all(AUTOSCALERS)[AUTOSCALER_KEY].get("status", {})

    async def scale_of_set(self) -> dict[str, Any]:
        return await self.cluster.get(GAMESERVERSETS, SET_KEY, "scale")

    async def scale_set(self, replicas: int) -> None:
        patch = MergePatch({"spec": {"replicas": replicas}})
        await self.cluster.patch(GAMESERVERSETS, SET_KEY, patch, "scale")

    def live(self) -> None:
        now = self.clock.seconds
        for key, pod in self.cluster.all(PODS).items():
            uid = pod["metadata"]["uid"]
            if "nodeName" not in pod["spec"]:
                self.cluster.bind(key.name)
            if "deletionTimestamp" in pod["metadata"]:
                if now - self.pods.marked.setdefault(uid, now) >= self.pods.grace_seconds:
                    self.cluster.end(key.name)
            elif pod["status"]["phase"] == "Pending" and (
                now - self.pods.born.setdefault(uid, now) >= self.pods.boot_seconds
            ):
                self.cluster.edit(PODS, key.name, {"status": _RUNNING}, "status")


_RUNNING = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@asynccontextmanager
async def local_cluster(
    clock: Clock, monkeypatch: Any, folder: Path
) -> AsyncIterator[LocalCluster]:
    """Serve an API server with our definitions and KEDA's for the time of the block.

    Args:
        clock: of the server.
        monkeypatch: of the test.
        folder: receives the kubeconfig.
    """
    monkeypatch.setattr(
        "localcluster.apiserver.state.utc_now", lambda: NOW + timedelta(seconds=clock.seconds)
    )
    definitions = [
        *custom_resource_definitions(),
        yaml.safe_load((_DATA / "keda-crd.yaml").read_text()),
    ]
    users = {_TOKEN: User("admin", ("system:masters",))}
    server = make_api_server(
        users, "kubelet", deepcopy(definitions), asyncio.get_running_loop().call_soon
    )
    async with TestServer(make_app(server)) as http:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(str(http.make_url("/")).rstrip("/"))))
        async with open_kube_client(str(kubeconfig)) as client:
            await client.create(NAMESPACES, "", {"metadata": {"name": SET_KEY.namespace}})
            yield LocalCluster(client, server)


async def seed_world(
    cluster: LocalCluster, clock: Clock, replicas: int, pods: Pods | None = None
) -> LocalWorld:
    """Create the set of the scaling seed with so many replicas, and the aggregator around it."""
    body = yaml.safe_load((_DATA / "seeds" / "scaling-minecraft.yaml").read_text())
    body["spec"]["replicas"] = replicas
    del body["metadata"]["namespace"]
    await cluster.create(GAMESERVERSETS, SET_KEY.namespace, body)
    return LocalWorld(cluster, clock, pods or Pods())


def _kubeconfig(url: str) -> dict[str, Any]:
    context = {"cluster": "local", "user": "admin"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": url}}],
        "users": [{"name": "admin", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "local", "context": context}],
        "current-context": "local",
    }
