"""Which containers of the pod run, and since when: watched, not polled, while they run.

A pidfd of each main process becomes readable when it ends. Only while a wanted container has no
main process is /proc searched: at once, a second later, then less and less often, because a search
looks at every process of the pod. How a container is recognised is in exec/resolve.py.
"""

from __future__ import annotations

import errno
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
    from collections.abc import Callable, Collection, Mapping

_FIRST_SEARCH_SECONDS = 1.0
# A search costs some 35 microseconds for each process of the pod (measured): with 500 of them, once
# a second would be 18 milli-CPUs, and an idle agent may use five.
_LAST_SEARCH_SECONDS = 5.0
_RAISE_LIMIT = "it is tried again; if it stays so, raise the agent's limit of open files"
_NEED_PIDFD = "pidfd_open needs Linux 5.3 or a newer sandbox, and a seccomp profile that allows it"
_REMEDIES = {
    errno.EMFILE: _RAISE_LIMIT,
    errno.ENFILE: _RAISE_LIMIT,
    errno.ENOSYS: _NEED_PIDFD,
    errno.EPERM: _NEED_PIDFD,
}


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
        on_change: called with a container's name when it was found or has ended, and when
            `explain_absence` has another explanation.

    Attributes:
        are_visible: whether a container that is not found is surely not there. False where PIDs
            are not shared, where the way of recognising containers does not even find ours, and
            where no process can be watched.
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
        self._hindrances: dict[str, str] = {}
        self._search_at: float | None = None
        self._search_pause = _FIRST_SEARCH_SECONDS
        self._is_shared = is_pid_namespace_shared()
        self.are_visible = (
            self._is_shared and recognises_containers(pod_uid) and _can_watch_processes()
        )

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
        if name in self._hindrances:
            return unknown("ContainerNotWatched", self._hindrances[name])
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
        before = self._hindrances
        missing = self._missing()
        self._hindrances = self._search(missing)
        for name in missing:
            if name in self._running or before.get(name) != self._hindrances.get(name):
                self._on_change(name)
        longest = min((self._wanted[name] for name in self._missing()), default=0.0)
        pause = min(self._search_pause, max(longest, _LAST_SEARCH_SECONDS))
        self._search_pause = 2 * pause
        self._plan_search(now + pause)

    def _search(self, names: Collection[str]) -> dict[str, str]:
        """Watch what is found; return what hinders that, by container name."""
        hindrances: dict[str, str] = {}
        try:
            found = find_main_processes(self._pod_uid)
        except OSError as error:
            return dict.fromkeys(names, f"/proc cannot be searched {_explain(error)}")
        for name in names:
            try:
                if name in found:
                    self._watch(name, found[name])
            except ProcessLookupError:
                continue  # ended since it was found; the next search finds its successor
            except OSError as error:
                hindrances[name] = (
                    f"the end of its main process cannot be watched {_explain(error)}"
                )
        return hindrances

    def _missing(self) -> set[str]:
        return self._wanted.keys() - self._running.keys()

    def _plan_search(self, at: float) -> None:
        self._search_at = at if self._missing() else None

    def _watch(self, name: str, process: MainProcess) -> None:
        """Take this process for the container's until it ends.

        Raises:
            ProcessLookupError: it has ended.
            OSError: it cannot be watched.
        """
        descriptor = os.pidfd_open(process.pid)
        age = boottime_seconds() - process.started_boottime_seconds
        container = Container(
            process=process,
            started=monotonic_seconds() - age,
            started_at=utc_now() - timedelta(seconds=age),
        )

        def on_end() -> None:
            self._selector.unregister(descriptor)
            os.close(descriptor)
            self._ended[name] = self._running.pop(name)
            # Not at once: a process that `kubectl exec` started is killed a moment after the main
            # one, and until then it would be the oldest of the container.
            self._search_pause = _FIRST_SEARCH_SECONDS
            self._plan_search(monotonic_seconds() + _FIRST_SEARCH_SECONDS)
            self._on_change(name)

        try:
            self._selector.register(descriptor, selectors.EVENT_READ, on_end)
        except OSError:
            os.close(descriptor)
            raise
        self._running[name] = container
        self._ended.pop(name, None)

    def _report_one(self, name: str) -> ContainerReport:
        container = self._running.get(name) or self._ended.get(name)
        started_at = None if container is None else container.started_at
        return ContainerReport(name, running=name in self._running, started_at=started_at)


def _can_watch_processes() -> bool:
    """Return whether pidfd_open works here at all: old gVisor and kernels before 5.3 lack it."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _explain(error: OSError) -> str:
    remedy = _REMEDIES.get(error.errno or 0, "it is tried again")
    return f"({os.strerror(error.errno or 0)}): {remedy}"
