"""The agent through long times: an outage of ten minutes, a fleet that comes back, a whole day.

Nothing here uses a socket or a process; see tests/support/virtual_agent.py for what is played.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from agent.http_client import Response
from agent.report_loop import ReportLoop
from tests.support.virtual_agent import Network, PlayedPrograms, VirtualAgent, World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.outbox import Outbox

OUTAGE_SECONDS = 600.0
FLEET = 1000
LONGEST_WAIT_SECONDS = 30.0
DAY = 86_400.0
QUARTER = DAY / 4


def answer(body: dict[str, Any], status: int = 200, **headers: str) -> Response:
    return Response(status, headers, json.dumps(body).encode())


@dataclass
class Aggregator:
    """Takes every report while it is there, and remembers what it was told."""

    world: World
    away_from: float
    away_until: float
    refusal_seconds: float
    accepted: list[tuple[float, bytes]] = field(default_factory=list)
    attempts: int = 0

    def reach(self, body: bytes) -> tuple[float, Response | None]:
        now = self.world.now
        self.attempts += 1
        if self.away_from <= now < self.away_until:
            return self.refusal_seconds, None
        self.accepted.append((now, body))
        return 0.005, answer({"probesRevision": "r1", "heartbeatSeconds": 10})


@dataclass
class Member:
    """One agent of a fleet: its report is the number of the newest change of its state."""

    loop: ReportLoop
    network: Network
    state: int = 0

    def change(self) -> None:
        self.state += 1
        self.loop.changed()


def member(world: World, aggregator: Aggregator, rng: random.Random, starts: float) -> Member:
    network = Network(world, aggregator.reach)

    def encode(_outbox: Outbox) -> bytes:
        return str(one.state).encode()

    one = Member(ReportLoop(network, world, rng.random, encode, lambda _answer: None), network)

    def step() -> None:
        one.loop.step(world.now)
        due = one.loop.deadline()
        if due is not None:
            world.at(due, step)

    network.on_delivery = step
    world.at(starts, step)
    return one


@pytest.mark.timeout(30)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("refusal", [0.001, 10.0], ids=["refused at once", "swallowed"])
def test_a_fleet_comes_back_from_an_outage_without_a_thundering_herd(
    seed: int, refusal: float
) -> None:
    rng = random.Random(seed)
    world = World()
    back = 60 + OUTAGE_SECONDS
    aggregators = []
    for _ in range(FLEET):
        aggregator = Aggregator(world, 60, back, refusal)
        aggregators.append(aggregator)
        member(world, aggregator, rng, rng.uniform(0, 10))
    world.happen(back + LONGEST_WAIT_SECONDS + 10)
    returns = [min(at for at, _ in one.accepted if at >= back) - back for one in aggregators]
    buckets = Counter(int(delay) for delay in returns)
    uniform = FLEET / LONGEST_WAIT_SECONDS
    assert sum(buckets.values()) == FLEET
    assert max(buckets.values()) <= 2 * uniform
    assert max(returns) <= LONGEST_WAIT_SECONDS + (refusal if refusal > 1 else 0)


def test_after_an_outage_the_newest_state_arrives_first_and_nothing_older() -> None:
    world = World()
    aggregator = Aggregator(world, 60, 60 + OUTAGE_SECONDS, 0.001)
    one = member(world, aggregator, random.Random(1), 0)
    for second in range(60 + int(OUTAGE_SECONDS) + 60):
        world.at(second + 0.25, one.change)
    world.happen(60 + OUTAGE_SECONDS + 60)
    first_back = next((at, body) for at, body in aggregator.accepted if at >= 660)
    changes_before = int(first_back[0] + 0.75)  # the n-th change is at n - 0.75
    assert first_back[1] == str(changes_before).encode()
    numbers = [int(body) for _, body in aggregator.accepted]
    assert numbers == sorted(numbers)


@dataclass
class Rhythm:
    """How regularly one probe starts, in a fixed number of words."""

    last: float | None = None
    gaps: int = 0
    total: float = 0.0
    shortest: float = float("inf")
    longest: float = 0.0

    def start(self, now: float) -> None:
        if self.last is not None:
            gap = now - self.last
            self.gaps += 1
            self.total += gap
            self.shortest, self.longest = min(self.shortest, gap), max(self.longest, gap)
        self.last = now

    @property
    def mean(self) -> float:
        return self.total / self.gaps


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the log of the agent out of the memory that is measured: pytest would keep it all."""
    caplog.set_level(logging.CRITICAL, "agent")


PERIODS = (5, 10, 15, 20, 30, 30, 60, 60)
SLOW = "probe-0"  # its runs last longer than its period now and then
PROBES: list[dict[str, Any]] = [
    {
        "name": f"probe-{number}",
        "containerName": "game",
        "exec": {"command": [f"probe-{number}"]},
        "periodSeconds": period,
        "timeoutSeconds": 20,
        "failureThreshold": 1 + number % 3,
    }
    for number, period in enumerate(PERIODS)
]


