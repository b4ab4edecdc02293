"""One container of a pod over its restarts.

Here: start, exit, restart with back-off, a new image, kill. Not here: hooks and probes of one run
(instance.py), the order of containers (pod_worker.py), what the pod's status says (status.py).
Not pure.
Source: Kubernetes documentation, "Pod Lifecycle", container restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from localcluster.kubelet.deadline import Deadline
from localcluster.kubelet.fields import ConfigurationError, Json
from localcluster.kubelet.images import LoadedImage, UnknownImage
from localcluster.kubelet.instance import Instance, Tools
from localcluster.kubelet.last_words import termination_message
from localcluster.kubelet.launcher_client import LaunchError
from localcluster.kubelet.log_file import ContainerLog
from localcluster.kubelet.status import (
    CRASH_LOOP_BACK_OFF,
    ContainerState,
    Running,
    Terminated,
    Waiting,
)
from shared.backoff import Backoff
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from localcluster.kubelet.messages import Program, StartContainer

# kubelet's: the first restart is at once, then 10 s doubling to 5 min, forgotten after 10 min.
_BACK_OFF = Backoff(base_seconds=10, cap_seconds=300)
_STABLE_SECONDS = 600
_CONFIGURATION_RETRY_SECONDS = 2.0
_START_ERROR_CODE = 128  # containerd's exit code of a command that cannot be executed
_DRAIN_SECONDS = 0.5  # every writer is dead by then; what is left is in the pipe


@dataclass(frozen=True, slots=True)
class Prepared:
    """A container that is ready to start.

    Args:
        request: for the launcher.
        image: where it comes from.
        termination_log: host file whose content is the termination message.
        program: what runs; exec takes its environment, user and folder.
    """

    request: StartContainer
    image: LoadedImage
    termination_log: Path
    program: Program


class Preparer(Protocol):
    """Resolves a container against its pod, its image and the API."""

    async def __call__(self, container: Json) -> Prepared:
        """Return what to start; raises ConfigurationError, UnknownImage, InvalidInput."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container takes from its pod.

    Args:
        tools: for its instances.
        log_folder: gets one file per instance.
        grace_seconds: the pod's grace period, for stops that the kubelet decides on.
        pod: name, namespace and uid in one word, for events.
    """

    tools: Tools
    log_folder: Path
    grace_seconds: float
    pod: str


class Container:
    """A container; `supervise` runs it, `state` says how it is.

    Args:
        spec: of the pod's spec.
        restart_policy: Always, OnFailure or Never.
        around: see there.
        before: how an earlier kubelet left it (restarts, last end); None for a new one.
        rests: whether it stays as it was left.
    """

    def __init__(
        self,
        spec: Json,
        restart_policy: str,
        around: Surroundings,
        before: ContainerState | None = None,
        *,
        rests: bool = False,
    ) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.log: ContainerLog | None = None
        self.previous_log: ContainerLog | None = None
        self.attempted = asyncio.Event()  # the first start is over, well or not
        self.started = asyncio.Event()  # an instance has passed its startup probe
        self._policy = restart_policy
        self._tools = around.tools._replace(changed=self._on_change)
        self._around = around
        self._instance: Instance | None = None
        self._now: Waiting | Running | Terminated = Waiting("PodInitializing")
        self._last = before.last if before else None
        if before is not None and rests:
            self._now, self._last = before.state, None
        self._instances = before.restart_count + 1 if before else 0  # started so far
        self._failures = 0
        self._new_image = asyncio.Event()
        self._id = before.container_id if before else ""
        self._image_id = before.image_id if before else ""
        self._termination_log: Path | None = None

    @property
    def state(self) -> ContainerState:
        """How the container is now."""
        now = self._now
        if isinstance(now, Running) and self._instance is not None:
            probes = self._instance.probes
            now = replace(now, is_started=probes.is_started, is_ready=probes.is_ready)
        return ContainerState(
            name=self.name,
            state=now,
            last=self._last,
            restart_count=max(0, self._instances - 1),
            has_run=self.started.is_set(),
            container_id=self._id,
            image=self.spec["image"],
            image_id=self._image_id,
        )

    @property
    def instance(self) -> Instance | None:
        """What runs now; None between two runs."""
        return self._instance

    def update(self, spec: Json) -> None:
        """Take over a changed spec; a new image restarts the container, and only that does."""
        if spec["image"] != self.spec["image"]:
            self._new_image.set()
        self.spec = spec

    def wait_because(self, reason: str, message: str = "") -> None:
        """Show why the container does not run yet."""
        waiting = Waiting(reason, message)
        if waiting != self._now:
            self._now = waiting
            self._tools.changed()

    async def supervise(self, prepare: Preparer) -> int:
        """Run the container until its restart policy lets it rest; return its last exit code."""
        if isinstance(self._now, Terminated):
            self.attempted.set()
            return self._now.exit_code
        while True:
            began = monotonic_seconds()
            code = await self._run_once(prepare)
            self.attempted.set()
            if self._new_image.is_set():
                self._failures = 0  # the back-off was for the image before
                continue
            if self._policy == "Never" or (self._policy == "OnFailure" and code == 0):
                return code
            stable = monotonic_seconds() - began >= _STABLE_SECONDS
            self._failures = 1 if stable else self._failures + 1
            if self._failures > 1:
                await self._back_off()

    async def stop(
        self, deadline: Deadline, why: str, after: Iterable[asyncio.Future[None]] = ()
    ) -> None:
        """End the container within the grace period; nothing of it runs afterwards.

        Args:
            deadline: end of the grace period.
            why: for the event.
            after: the ends of those that need this container until they have stopped.
        """
        if self._instance is not None:
            await self._instance.stop(deadline, why, after)
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL every process of the container and record its end."""
        if self._instance is None:
            return
        process = self._instance.process
        await self._tools.launcher.kill_container(process)
        await self._record_exit(await process.wait())

    def close(self) -> None:
        """Give up descriptors; the processes are gone."""
        for log in (self.log, self.previous_log):
            if log is not None:
                log.close_now()

    async def _back_off(self) -> None:
        """Wait before the next start, but not after the image has changed."""
        seconds = _BACK_OFF.ceiling_seconds(self._failures - 1)
        if isinstance(self._now, Terminated):
            self._last = self._now
        pod = self._around.pod
        message = f"back-off {seconds:.0f}s restarting failed container={self.name} pod={pod}"
        self.wait_because(CRASH_LOOP_BACK_OFF, message)
        told = f"Back-off restarting failed container {self.name} in pod {pod}"
        self._tools.record("Warning", "BackOff", told)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._new_image.wait()

    async def _run_once(self, prepare: Preparer) -> int:
        prepared = await self._prepare(prepare)
        if isinstance(self._now, Terminated):
            self._last = self._now
        log = self._new_instance(prepared)
        try:
            instance = await self._start(prepared, log)
        except LaunchError as failure:
            return self._record_start_error(failure)
        async with asyncio.TaskGroup() as tasks:
            attending = tasks.create_task(self._attend(instance))
            code = await instance.process.wait()
            attending.cancel()
        # What the main process left behind belongs to this instance and must not meet the next.
        await self._tools.launcher.kill_container(instance.process)
        return await self._record_exit(code)

    async def _prepare(self, prepare: Preparer) -> Prepared:
        while True:
            image = self.spec["image"]
            self._new_image.clear()
            try:
                prepared = await prepare(self.spec)
            except UnknownImage as error:
                self._refuse("ErrImageNeverPull", str(error), "ErrImageNeverPull")
            except InvalidInput as error:
                self._refuse("InvalidImage", error.message, "Failed")
            except (ConfigurationError, AppError, OSError) as error:
                self._refuse("CreateContainerConfigError", str(error), "Failed")
            else:
                present = f'Container image "{image}" already present on machine'
                self._tools.record("Normal", "Pulled", present)
                return prepared
            self.attempted.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CONFIGURATION_RETRY_SECONDS):
                    await self._new_image.wait()

    def _refuse(self, reason: str, message: str, event: str) -> None:
        self.wait_because(reason, message)
        told = message if event == reason else f"Error: {message}"
        self._tools.record("Warning", event, told)

    def _new_instance(self, prepared: Prepared) -> ContainerLog:
        """Begin another run: its log, which is returned, its id and its image."""
        if self.previous_log is not None:
            self.previous_log.remove()
        self.previous_log = self.log
        self.log = ContainerLog(self._around.log_folder / f"{self._instances}.log")
        self._instances += 1
        self._id = f"gamekeeper://{secrets.token_hex(32)}"
        self._image_id = str(prepared.image.folder)
        self._termination_log = prepared.termination_log
        return self.log

    async def _start(self, prepared: Prepared, log: ContainerLog) -> Instance:
        self._tools.record("Normal", "Created", f"Created container: {self.name}")
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        stdio = [null, log.attach("stdout"), log.attach("stderr")]
        try:
            process = await self._tools.launcher.start_container(prepared.request, stdio)
        finally:
            for descriptor in stdio:
                os.close(descriptor)
        self._instance = Instance(self.spec, process, prepared.program, self._tools)
        self._tools.record("Normal", "Started", f"Started container {self.name}")
        return self._instance

    async def _attend(self, instance: Instance) -> None:
        """Look after a running instance; stop it when a hook, a probe or a new image asks."""
        seconds = self._around.grace_seconds
        if await instance.run_post_start():
            self._now = Running(instance.started_at)
            self._on_change()
            self.attempted.set()
            async with asyncio.TaskGroup() as tasks:
                probing = tasks.create_task(instance.watch())
                changing = tasks.create_task(self._new_image.wait())
                ends: list[asyncio.Future[Any]] = [probing, changing]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                why = f"Container {self.name} definition changed, will be restarted"
                if probing.done():
                    failure = probing.result()
                    why, own = failure.message, failure.grace_seconds
                    seconds = seconds if own is None else own
                probing.cancel()
                changing.cancel()
        else:
            why = "FailedPostStartHook"
        await instance.stop(Deadline(seconds), why)
        await self._tools.launcher.kill_container(instance.process)

    def _on_change(self) -> None:
        instance = self._instance
        if isinstance(self._now, Running) and instance and instance.probes.is_started:
            self.started.set()
        self._around.tools.changed()

    def _record_start_error(self, failure: LaunchError) -> int:
        message = f"failed to create container process: {failure}"
        now = utc_now()
        self._now = Terminated(_START_ERROR_CODE, "StartError", message, now, now, self._id)
        self._tools.record("Warning", "Failed", f"Error: {message}")
        self._on_change()
        return _START_ERROR_CODE

    async def _record_exit(self, code: int) -> int:
        """Turn the instance into Terminated, once; return the exit code as a shell shows it."""
        shown = code if code >= 0 else 128 - code
        if self.log is not None:
            await self.log.close(_DRAIN_SECONDS)
        instance, self._instance = self._instance, None
        if instance is not None:
            reason = "Completed" if code == 0 else "Error"
            message = await termination_message(
                self.spec, self._termination_log, self.log, failed=code != 0
            )
            self._now = Terminated(shown, reason, message, instance.started_at, utc_now(), self._id)
            self._on_change()
        return shown
