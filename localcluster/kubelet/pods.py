"""Which pods this kubelet runs: one worker per uid of a pod that is bound to its node.

Here: the loop over list and watch. Not here: what a worker does (pod_worker.py), which pods are
bound here (binder.py). Not pure.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from localcluster.kubelet.fields import Json, PodFacts
from localcluster.kubelet.node import HOST_IP, read_capacity
from localcluster.kubelet.pod_worker import PodEnvironment, PodWorker
from localcluster.kubelet.preparation import PodFolders, Preparation

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp

    from localcluster.kubelet.addresses import Addresses
    from localcluster.kubelet.api import ApiClient, Change
    from localcluster.kubelet.binder import Binder
    from localcluster.kubelet.events import EventRecorder
    from localcluster.kubelet.identities import Identities
    from localcluster.kubelet.images import Images
    from localcluster.kubelet.launcher_client import LauncherClient
    from localcluster.kubelet.references import ReferenceReader
    from shared.errors import AppError

_PODS = "/api/v1/pods"
CLAIMS = "claims"
"""Folder of the persistent volume claims in the state directory; it outlives the kubelet."""

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
        probing: for HTTP probes and hooks.
        recorder: of events.
        references: reads config maps and secrets.
    """

    node_name: str
    state_directory: Path
    images: Images
    identities: Identities
    launcher: LauncherClient
    addresses: Addresses
    probing: aiohttp.ClientSession
    recorder: EventRecorder
    references: ReferenceReader


class Pods:
    """The workers of this node's pods."""

    def __init__(self, api: ApiClient, machine: Machine, binder: Binder) -> None:
        self._api = api
        self._machine = machine
        self._binder = binder
        self._workers: dict[str, PodWorker] = {}

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
        self._binder.keep_only(listed)
        for uid, worker in self._workers.items():
            if uid not in listed:
                worker.vanish()
        for pod in pods:
            self._see(pod)
        self._sweep(listed)

    async def _on_change(self, change: Change) -> None:
        if not change.gone:
            self._see(change.item)
            return
        uid = change.item["metadata"]["uid"]
        self._binder.forget(uid)
        if uid in self._workers:
            self._workers[uid].vanish()

    def _sweep(self, listed: set[str]) -> None:
        """Remove the folders of pods that ended while no kubelet ran."""
        for kind in ("pods", "logs"):
            for folder in (self._machine.state_directory / kind).iterdir():
                if folder.name not in listed and folder.name not in self._workers:
                    shutil.rmtree(folder, ignore_errors=True)

    def _see(self, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        node = pod["spec"].get("nodeName")
        if uid in self._workers:
            self._workers[uid].update(pod)
        elif node == self._machine.node_name and not _is_over(pod):
            self._workers[uid] = worker = self._worker(pod)
            self._tasks.create_task(self._run(worker))
        self._binder.see(pod)

    async def _run(self, worker: PodWorker) -> None:
        try:
            await worker.run()
        finally:
            del self._workers[worker.uid]
            self._machine.addresses.release(worker.pod_ip)

    def _worker(self, pod: Json) -> PodWorker:
        machine = self._machine
        uid = pod["metadata"]["uid"]
        state = machine.state_directory
        address = machine.addresses.take()
        facts = PodFacts(pod, address, HOST_IP, machine.node_name, read_capacity())
        folders = PodFolders(state / "pods" / uid, state / "root")
        around = PodEnvironment(
            api=self._api,
            launcher=machine.launcher,
            probing=machine.probing,
            recorder=machine.recorder,
            preparation=Preparation(
                machine.references, machine.images, machine.identities, facts, folders
            ),
            log_folder=state / "logs" / uid,
            claims=state / CLAIMS,
        )
        return PodWorker(pod, around)


def _is_over(pod: Json) -> bool:
    over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return over and "deletionTimestamp" not in pod["metadata"]


def _warn(error: AppError) -> None:
    log.warning("api request failed", reason=error.reason, message=error.message)
