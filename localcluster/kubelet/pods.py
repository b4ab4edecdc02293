"""Which pods this kubelet runs: binds new ones to its node and keeps one worker per pod uid.

Here: the loop over list and watch. Not here: what a worker does (pod_worker.py). Not pure.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from localcluster.kubelet.fields import Json, PodFacts
from localcluster.kubelet.node import HOST_IP
from localcluster.kubelet.pod_worker import PodEnvironment, PodWorker
from localcluster.kubelet.preparation import PodFolders, Preparation
from shared.errors import AppError, TerminalError

if TYPE_CHECKING:
    from pathlib import Path

    from localcluster.kubelet.addresses import Addresses
    from localcluster.kubelet.api import ApiClient, Change
    from localcluster.kubelet.identities import Identities
    from localcluster.kubelet.images import Images
    from localcluster.kubelet.launcher_client import LauncherClient

_PODS = "/api/v1/pods"

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Machine:
    """What all pods of this kubelet share.

    Args:
        node_name: of this node.
        state_directory: for everything on disk.
        images: the mapping of images.
        identities: which users exist in the pods.
        launcher: starts sandboxes and processes.
        addresses: of the pods.
    """

    node_name: str
    state_directory: Path
    images: Images
    identities: Identities
    launcher: LauncherClient
    addresses: Addresses


class Pods:
    """The workers of this node's pods."""

    def __init__(self, api: ApiClient, machine: Machine) -> None:
        self._api = api
        self._machine = machine
        self._workers: dict[str, PodWorker] = {}
        self._binding: set[str] = set()

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """Return the worker of a pod that is not gone."""
        # The newest first: a force-deleted pod may still be ending beside its successor.
        for worker in reversed(self._workers.values()):
            metadata = worker.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return worker
        return None

    async def run(self) -> None:
        """Follow the pods for ever."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._api.follow(_PODS, self._on_list, self._on_change, _warn)

    async def kill_all(self) -> None:
        """Kill every process of every pod now.

        NB: the workers are taken before the first await, while `run` has not been cancelled yet.
        """
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers.values():
                tasks.create_task(worker.kill())

    async def _on_list(self, pods: list[Json]) -> None:
        listed = {pod["metadata"]["uid"] for pod in pods}
        for uid, worker in self._workers.items():
            if uid not in listed:
                worker.vanish()
        for pod in pods:
            self._see(pod)

    async def _on_change(self, change: Change) -> None:
        if not change.gone:
            self._see(change.item)
            return
        worker = self._workers.get(change.item["metadata"]["uid"])
        if worker is not None:
            worker.vanish()

    def _see(self, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        node = pod["spec"].get("nodeName")
        if uid in self._workers:
            self._workers[uid].update(pod)
        elif node == self._machine.node_name and not _is_over(pod):
            self._workers[uid] = worker = self._worker(pod)
            self._tasks.create_task(self._run(worker))
        elif not node and "deletionTimestamp" not in pod["metadata"] and uid not in self._binding:
            self._binding.add(uid)
            self._tasks.create_task(self._bind(pod))

    async def _run(self, worker: PodWorker) -> None:
        try:
            await worker.run()
        finally:
            del self._workers[worker.uid]
            self._machine.addresses.release(worker.pod_ip)

    async def _bind(self, pod: Json) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding"
        body: Json = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self._machine.node_name},
        }
        try:
            await self._bind_until_accepted(path, body)
        except TerminalError as error:
            # Deleted or bound meanwhile: the watch says so.
            _warn(error)
        finally:
            self._binding.discard(metadata["uid"])

    async def _bind_until_accepted(self, path: str, body: Json) -> None:
        while True:
            try:
                await self._api.create(path, body)
            except TerminalError:
                raise
            except AppError as error:
                _warn(error)
                await asyncio.sleep(1)
            else:
                return

    def _worker(self, pod: Json) -> PodWorker:
        machine = self._machine
        uid = pod["metadata"]["uid"]
        state = machine.state_directory
        facts = PodFacts(pod, machine.addresses.take(), HOST_IP, machine.node_name)
        folders = PodFolders(state / "pods" / uid, state / "root")
        preparation = Preparation(self._api, machine.images, machine.identities, facts, folders)
        around = PodEnvironment(self._api, machine.launcher, preparation, state / "logs" / uid)
        return PodWorker(pod, around)


def _is_over(pod: Json) -> bool:
    over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return over and "deletionTimestamp" not in pod["metadata"]


def _warn(error: AppError) -> None:
    log.warning("api request failed", reason=error.reason, message=error.message)
