"""The agent in a time of its own: its real parts, with clock, randomness and transport played.

Everything that decides is the product's (prober, verdicts, outbox, reports, reading of answers);
played are the clock, the containers, the programs that probes run, and the way to the aggregator.
A day takes seconds, and the same seed gives the same day.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from selectors import SelectSelector
from typing import TYPE_CHECKING, Any

from agent.containers import Container
from agent.exec.resolve import MainProcess
from agent.exec.wire import EXITED, Reply
from agent.outbox import Failed
from agent.prober import Prober
from agent.probes.exec import ExecRun
from agent.probes.handlers import Handlers
from agent.probes.outcome import unknown
from agent.report_loop import ReportLoop
from agent.reporting import build_report, encode_report
from agent.sender import Delivery, read_response
from shared.clock import Clock
from shared.protocol.report import ContainerReport

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from agent.http_client import Response
    from agent.outbox import Outbox
    from agent.probes.outcome import Outcome
    from shared.protocol.report import Answer

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


class World(Clock):
    """A clock that stands still until it is told what happens next, and a list of what will."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def monotonic_seconds(self) -> float:
        return self.now

    def utc_now(self) -> datetime:
        return MIDNIGHT + timedelta(seconds=self.now)

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Let `event` happen at `moment`."""
        heapq.heappush(self._events, (moment, next(self._numbers), event))

    def happen(self, until: float) -> None:
        """Let everything happen up to and including `until`, each thing at its moment."""
        while self._events and self._events[0][0] <= until:
            moment, _, event = heapq.heappop(self._events)
            self.now = max(self.now, moment)
            event()
        self.now = max(self.now, until)

    def next_event(self) -> float | None:
        """Return when the next thing happens."""
        return self._events[0][0] if self._events else None


class Network:
    """The transport of one agent; `reach` says what becomes of a report that leaves now.

    `reach` gets the body and returns how long it takes and the response, None for no answer.
    """

    def __init__(
        self, world: World, reach: Callable[[bytes], tuple[float, Response | None]]
    ) -> None:
        self._world = world
        self._reach = reach
        self._delivered: deque[Delivery] = deque()
        self.outstanding = 0
        self.on_delivery: Callable[[], None] = lambda: None

    def submit(self, body: bytes, timeout_seconds: float) -> None:
        assert self.outstanding == 0, "one request at a time"
        self.outstanding = 1
        takes, response = self._reach(body)
        takes = min(takes, timeout_seconds)
        self._world.at(self._world.now + takes, lambda: self._deliver(response))

    def take(self) -> Delivery | None:
        return self._delivered.popleft() if self._delivered else None

    def _deliver(self, response: Response | None) -> None:
        self.outstanding = 0
        if response is None:
            self._delivered.append(Delivery(Failed(), "https://reports", error="no answer"))
        else:
            now = self._world.utc_now()
            self._delivered.append(read_response(response, "https://reports", now))
        self.on_delivery()


@dataclass
class PlayedContainers:
    """Containers that start and end when the test says so."""

    world: World
    on_change: Callable[[str], None] = lambda _name: None
    running: dict[str, Container] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    are_visible: bool = True

    def start(self, name: str) -> None:
        process = MainProcess(starttime=int(self.world.now * 100), pid=7)
        self.running[name] = Container(process, self.world.now, self.world.utc_now())
        self.on_change(name)

    def end(self, name: str) -> None:
        del self.running[name]
        self.on_change(name)

    def want(self, periods: Mapping[str, float], now: float) -> None:
        self.wanted = tuple(sorted(periods))

    def step(self, now: float) -> None:
        """Nothing is searched for: `start` and `end` tell."""

    def get(self, name: str) -> Container | None:
        return self.running.get(name)

    def explain_absence(self, name: str) -> Outcome:
        return unknown("ContainerNotRunning", f"the container {name!r} has ended")

    def report(self) -> tuple[ContainerReport, ...]:
        return tuple(
            ContainerReport(
                name,
                running=name in self.running,
                started_at=self.running[name].started_at if name in self.running else None,
            )
            for name in self.wanted
        )


@dataclass
class PlayedRun:
    """A program under way."""

    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class PlayedPrograms:
    """What probes run: `play` gets the command and returns seconds, exit code and output."""

    world: World
    play: Callable[[tuple[str, ...]], tuple[float, int, bytes]]
    name: str = "played"

    def start(
        self,
        process: MainProcess,
        command: tuple[str, ...],
        timeout_seconds: float,
        on_done: Callable[[ExecRun], None],
    ) -> PlayedRun:
        run = PlayedRun()
        seconds, code, output = self.play(command)
        began, at = self.world.now, self.world.utc_now()

        def end() -> None:
            if not run.cancelled:
                took = self.world.now - began
                on_done(ExecRun(Reply(EXITED, code), output, b"", at, took))

        self.world.at(began + min(seconds, timeout_seconds), end)
        return run


class VirtualAgent:
    """An agent whose every part but the engine and the sockets is the product's."""

    def __init__(
        self, world: World, random: random.Random, network: Network, programs: PlayedPrograms
    ) -> None:
        self.world = world
        self.containers = PlayedContainers(world)
        self.reports = ReportLoop(network, world, random.random, self._encode, self._answered)
        containers: Any = self.containers
        handlers = Handlers(SelectSelector(), programs, "")
        self.prober = Prober(containers, handlers, 4, self.reports.changed, random.random, world)
        self.containers.on_change = self.prober.container_changed

    def run(self, until: float) -> None:
        """Let the time pass, as the loop of the agent does."""
        world = self.world
        while True:
            deadlines = (self.prober.deadline(), self.reports.deadline(), world.next_event(), until)
            moment = min(max(at, world.now) for at in deadlines if at is not None)
            world.happen(moment)
            self.reports.receive()
            self.prober.step(world.now)
            self.reports.step(world.now)
            if moment >= until:
                return

    def _encode(self, outbox: Outbox) -> bytes:
        state = (self.containers.report(), self.prober.probes)
        now = self.world.utc_now()
        return encode_report(build_report("uid", outbox, now, self.prober.revision, state))

    def _answered(self, answer: Answer) -> None:
        if answer.probes is not None and answer.probes_revision != self.prober.revision:
            self.prober.replace(answer.probes, answer.probes_revision)
