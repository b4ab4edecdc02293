"""One run of a container: its hooks, its probes, its stop.

Here: what happens between the start of a main process and the request to end it. Not here: restarts
and states (container.py). Not pure.
Source: Kubernetes documentation, "Container Lifecycle Hooks": a container is running only after its
postStart hook, and preStop runs before SIGTERM within the grace period.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, NamedTuple

from localcluster.kubelet.handlers import HandlerError, HandlerRunner, Outcome, Target
from localcluster.kubelet.prober import Failure, Prober
from shared.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from localcluster.kubelet.deadline import Deadline
    from localcluster.kubelet.events import Record
    from localcluster.kubelet.fields import Json
    from localcluster.kubelet.launcher_client import LauncherClient, Process
    from localcluster.kubelet.messages import Program

_LEAST_GRACE_SECONDS = 2.0  # after SIGTERM, whatever preStop has used (minimumGracePeriodInSeconds)
# A hook has no time-out of its own; its container's end or grace period bounds it.
_HOOK_SECONDS = 24 * 3600.0


class Tools(NamedTuple):
    """What an instance works with.

    Args:
        launcher: signals and starts processes.
        handlers: runs hooks and probes.
        changed: called after each change of the instance's readiness.
        record: takes events about the container.
    """

    launcher: LauncherClient
    handlers: HandlerRunner
    changed: Callable[[], None]
    record: Record


class Instance:
    """A main process from its start to its end.

    Args:
        spec: of the container.
        process: the main process.
        program: what runs.
        tools: see there.
    """

    def __init__(self, spec: Json, process: Process, program: Program, tools: Tools) -> None:
        self.spec = spec
        self.process = process
        self.program = program
        self.started_at = utc_now()
        self._tools = tools
        self._lifecycle: Json = spec.get("lifecycle") or {}
        self._target = Target(spec, process, program)
        self.probes = Prober(spec, self._run, tools.changed, tools.record)

    async def run_post_start(self) -> bool:
        """Run the postStart hook; return False if it failed, so that the container must end."""
        hook = self._lifecycle.get("postStart")
        if hook is None:
            return True
        return await self._hook(hook, "FailedPostStartHook", "PostStartHook failed")

    async def watch(self) -> Failure:
        """Probe the container until a probe says that it must end."""
        return await self.probes.watch()

    async def stop(
        self, deadline: Deadline, why: str, after: Iterable[asyncio.Future[None]] = ()
    ) -> None:
        """Let the main process end within the grace period; it may still run afterwards.

        Args:
            deadline: end of the grace period.
            why: for the event.
            after: the ends of those that need this container until they have stopped.
        """
        if not self.process.exited.done():
            self._tools.record("Normal", "Killing", why)
        if deadline.immediate:
            return
        async with asyncio.TaskGroup() as tasks:
            # Clients look at the readiness of a game server until its last moment.
            readiness = tasks.create_task(self.probes.watch_readiness())
            await self._run_pre_stop(deadline, tasks)
            for end in after:
                await deadline.wait_for(end)
            if not deadline.immediate:
                await self._tools.launcher.signal(self.process, signal.SIGTERM)
                await deadline.wait_for(self.process.exited, _LEAST_GRACE_SECONDS)
            readiness.cancel()

    async def _run_pre_stop(self, deadline: Deadline, tasks: asyncio.TaskGroup) -> None:
        hook = self._lifecycle.get("preStop")
        if hook is None or self.process.exited.done():
            return
        running = tasks.create_task(self._hook(hook, "FailedPreStopHook", "PreStopHook failed"))
        ended = tasks.create_task(self.process.wait())
        both = tasks.create_task(_first(running, ended))
        await deadline.wait_for(both)
        for task in (running, ended, both):
            task.cancel()

    async def _hook(self, hook: Json, reason: str, message: str) -> bool:
        """Run a hook; the event withholds its output, which may hold secrets."""
        try:
            outcome = await self._run(hook, _HOOK_SECONDS)
        except HandlerError as error:
            self._tools.record("Warning", reason, f"{message}: {error}")
            return False
        if not outcome.success:
            self._tools.record("Warning", reason, message)
        return outcome.success

    async def _run(self, handler: Json, timeout_seconds: float) -> Outcome:
        return await self._tools.handlers.run(handler, self._target, timeout_seconds)


async def _first(*tasks: asyncio.Task[bool] | asyncio.Task[int]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
