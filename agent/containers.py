"""Which containers of the pod run, and since when: watched, not polled, while they run.

A pidfd of each main process becomes readable when it ends. Only while a wanted container has no
main process is /proc searched: at once, a second later, then less and less often, because a search
looks at every process of the pod. How a container is recognised is in exec/resolve.py.
"""

from __future__ import annotations

import os
import selectors
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agent.exec.resolve import (
    MainProcess,
    find_main_processes,
    is_pid_namespace_shared,
    recognises_containers,
)
from agent.probes.outcome import Outcome, unknown
from shared.clock import boottime_seconds, monotonic_seconds, utc_now
from shared.protocol.report import ContainerReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FIRST_SEARCH_SECONDS = 1.0
# A search costs some 35 microseconds for each process of the pod (measured): with 500 of them, once
# a second would be 18 milli-CPUs, and an idle agent may use five.
_LAST_SEARCH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Container:
    """One run of a container.

    Attributes:
        started: when its main process started, on the monotonic clock, which the schedule uses.
        started_at: the same moment in wall-clock time.
    """

    process: MainProcess
    started: float
    started_at: datetime


class Containers:
    """The main processes of the wanted containers.

    Args:
        selector: of the main loop.
        pod_uid: of this pod.
        on_change: called with a container's name when it was found or has ended.

    Attributes:
        are_visible: whether a container that is not found is surely not there. False where PIDs
            are not shared, and where the way of recognising containers does not even find ours.
    """

    def __init__(
        self, selector: selectors.BaseSelector, pod_uid: str, on_change: Callable[[str], None]
    ) -> None:
        self._selector = selector
        self._pod_uid = pod_uid
        self._on_change = on_change
        self._wanted: Mapping[str, float] = {}
        self._running: dict[str, Container] = {}
        self._ended: dict[str, Container] = {}
        self._search_at: float | None = None
        self._search_pause = _FIRST_SEARCH_SECONDS
        self._is_shared = is_pid_namespace_shared()
        self.are_visible = self._is_shared and recognises_containers(pod_uid)

    def want(self, periods: Mapping[str, float], now: float) -> None:
        """Watch these containers and no others; a new one is searched for at the next step.

        Args:
            periods: the shortest period of a container's probes in seconds, by container name. One
                that stays missing is searched for about as often, but not below five seconds.
            now: on the monotonic clock.
        """
        self._wanted = dict(periods)
        self._search_pause = _FIRST_SEARCH_SECONDS
        self._plan_search(now)

    def get(self, name: str) -> Container | None:
        """Return the present run of a container, None when it does not run."""
        return self._running.get(name)

    def explain_absence(self, name: str) -> Outcome:
        """Return why a probe in this container, which `get` does not find, cannot run."""
        if not self._is_shared:
            return unknown(
                "NoSharedPidNamespace",
                "the agent sees only its own processes: set shareProcessNamespace: true in the pod"
                " template (and neither hostPID nor an explicit false)",
            )
        if name in self._ended:
            return unknown(
                "ContainerNotRunning",
                f"the container {name!r} has ended; probing goes on when it is restarted",
            )
        return unknown(
            "ContainerNotFound",
            f"no process of a container {name!r} is seen in this pod: it has not started yet, or"
            " containerName names none",
        )

    def report(self) -> tuple[ContainerReport, ...]:
        """Return the wanted containers as a report states them, in order of their names."""
        return tuple(self._report_one(name) for name in sorted(self._wanted))

    def deadline(self) -> float | None:
        """Return when `step` has something to do, None while every wanted container runs."""
        return self._search_at

    def step(self, now: float) -> None:
        """Search for missing containers if it is time."""
        if self._search_at is None or self._search_at > now:
            return
        found = find_main_processes(self._pod_uid)
        for name in self._missing():
            if name in found:
                self._watch(name, found[name])
        longest = min((self._wanted[name] for name in self._missing()), default=0.0)
        pause = min(self._search_pause, max(longest, _LAST_SEARCH_SECONDS))
        self._search_pause = 2 * pause
        self._plan_search(now + pause)

    def _missing(self) -> set[str]:
        return self._wanted.keys() - self._running.keys()

    def _plan_search(self, at: float) -> None:
        self._search_at = at if self._missing() else None

    def _watch(self, name: str, process: MainProcess) -> None:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return  # ended between the search and now; the next search finds its successor
        age = boottime_seconds() - process.started_boottime_seconds
        container = Container(
            process=process,
            started=monotonic_seconds() - age,
            started_at=utc_now() - timedelta(seconds=age),
        )
        self._running[name] = container
        self._ended.pop(name, None)

        def on_end() -> None:
            self._selector.unregister(descriptor)
            os.close(descriptor)
            self._ended[name] = self._running.pop(name)
            # Not at once: a process that `kubectl exec` started is killed a moment after the main
            # one, and until then it would be the oldest of the container.
            self._search_pause = _FIRST_SEARCH_SECONDS
            self._plan_search(monotonic_seconds() + _FIRST_SEARCH_SECONDS)
            self._on_change(name)

        self._selector.register(descriptor, selectors.EVENT_READ, on_end)
        self._on_change(name)

    def _report_one(self, name: str) -> ContainerReport:
        container = self._running.get(name) or self._ended.get(name)
        started_at = None if container is None else container.started_at
        return ContainerReport(name, running=name in self._running, started_at=started_at)
