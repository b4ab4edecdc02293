"""One pod from its binding to its end.

Here: sandbox, volumes, the order of init containers, sidecars and containers, status reports,
termination. Not here: one container's restarts (container.py), which pods there are (pods.py).
Not pure.
Source: Kubernetes documentation, "Pod Lifecycle" (termination) and "Sidecar Containers".
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from localcluster.kubelet import volumes
from localcluster.kubelet.container import Container
from localcluster.kubelet.fields import ConfigurationError, Json
from localcluster.kubelet.launcher_client import LauncherClient, LaunchError, Process
from localcluster.kubelet.messages import CreateSandbox
from localcluster.kubelet.status import PodState, build_status, is_sidecar
from localcluster.kubelet.tokens import Token, keep_token, request_token
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError, TerminalError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from localcluster.kubelet.api import ApiClient
    from localcluster.kubelet.preparation import Preparation
    from localcluster.kubelet.volumes import TokenFile

_RETRY_SECONDS = 1.0
_SIDECAR_GRACE_SECONDS = 2.0  # kubelet's least for what is stopped after the containers
_DEFAULT_GRACE_SECONDS = 30.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PodEnvironment:
    """What a pod worker works with.

    Args:
        api: the API server.
        launcher: starts sandboxes and processes.
        preparation: of this pod.
        log_folder: of this pod.
    """

    api: ApiClient
    launcher: LauncherClient
    preparation: Preparation
    log_folder: Path


class PodWorker:
    """Runs one pod (one uid). `run` returns when nothing of it is left on this machine."""

    def __init__(self, pod: Json, around: PodEnvironment) -> None:
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self._around = around
        self._api = around.api
        self._launcher = around.launcher
        self._preparation = around.preparation
        self._started_at = utc_now()
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._deadline: float | None = None
        self._gone = False
        self._hurry: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sandbox: Process | None = None
        self._conditions: list[Json] = pod.get("status", {}).get("conditions", [])
        spec = pod["spec"]
        policy = spec.get("restartPolicy", "Always")
        self.init = [
            # A plain init container is tried again under every policy but Never.
            self._container(c, "Always" if is_sidecar(c) else _init_policy(policy))
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

    def find(self, name: str) -> Container | None:
        """Return the container with this name."""
        return next((c for c in [*self.main, *self.init] if c.name == name), None)

    def update(self, pod: Json) -> None:
        """Take note of a newer state of the API object."""
        self.pod = pod
        metadata = pod["metadata"]
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
            reporter = tasks.create_task(self._report())
            life = tasks.create_task(self._live())
            await self._ending.wait()
            life.cancel()
            await self._terminate()
            reporter.cancel()
        if not self._gone:
            await self._delete_object()
        shutil.rmtree(self._preparation.folders.pod, ignore_errors=True)
        shutil.rmtree(self._around.log_folder, ignore_errors=True)
        self._log.info("pod ended")

    async def kill(self) -> None:
        """Kill every process of the pod now: the kubelet ends."""
        if self._sandbox is not None:
            await self._launcher.remove_sandbox(self.uid)
            await self._sandbox.wait()

    async def _live(self) -> None:
        """Bring the pod up and keep it running; ends by itself only when all work is done."""
        async with asyncio.TaskGroup() as tasks:
            await self._prepare_volumes(tasks)
            await self._create_sandbox()
            sidecars = []
            for container in self.init:
                if is_sidecar(container.spec):
                    sidecars.append(tasks.create_task(container.supervise(self._preparation)))
                    await container.started.wait()
                elif await container.supervise(self._preparation) != 0:
                    break  # restartPolicy Never: the pod has failed
            else:
                running = [tasks.create_task(c.supervise(self._preparation)) for c in self.main]
                await asyncio.wait(running)
            # The containers are done for good, so the sidecars have nobody to serve.
            for sidecar in sidecars:
                sidecar.cancel()
            await self._stop(reversed([c for c in self.init if is_sidecar(c.spec)]))

    async def _prepare_volumes(self, tasks: asyncio.TaskGroup) -> None:
        folders = self._preparation.folders
        while True:
            try:
                folders.pod.mkdir(parents=True, exist_ok=True)
                self._preparation.write_hosts()
                tokens = await self._fill_volumes()
            except (AppError, ConfigurationError, OSError) as error:
                self._explain("ContainerCreating", f"volumes: {error}")
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                break
        for wanted, folder, token in tokens:
            place = (folder, token)
            tasks.create_task(keep_token(self._api, self.pod, wanted, place, self._warn))

    async def _fill_volumes(self) -> list[tuple[TokenFile, Path, Token]]:
        declared = self.pod["spec"].get("volumes", [])
        references = await self._preparation.read(volumes.referenced_names(declared))
        tokens = []
        for volume in declared:
            folder = self._preparation.folders.volumes / volume["name"]
            content = volumes.plan_files(volume, self._preparation.facts, references)
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777 if "emptyDir" in volume else 0o755)
            for wanted in content.tokens:
                token = await request_token(self._api, self.pod, wanted)
                content.files[wanted.path] = token.value.encode()
                tokens.append((wanted, folder, token))
            volumes.write_files(folder, content.files)
        return tokens

    async def _create_sandbox(self) -> None:
        spec, metadata = self.pod["spec"], self.pod["metadata"]
        mount_point = str(self._preparation.folders.mount_point)
        request = CreateSandbox(self.uid, spec.get("hostname") or metadata["name"], mount_point)
        while True:
            try:
                self._sandbox = await self._launcher.create_sandbox(request)
            except LaunchError as failure:
                self._explain("ContainerCreating", f"failed to create pod sandbox: {failure}")
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _terminate(self) -> None:
        await self._stop(self.main)
        if self._deadline is not None and not self._gone:
            self._deadline = max(self._deadline, monotonic_seconds() + _SIDECAR_GRACE_SECONDS)
        await self._stop(reversed(self.init))
        await self.kill()
        for container in [*self.main, *self.init]:
            container.close()

    async def _stop(self, containers: Iterable[Container]) -> None:
        """SIGTERM, wait for the deadline at most, then SIGKILL whatever the containers left."""
        running = [c for c in containers if c.process is not None]
        if self._deadline is None or self._deadline > monotonic_seconds():
            for container in running:
                await container.terminate()
            await self._wait_for_exits([c.process.exited for c in running if c.process])
        for container in running:
            await container.kill()

    async def _wait_for_exits(self, exits: list[asyncio.Future[int]]) -> None:
        while pending := [exited for exited in exits if not exited.done()]:
            if self._deadline is None:
                default = self.pod["spec"].get(
                    "terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS
                )
                self._deadline = monotonic_seconds() + default
            left = self._deadline - monotonic_seconds()
            if left <= 0:
                return
            ends: list[asyncio.Future[Any]] = [*pending, self._hurry]
            await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if self._hurry.done():
                self._hurry = asyncio.get_running_loop().create_future()

    def _end_within(self, seconds: float) -> None:
        """Bring the deadline forward; a later deletion may shorten the grace, never extend it."""
        deadline = monotonic_seconds() + seconds
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            if not self._hurry.done():
                self._hurry.set_result(None)
        self._ending.set()

    async def _report(self) -> None:
        """Write the status whenever it differs from the last one written."""
        written: Json | None = None
        while True:
            self._changed.clear()
            status = self._status()
            if status != written and not self._gone:
                try:
                    # The uid makes it a conflict if another pod has the name by now.
                    body: Json = {"metadata": {"uid": self.uid}, "status": status}
                    await self._api.patch_status(self.path, body)
                except TransientError as error:
                    self._warn(error)
                    await asyncio.sleep(error.retry_after_seconds or _RETRY_SECONDS)
                    continue
                except TerminalError as error:
                    self._warn(error)
                written = status
            await self._changed.wait()

    async def _delete_object(self) -> None:
        while True:
            try:
                body: Json = {"metadata": {"uid": self.uid}, "status": self._status()}
                with contextlib.suppress(TerminalError):
                    await self._api.patch_status(self.path, body)
                await self._api.delete_now(self.path, self.uid)
            except TransientError as error:
                self._warn(error)
                await asyncio.sleep(error.retry_after_seconds or _RETRY_SECONDS)
            else:
                return

    def _status(self) -> Json:
        facts = self._preparation.facts
        state = PodState(
            started_at=self._started_at,
            pod_ip=facts.pod_ip,
            host_ip=facts.host_ip,
            init=tuple(container.state for container in self.init),
            main=tuple(container.state for container in self.main),
        )
        status = build_status(self.pod["spec"], state, self._conditions, utc_now())
        self._conditions = status["conditions"]
        return status

    def _explain(self, reason: str, message: str) -> None:
        for container in self._not_started():
            container.wait_because(reason, message)

    def _not_started(self) -> Iterator[Container]:
        return (c for c in [*self.init, *self.main] if not c.started.is_set())

    def _container(self, spec: Json, policy: str) -> Container:
        folder = self._around.log_folder / spec["name"]
        return Container(spec, policy, self._launcher, folder, self._changed.set)

    def _warn(self, error: AppError) -> None:
        self._log.warning("api request failed", reason=error.reason, message=error.message)


def _init_policy(policy: str) -> str:
    return "Never" if policy == "Never" else "OnFailure"