@dataclass
class Day:
    """A pod's day, the same trouble in each quarter, and what was seen of it."""

    world: World
    rng: random.Random
    rhythms: dict[str, Rhythm] = field(default_factory=dict)
    states: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    revision: int = 1
    reports: int = 0
    last_report: float = 0.0
    longest_silence: float = 0.0

    def play(self, command: tuple[str, ...]) -> tuple[float, int, bytes]:
        """Run a program: mostly quick and of one mind, sometimes not."""
        name = command[0]
        self.rhythms.setdefault(name, Rhythm()).start(self.world.now)
        seconds = self.rng.uniform(0.01, 0.2)
        if name == SLOW and self.rng.random() < 0.1:
            seconds = self.rng.uniform(4, 19)
        if self.rng.random() < 0.02:
            code = self.rng.choice((0, 0, 1, 127))
            self.states[name] = (code, b"%02d" % self.rng.randrange(100) * 50)
        return (seconds, *self.states.get(name, (0, b"")))

    def is_away(self) -> bool:
        return 7200 <= self.world.now % QUARTER < 7800

    def reach(self, body: bytes) -> tuple[float, Response | None]:
        now = self.world.now
        if self.is_away():
            self.last_report = 0.0
            return 0.001, None
        if 14_400 <= now % QUARTER < 14_700:
            self.last_report = 0.0
            return 0.001, answer({"reason": "NotLeader"}, 503, **{"retry-after": "1"})
        if self.last_report:
            self.longest_silence = max(self.longest_silence, now - self.last_report)
        self.last_report = now
        self.reports += 1
        told = {"probesRevision": f"r{self.revision}", "heartbeatSeconds": 10}
        if json.loads(body)["probesRevision"] != told["probesRevision"]:
            told["probes"] = PROBES if self.revision % 2 else PROBES[:-1]
        return self.rng.uniform(0.001, 0.05), answer(told)

    def change_list(self) -> None:
        """Drop the last probe, or bring it back."""
        self.revision += 1
        self.rhythms["probe-7"].last = None

    def restart(self, agent: VirtualAgent) -> None:
        """End the game and start it ten seconds later."""
        agent.containers.end("game")
        for rhythm in self.rhythms.values():
            rhythm.last = None
        self.world.at(self.world.now + 10, lambda: agent.containers.start("game"))


def day_of(seed: int) -> tuple[Day, VirtualAgent]:
    world = World()
    day = Day(world, random.Random(seed))
    programs = PlayedPrograms(world, day.play)
    agent = VirtualAgent(world, day.rng, Network(world, day.reach), programs)
    agent.containers.start("game")
    for quarter in range(4):
        begin = quarter * QUARTER
        world.at(begin + 3600, lambda: day.restart(agent))
        world.at(begin + 10_000, day.change_list)
        world.at(begin + 12_000, day.change_list)
    return day, agent


def held_bytes(agent: VirtualAgent) -> int:
    """Return the size of all that the agent holds, and of what its modules hold beside code.

    Not tracemalloc: that of Python 3.11 keeps traces of memory that was freed in `match` statements
    and so shows growth where there is none. It would also count what other tests leave behind.
    """
    apart = (type, ModuleType, FunctionType, BuiltinFunctionType, logging.Logger)
    modules = [
        vars(module)
        for name, module in sys.modules.items()
        if name.partition(".")[0] in ("agent", "shared")
    ]
    pending: list[object] = [agent, *modules]
    seen = {id(root): root for root in pending}
    while pending:
        for found in gc.get_referents(pending.pop()):
            if id(found) not in seen and not isinstance(found, apart):
                seen[id(found)] = found
                pending.append(found)
    return sum(map(sys.getsizeof, seen.values()))


def most_held_at(agent: VirtualAgent, moments: Iterable[float]) -> int:
    """Let the time pass, look at each moment, and return the largest of what was held."""
    sizes = []
    for moment in moments:
        agent.run(until=moment)
        sizes.append(held_bytes(agent))
    return max(sizes)


@pytest.mark.timeout(120)
def test_a_day_with_eight_probes_neither_grows_nor_drifts() -> None:
    """Each quarter has a restart, an outage, a standby and two changes of the list."""
    day, agent = day_of(seed=3)
    open_files = len(os.listdir("/proc/self/fd"))
    starts = [int(quarter * QUARTER) for quarter in range(4)]
    memory = [
        most_held_at(agent, range(start + 600, start + int(QUARTER) + 1, 600)) for start in starts
    ]
    assert memory[3] <= 1.02 * memory[1]
    # Fewer would be those of an earlier test, collected meanwhile.
    assert len(os.listdir("/proc/self/fd")) <= open_files
    drifts = {
        name: (rhythm.shortest >= period, rhythm.longest < 2 * period, rhythm.mean / period)
        for (name, rhythm), period in zip(sorted(day.rhythms.items()), PERIODS, strict=True)
        if name != SLOW
    }
    # The jitter is 0 to 10 % of each period, so the mean of a day is 5 % more than it.
    on_time = (True, True, pytest.approx(1.05, abs=0.01))
    assert drifts == dict.fromkeys(drifts, on_time)
    assert len(drifts) == len(PERIODS) - 1
    # A slow run lasts at most 19 s; then the next tick of the same phase is waited for.
    assert day.rhythms[SLOW].longest <= 19 + 1.1 * PERIODS[0]
    assert day.longest_silence <= 11 + 0.05


def test_an_outage_takes_no_more_memory_the_longer_it_lasts() -> None:
    day, agent = day_of(seed=4)
    agent.run(until=7200)
    early = most_held_at(agent, range(7230, 7500, 30))
    late = most_held_at(agent, range(7500, 7800, 30))
    assert day.is_away()
    assert late <= 1.02 * early
