"""One container of a pod over its restarts.

Here: start, exit, restart with back-off, kill. Not here: the order of containers (pod_worker.py),
what the pod's status says (status.py). Not pure.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from localcluster.kubelet.fields import ConfigurationError, Json
from localcluster.kubelet.images import LoadedImage, UnknownImage
from localcluster.kubelet.launcher_client import LauncherClient, LaunchError, Process
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
    from collections.abc import Callable
    from pathlib import Path

    from localcluster.kubelet.messages import Program, StartContainer

# kubelet's: the first restart is at once, then 10 s doubling to 5 min, forgotten after 10 min.
_BACK_OFF = Backoff(base_seconds=10, cap_seconds=300)
_STABLE_SECONDS = 600
_CONFIGURATION_RETRY_SECONDS = 2.0
_START_ERROR_CODE = 128  # containerd's exit code of a command that cannot be executed
_DRAIN_SECONDS = 0.5  # every writer is dead by then; what is left is in the pipe
_LONGEST_MESSAGE = 4096


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


class Container:
    """A container; `supervise` runs it, `state` says how it is.

    Args:
        spec: of the pod's spec.
        restart_policy: Always, OnFailure or Never.
        launcher: starts processes.
        log_folder: gets one file per instance.
        changed: called after each change of `state`.
    """

    def __init__(
        self,
        spec: Json,
        restart_policy: str,
        launcher: LauncherClient,
        log_folder: Path,
        changed: Callable[[], None],
    ) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.process: Process | None = None
        self.program: Program | None = None
        self.log: ContainerLog | None = None
        self.previous_log: ContainerLog | None = None
        self.started = asyncio.Event()
        self._policy = restart_policy
        self._launcher = launcher
        self._log_folder = log_folder
        self._changed = changed
        self._now: Waiting | Running | Terminated = Waiting("PodInitializing")
        self._last: Terminated | None = None
        self._instances = 0
        self._id = ""
        self._image_id = ""
        self._termination_log: Path | None = None

    @property
    def state(self) -> ContainerState:
        """How the container is now."""
        return ContainerState(
            name=self.name,
            state=self._now,
            last=self._last,
            restart_count=max(0, self._instances - 1),
            has_run=self.started.is_set(),
            container_id=self._id,
            image=self.spec["image"],
            image_id=self._image_id,
        )

    def wait_because(self, reason: str, message: str = "") -> None:
        """Show why the container does not run yet."""
        waiting = Waiting(reason, message)
        if waiting != self._now:
            self._now = waiting
            self._changed()

    async def supervise(self, prepare: Preparer) -> int:
        """Run the container until its restart policy lets it rest; return its last exit code."""
        failures = 0
        while True:
            began = monotonic_seconds()
            code = await self._run_once(prepare)
            if self._policy == "Never" or (self._policy == "OnFailure" and code == 0):
                return code
            failures = 1 if monotonic_seconds() - began >= _STABLE_SECONDS else failures + 1
            if failures > 1:
                seconds = _BACK_OFF.ceiling_seconds(failures - 1)
                message = f"back-off {seconds:.0f}s restarting failed container={self.name}"
                if isinstance(self._now, Terminated):
                    self._last = self._now
                self.wait_because(CRASH_LOOP_BACK_OFF, message)
                await asyncio.sleep(seconds)

    async def kill(self) -> None:
        """SIGKILL every process of the container and record its end."""
        if self.process is None:
            return
        await self._launcher.kill_container(self.process.mount_namespace)
        await self._record_exit(await self.process.wait())

    async def terminate(self) -> None:
        """Ask the main process to end."""
        if self.process is not None:
            await self._launcher.signal(self.process, signal.SIGTERM)

    def close(self) -> None:
        """Give up descriptors; the processes are gone."""
        for log in (self.log, self.previous_log):
            if log is not None:
                log.close_now()

    async def _run_once(self, prepare: Preparer) -> int:
        prepared = await self._prepare(prepare)
        began = utc_now()
        if isinstance(self._now, Terminated):
            self._last = self._now
        self._new_instance(prepared)
        try:
            await self._start(prepared)
        except LaunchError as failure:
            message = f"failed to create container process: {failure}"
            self._now = Terminated(
                _START_ERROR_CODE, "StartError", message, began, utc_now(), self._id
            )
            self._changed()
            return _START_ERROR_CODE
        process = self.process
        if process is None:  # pragma: no cover - _start either sets it or raises
            raise LaunchError("no process")
        code = await process.wait()
        # What the main process left behind belongs to this instance and must not meet the next.
        await self._launcher.kill_container(process.mount_namespace)
        return await self._record_exit(code)

    async def _prepare(self, prepare: Preparer) -> Prepared:
        while True:
            try:
                return await prepare(self.spec)
            except UnknownImage as error:
                self.wait_because("ErrImageNeverPull", str(error))
            except InvalidInput as error:
                self.wait_because("InvalidImage", error.message)
            except (ConfigurationError, AppError, OSError) as error:
                self.wait_because("CreateContainerConfigError", str(error))
            await asyncio.sleep(_CONFIGURATION_RETRY_SECONDS)

    def _new_instance(self, prepared: Prepared) -> None:
        if self.previous_log is not None:
            self.previous_log.remove()
        self.previous_log = self.log
        self.log = ContainerLog(self._log_folder / f"{self._instances}.log")
        self._instances += 1
        self._id = f"gamekeeper://{secrets.token_hex(32)}"
        self._image_id = str(prepared.image.folder)
        self._termination_log = prepared.termination_log
        self.program = prepared.program

    async def _start(self, prepared: Prepared) -> None:
        if self.log is None:  # pragma: no cover - _new_instance made it
            raise LaunchError("no log")
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        stdio = [null, self.log.attach("stdout"), self.log.attach("stderr")]
        try:
            self.process = await self._launcher.start_container(prepared.request, stdio)
        finally:
            for descriptor in stdio:
                os.close(descriptor)
        self._now = Running(utc_now())
        self.started.set()
        self._changed()

    async def _record_exit(self, code: int) -> int:
        """Turn Running into Terminated, once; return the exit code as a shell shows it."""
        shown = code if code >= 0 else 128 - code
        if self.log is not None:
            await self.log.close(_DRAIN_SECONDS)
        if isinstance(self._now, Running):
            self.process = None
            reason = "Completed" if code == 0 else "Error"
            message = _termination_message(self._termination_log)
            self._now = Terminated(
                shown, reason, message, self._now.started_at, utc_now(), self._id
            )
            self._changed()
        return shown


def _termination_message(file: Path | None) -> str:
    if file is None or not file.exists():
        return ""
    with file.open("rb") as content:
        return content.read(_LONGEST_MESSAGE).decode(errors="replace")
