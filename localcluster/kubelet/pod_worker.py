"""One pod from its binding to its end.

Here: sandbox, the order of init containers, sidecars and containers, deadlines, termination. Not
here: one container's restarts (container.py), volumes (pod_volumes.py), how the status reaches the
API (pod_report.py), which pods there are (pods.py). Not pure.
Source: Kubernetes documentation, "Pod Lifecycle" (termination), "Init Containers" and "Sidecar
Containers".
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from localcluster.kubelet.container import Container, Prepared, Surroundings
from localcluster.kubelet.deadline import Deadline
from localcluster.kubelet.events import EventRecorder, Record, reference
from localcluster.kubelet.handlers import HandlerRunner
from localcluster.kubelet.instance import Tools
from localcluster.kubelet.launcher_client import LauncherClient, LaunchError, Process
from localcluster.kubelet.left_behind import left_behind, rests_after, started_at
from localcluster.kubelet.messages import CreateSandbox
from localcluster.kubelet.pod_report import PodReport
from localcluster.kubelet.pod_volumes import PodVolumes
from localcluster.kubelet.status import (
    PodFailure,
    PodState,
    Waiting,
    build_status,
    is_sidecar,
)
from shared.clock import utc_now

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp

    from localcluster.kubelet.api import ApiClient
    from localcluster.kubelet.fields import Json
    from localcluster.kubelet.preparation import Preparation

_RETRY_SECONDS = 1.0
_DEFAULT_GRACE_SECONDS = 30.0
_OVERDUE = PodFailure(
    "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
)

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PodEnvironment:
    """What a pod worker works with.

    Args:
        api: the API server.
        launcher: starts sandboxes and processes.
        probing: for HTTP probes and hooks.
        recorder: of events.
        preparation: of this pod.
        log_folder: of this pod.
        claims: holds the folders of persistent volume claims.
    """

    api: ApiClient
    launcher: LauncherClient
    probing: aiohttp.ClientSession
    recorder: EventRecorder
    preparation: Preparation
    log_folder: Path
    claims: Path


class PodWorker:
    """Runs one pod (one uid). `run` returns when nothing of it is left on this machine."""

    def __init__(self, pod: Json, around: PodEnvironment) -> None:
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self._around = around
        self._launcher = around.launcher
        self._preparation = around.preparation
        self._started_at = started_at(pod, utc_now())
        self._ending = asyncio.Event()
        self._deadline: Deadline | None = None
        self._gone = False
        self._sandbox: Process | None = None
        self._failure: PodFailure | None = None
        self._report = PodReport(around.api, self.path, self.uid, self._status)
        self._handlers = HandlerRunner(around.launcher, around.probing, self.pod_ip)
        record = self._record_about()
        self._volumes = PodVolumes(around.api, lambda: self._preparation, around.claims, record)
        self._conditions: list[Json] = []
        spec = pod["spec"]
        policy = spec.get("restartPolicy", "Always")
        left = [left_behind(pod, c["name"], self._started_at) for c in spec["containers"]]
        # An earlier kubelet has run it to an end that its restart policy leaves as it is.
        self._is_over = all(rests_after(each, policy) for each in left)
        self.init = [
            # A plain init container is tried again under every policy but Never.
            self._container(c, "Always" if is_sidecar(c) else _init_policy(policy), init=True)
            for c in spec.get("initContainers", [])
        ]
        self.main = [self._container(c, policy) for c in spec["containers"]]
        self._log = log.bind(namespace=pod["metadata"]["namespace"], pod=pod["metadata"]["name"])

    @property
    def path(self) -> str:
        """Path of the pod in the API."""
        metadata = self.pod["metadata"]
        return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"

    @property
    def pod_ip(self) -> str:
        """Address of the pod."""
        return self._preparation.facts.pod_ip

    @property
    def sidecars(self) -> list[Container]:
        """The init containers that run beside the others, in the order of their start."""
        return [c for c in self.init if is_sidecar(c.spec)]

    def find(self, name: str) -> Container | None:
        """Return the container with this name."""
        return next((c for c in [*self.main, *self.init] if c.name == name), None)

    def update(self, pod: Json) -> None:
        """Take note of a newer state of the API object."""
        self.pod = pod
        self._preparation = replace(
            self._preparation, facts=replace(self._preparation.facts, pod=pod)
        )
        spec, metadata = pod["spec"], pod["metadata"]
        for declared in [*spec["containers"], *spec.get("initContainers", [])]:
            container = self.find(declared["name"])
            if container is not None:
                container.update(declared)
        self._report.compare(pod.get("status") or {})
        if "deletionTimestamp" in metadata:
            grace = metadata.get("deletionGracePeriodSeconds", _DEFAULT_GRACE_SECONDS)
            self._end_within(float(grace))

    def vanish(self) -> None:
        """The object is gone from the API (a forced deletion): kill at once, report nothing."""
        self._gone = True
        self._end_within(0)

    async def run(self) -> None:
        """Run the pod until it is deleted and everything of it is gone."""
        self.update(self.pod)
        async with asyncio.TaskGroup() as tasks:
            reporter = tasks.create_task(self._report.run())
            life = tasks.create_task(self._live())
            await self._ending.wait()
            life.cancel()
            if self._gone:
                reporter.cancel()
            # Its own clean-up comes first: it may be in the middle of stopping containers.
            await asyncio.wait([life])
            await self._terminate(self._deadline or Deadline(0))
            reporter.cancel()
        if not self._gone:
            await self._report.finish()
        shutil.rmtree(self._preparation.folders.pod, ignore_errors=True)
        shutil.rmtree(self._around.log_folder, ignore_errors=True)
        self._log.info("pod ended")

    async def kill(self) -> None:
        """Kill every process of the pod now: the kubelet ends."""
        if self._sandbox is not None:
            await self._launcher.remove_sandbox(self.uid)
            await self._sandbox.wait()

    async def _live(self) -> None:
        """Run the pod until its containers are done for good or its time is over."""
        if self._is_over:
            return
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        age = (utc_now() - self._started_at).total_seconds()
        try:
            async with asyncio.timeout(None if limit is None else limit - age):
                await self._run_to_completion()
        except TimeoutError:
            self._failure = _OVERDUE
            self._record_about()("Normal", _OVERDUE.reason, _OVERDUE.message)
            self._report.changed()
        await self._terminate(Deadline(self._grace_seconds))

    async def _run_to_completion(self) -> None:
        """Bring the pod up and keep it running; ends by itself only when all work is done."""
        await self._volumes.fill(lambda why: self._explain("ContainerCreating", why))
        await self._create_sandbox()
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(self._volumes.keep())
            sidecars: list[asyncio.Task[int]] = []
            if await self._initialize(tasks, sidecars):
                running = []
                for container in self.main:
                    running.append(tasks.create_task(container.supervise(self._prepare)))
                    # In order: a postStart hook holds the containers after it.
                    await container.attempted.wait()
                await asyncio.wait(running)
            # The containers are done for good, so the sidecars have nobody to serve.
            for task in (keeping, *sidecars):
                task.cancel()

    async def _initialize(
        self, tasks: asyncio.TaskGroup, sidecars: list[asyncio.Task[int]]
    ) -> bool:
        """Run the init containers in order; return False if one has failed for good."""
        for container in self.init:
            if is_sidecar(container.spec):
                sidecars.append(tasks.create_task(container.supervise(self._prepare)))
                await container.started.wait()
            elif await container.supervise(self._prepare) != 0:
                return False  # restartPolicy Never: the pod has failed
        return True

    async def _prepare(self, container: Json) -> Prepared:
        return await self._preparation(container)

    async def _create_sandbox(self) -> None:
        spec, metadata = self.pod["spec"], self.pod["metadata"]
        mount_point = str(self._preparation.folders.mount_point)
        request = CreateSandbox(self.uid, spec.get("hostname") or metadata["name"], mount_point)
        while True:
            try:
                self._sandbox = await self._launcher.create_sandbox(request)
            except LaunchError as failure:
                why = f"Failed to create pod sandbox: {failure}"
                self._explain("ContainerCreating", why)
                self._record_about()("Warning", "FailedCreatePodSandBox", why)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _terminate(self, deadline: Deadline) -> None:
        """Stop every container within the grace period, the sidecars after those they serve."""
        sidecars = self.sidecars
        plain = [c for c in [*self.init, *self.main] if c not in sidecars]
        async with asyncio.TaskGroup() as tasks:
            later: list[asyncio.Task[None]] = []
            for container in [*plain, *reversed(sidecars)]:
                after = tuple(later) if container in sidecars else ()
                why = f"Stopping container {container.name}"
                later.append(tasks.create_task(container.stop(deadline, why, after)))
        await self.kill()
        for container in [*self.main, *self.init]:
            container.close()

    @property
    def _grace_seconds(self) -> float:
        seconds = self.pod["spec"].get("terminationGracePeriodSeconds")
        return _DEFAULT_GRACE_SECONDS if seconds is None else float(seconds)

    def _end_within(self, seconds: float) -> None:
        """Begin or hasten the end; a later deletion may shorten the grace, never extend it."""
        if self._deadline is None:
            self._deadline = Deadline(seconds)
        self._deadline.bring_forward(seconds)
        self._ending.set()

    def _status(self) -> Json:
        facts = self._preparation.facts
        state = PodState(
            started_at=self._started_at,
            pod_ip=facts.pod_ip,
            host_ip=facts.host_ip,
            init=tuple(container.state for container in self.init),
            main=tuple(container.state for container in self.main),
            failure=self._failure,
        )
        own = {condition["type"] for condition in self._conditions}
        before = self.pod.get("status", {}).get("conditions") or []
        others = [condition for condition in before if condition["type"] not in own]
        status = build_status(self.pod["spec"], state, [*self._conditions, *others], utc_now())
        self._conditions = status["conditions"]
        return status

    def _explain(self, reason: str, message: str) -> None:
        for container in [*self.init, *self.main]:
            if isinstance(container.state.state, Waiting):
                container.wait_because(reason, message)

    def _record_about(self, container: str = "", *, init: bool = False) -> Record:
        """Return what records events about the pod, or about one container of it."""

        def record(kind: str, reason: str, message: str) -> None:
            if not self._gone:
                about = reference(self.pod, "Pod", container, init=init)
                self._around.recorder.record(about, kind, reason, message)

        return record

    def _container(self, spec: Json, policy: str, *, init: bool = False) -> Container:
        metadata = self.pod["metadata"]
        around = Surroundings(
            tools=Tools(
                launcher=self._launcher,
                handlers=self._handlers,
                changed=self._report.changed,
                record=self._record_about(spec["name"], init=init),
            ),
            log_folder=self._around.log_folder / spec["name"],
            grace_seconds=self._grace_seconds,
            pod=f"{metadata['name']}_{metadata['namespace']}({self.uid})",
        )
        before = left_behind(self.pod, spec["name"], utc_now())
        rests = self._is_over if init else rests_after(before, policy)
        return Container(spec, policy, around, before, rests=rests)


def _init_policy(policy: str) -> str:
    return "Never" if policy == "Never" else "OnFailure"
