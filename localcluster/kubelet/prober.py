"""The probes of one container instance: runs them on time and says what follows.

Here: the loops. Not here: thresholds (probe_rules.py), how a handler runs (handlers.py), what is
done to a container that fails (container.py). Not pure.
Source: Kubernetes documentation, "Liveness, Readiness, and Startup Probes": while a startup probe
has not succeeded, the other two do not run; a readiness probe runs for the whole life.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from localcluster.kubelet.handlers import HandlerError
from localcluster.kubelet.probe_rules import (
    ProbeKind,
    ProbeRules,
    Streak,
    advance,
    has_failed,
    probe_rules,
)
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from localcluster.kubelet.events import Record
    from localcluster.kubelet.fields import Json
    from localcluster.kubelet.handlers import Outcome

UNHEALTHY = "Unhealthy"


class Failure(NamedTuple):
    """A startup or liveness probe that failed for good.

    Args:
        message: why the container is to be stopped.
        grace_seconds: for the stop; None for the pod's.
    """

    message: str
    grace_seconds: float | None


class Prober:
    """The probes of one instance.

    Args:
        spec: of the container.
        run: runs a handler; its second argument is the time-out in seconds.
        changed: called after each change of `is_started` or `is_ready`.
        record: takes an event about the container.
    """

    def __init__(
        self,
        spec: Json,
        run: Callable[[Json, float], Awaitable[Outcome]],
        changed: Callable[[], None],
        record: Record,
    ) -> None:
        self._name: str = spec["name"]
        self._rules = {kind: probe_rules(spec, kind) for kind in ProbeKind}
        self._run = run
        self._changed = changed
        self._record = record
        self._began = monotonic_seconds()
        self.is_started = self._rules[ProbeKind.STARTUP] is None
        self.is_ready = self._rules[ProbeKind.READINESS] is None

    async def watch(self) -> Failure:
        """Probe until the startup or the liveness probe has failed for good."""
        startup = self._rules[ProbeKind.STARTUP]
        if startup is not None:
            began = Streak(result=False)
            streak = await self._probe_until(
                ProbeKind.STARTUP, startup, began, lambda s: s.result or has_failed(s, startup)
            )
            if not streak.result:
                return self._failure("startup", startup)
        self.is_started = True
        self._changed()
        async with asyncio.TaskGroup() as tasks:
            readiness = tasks.create_task(self.watch_readiness())
            failure = await self._watch_liveness()
            readiness.cancel()
        return failure

    async def watch_readiness(self) -> None:
        """Keep `is_ready` true to the readiness probe, for ever; without one return at once."""
        rules = self._rules[ProbeKind.READINESS]
        if rules is None:
            return

        def take(streak: Streak) -> bool:
            if streak.result is not self.is_ready:
                self.is_ready = streak.result
                self._changed()
            return False

        began = Streak(result=self.is_ready)
        await self._probe_until(ProbeKind.READINESS, rules, began, take)

    async def _watch_liveness(self) -> Failure:
        rules = self._rules[ProbeKind.LIVENESS]
        if rules is None:
            # Nothing can fail: wait to be cancelled with the container.
            never: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()
            return await never
        began = Streak(result=True)
        await self._probe_until(ProbeKind.LIVENESS, rules, began, lambda s: has_failed(s, rules))
        return self._failure("liveness", rules)

    def _failure(self, probe: str, rules: ProbeRules) -> Failure:
        message = f"Container {self._name} failed {probe} probe, will be restarted"
        return Failure(message, rules.grace_seconds)

    async def _probe_until(
        self, kind: ProbeKind, rules: ProbeRules, streak: Streak, done: Callable[[Streak], bool]
    ) -> Streak:
        """Probe on time until `done` says so of the streak; return it."""
        age = monotonic_seconds() - self._began
        await asyncio.sleep(max(0.0, rules.initial_delay_seconds - age))
        while True:
            success = await self._probe(kind, rules)
            if success is not None:
                streak = advance(streak, rules, success=success)
                if done(streak):
                    return streak
            await asyncio.sleep(rules.period_seconds)

    async def _probe(self, kind: ProbeKind, rules: ProbeRules) -> bool | None:
        """Run the probe once; None if it could not be run, which counts neither way."""
        try:
            outcome = await self._run(rules.handler, rules.timeout_seconds)
        except HandlerError as error:
            self._record("Warning", UNHEALTHY, f"{kind.title} probe errored: {error}")
            return None
        if not outcome.success:
            self._record("Warning", UNHEALTHY, f"{kind.title} probe failed: {outcome.message}")
        return outcome.success
