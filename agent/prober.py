"""Runs the probes of the list: what is due is started, each outcome becomes a verdict.

Not here: what is due when (schedule.py), what an outcome means for the verdict (verdict.py), which
containers run (containers.py), how a handler runs (probes/handlers.py).
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent import schedule, verdict
from agent.log import data
from agent.metrics import RunCounter
from agent.probes.outcome import Outcome, unknown
from agent.verdict import Thresholds, VerdictState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.containers import Container, Containers
    from agent.probes.handlers import ProbeRunner, RunningProbe
    from shared.clock import Clock
    from shared.protocol.probes import ProbeList, ProbeSpec

log = logging.getLogger(__name__)

HISTORY_RUNS = 20


@dataclass(slots=True)
class ActiveProbe:
    """A probe of the list and all that is remembered of it.

    Attributes:
        added: when the agent first had it, on the monotonic clock.
        container: the run of the container that the state belongs to; None while there is none, or
            none can be seen.
        next_start: on the monotonic clock; None while it runs or cannot run.
        running: the run under way.
        history: the latest outcomes, oldest first.
    """

    spec: ProbeSpec
    state: VerdictState
    added: float = 0.0
    container: Container | None = None
    next_start: float | None = None
    running: RunningProbe | None = None
    history: deque[Outcome] = field(default_factory=lambda: deque(maxlen=HISTORY_RUNS))


class Prober:
    """The probes of this pod.

    Args:
        containers: where the main processes come from; it calls `container_changed`.
        runner: runs one probe once.
        max_concurrent: how many probes may run at the same time.
        on_change: called when something that a report says has changed.
        share: returns a random number in [0, 1).
        clock: of this machine.
    """

    def __init__(
        self,
        containers: Containers,
        runner: ProbeRunner,
        max_concurrent: int,
        on_change: Callable[[], None],
        share: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._containers = containers
        self._runner = runner
        self._max_concurrent = max_concurrent
        self._on_change = on_change
        self._share = share
        self._clock = clock
        self.revision = ""
        self._probes: dict[str, ActiveProbe] = {}
        self._counters: dict[str, RunCounter] = {}

    @property
    def probes(self) -> tuple[ActiveProbe, ...]:
        """The probes in the order of the list."""
        return tuple(self._probes.values())

    @property
    def counters(self) -> dict[str, RunCounter]:
        """How the runs of each probe ended since the agent started; of probes of the list only."""
        return self._counters

    def exec_containers(self) -> frozenset[str]:
        """Return the containers that exec probes of the list run in."""
        specs = (probe.spec for probe in self._probes.values())
        return frozenset(spec.container_name for spec in specs if spec.exec is not None)

    def replace(self, specs: ProbeList, revision: str) -> None:
        """Follow another list: an unchanged probe keeps its state, a changed one starts afresh."""
        before = self._probes
        self._probes = {}
        now = self._clock.monotonic_seconds()
        fresh: list[ActiveProbe] = []
        for spec in specs:
            kept = before.get(spec.name)
            if kept is not None and kept.spec == spec:
                self._probes[spec.name] = before.pop(spec.name)
            else:
                fresh.append(ActiveProbe(spec, verdict.begin(_thresholds(spec)), added=now))
                self._probes[spec.name] = fresh[-1]
        for dropped in before.values():
            _cancel(dropped)
        self.revision = revision
        self._counters = {name: self._counters.get(name) or RunCounter() for name in self._probes}
        self._containers.want(_periods(spec for spec in specs if self._follows(spec)), now)
        self._containers.step(now)  # so that a container that runs is not reported missing first
        for probe in fresh:
            if probe.container is None and probe.state.last is None:
                self._begin(probe)
        log.info("probe list changed", extra=data(revision=revision, probes=list(self._probes)))
        self._on_change()

    def container_changed(self, name: str) -> None:
        """Begin again with every probe of a container that was found or has ended."""
        for probe in self._probes.values():
            if probe.spec.container_name == name and self._follows(probe.spec):
                self._begin(probe)
        self._on_change()

    def cannot_enter(self, container_name: str, outcome: Outcome) -> None:
        """Let the exec probes of a container that never ran yet show why they will not."""
        for probe in self._probes.values():
            spec = probe.spec
            if spec.container_name == container_name and spec.exec and probe.state.last is None:
                self._take(probe, unknown(outcome.reason, outcome.message))

    def deadline(self) -> float | None:
        """Return when the next probe may start; None when none is due or all slots are taken."""
        if self._free_slots() <= 0:
            return None
        return min((due.at for due in self._waiting()), default=None)

    def step(self, now: float) -> None:
        """Start what is due."""
        for name in schedule.startable(self._waiting(), now, self._free_slots()):
            self._start(self._probes[name], now)

    def close(self) -> None:
        """Cancel every run under way."""
        for probe in self._probes.values():
            _cancel(probe)

    def _waiting(self) -> list[schedule.Due]:
        return [
            schedule.Due(name, probe.next_start)
            for name, probe in self._probes.items()
            if probe.next_start is not None
        ]

    def _free_slots(self) -> int:
        return self._max_concurrent - sum(p.running is not None for p in self._probes.values())

    def _follows(self, spec: ProbeSpec) -> bool:
        """Tell whether a probe begins and ends with its container, as far as that can be seen.

        An exec probe needs the container. A network probe goes on without a view of it.
        """
        return spec.exec is not None or self._containers.are_visible

    def _begin(self, probe: ActiveProbe) -> None:
        """Start counting anew, with the container as it is now."""
        _cancel(probe)
        spec = probe.spec
        probe.state = verdict.begin(_thresholds(spec))
        probe.next_start = None
        probe.container = self._containers.get(spec.container_name)
        if probe.container is None and self._follows(spec):
            self._take(probe, self._containers.explain_absence(spec.container_name))
            return
        since = probe.added if probe.container is None else probe.container.started
        probe.next_start = schedule.first_start(
            since, spec.initial_delay_seconds, self._clock.monotonic_seconds()
        )

    def _start(self, probe: ActiveProbe, now: float) -> None:
        probe.next_start = None

        def on_done(outcome: Outcome) -> None:
            probe.running = None
            probe.next_start = schedule.next_start(
                now, self._clock.monotonic_seconds(), probe.spec.period_seconds, self._share()
            )
            self._count(probe.spec.name, outcome)
            self._take(probe, outcome)

        process = None if probe.container is None else probe.container.process
        probe.running = self._runner.start(probe.spec, process, on_done)

    def _count(self, name: str, outcome: Outcome) -> None:
        counter = self._counters[name]
        counter.by_status[outcome.status] += 1
        counter.seconds += outcome.duration_seconds or 0.0

    def _take(self, probe: ActiveProbe, outcome: Outcome) -> None:
        before = probe.state.published
        probe.state = verdict.advance(probe.state, outcome, self._clock.utc_now())
        probe.history.append(outcome)
        if probe.state.published == before:
            return
        after = probe.state.published
        log.info(
            "verdict changed",
            extra=data(
                probe=probe.spec.name, status=after.status, result=after.result, reason=after.reason
            ),
        )
        self._on_change()


def _periods(specs: Iterable[ProbeSpec]) -> dict[str, float]:
    """Return the shortest period of each container's probes in seconds, by container name."""
    shortest: dict[str, float] = {}
    for spec in specs:
        period = shortest.get(spec.container_name, spec.period_seconds)
        shortest[spec.container_name] = min(period, spec.period_seconds)
    return shortest


def _thresholds(spec: ProbeSpec) -> Thresholds:
    return Thresholds(success=spec.success_threshold, failure=spec.failure_threshold)


def _cancel(probe: ActiveProbe) -> None:
    if probe.running is not None:
        probe.running.cancel()
        probe.running = None
