"""The prober with a runner that the test plays: concurrency, overlap, changes of the list."""

from __future__ import annotations

import dataclasses
import os
import selectors
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent import containers
from agent.containers import Containers
from agent.exec.resolve import MainProcess
from agent.prober import Prober
from agent.probes.outcome import Outcome
from shared.clock import Clock, monotonic_seconds
from shared.protocol.probes import ExecAction, ProbeSpec, TCPSocketAction
from shared.protocol.report import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Started:
    """A run as the runner was asked for it."""

    spec: ProbeSpec
    process: MainProcess | None
    on_done: Callable[[Outcome], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    def exit(self, code: int, stdout: str = "") -> None:
        status = Status.FALSE if code else Status.TRUE
        self.on_done(Outcome(status, stdout, exit_code=code, started_at=START))


@dataclass
class Runner:
    """Starts nothing; remembers what it was asked for."""

    runs: list[Started] = field(default_factory=list)

    def start(
        self, spec: ProbeSpec, process: MainProcess | None, on_done: Callable[[Outcome], None]
    ) -> Started:
        self.runs.append(Started(spec, process, on_done))
        return self.runs[-1]

    def names(self) -> list[str]:
        return [run.spec.name for run in self.runs]


@dataclass
class Played:
    """A prober whose one container `game` is this very process."""

    prober: Prober
    runner: Runner
    containers: Containers
    changes: list[None]


def own_process() -> MainProcess:
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return MainProcess(starttime=int(stat[19]), pid=os.getpid())


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    monkeypatch.setattr(containers, "find_main_processes", lambda _uid: {"game": own_process()})
    monkeypatch.setattr(containers, "is_pid_namespace_shared", lambda: True)
    runner, changes = Runner(), list[None]()
    with selectors.DefaultSelector() as selector:

        def container_changed(name: str) -> None:
            prober.container_changed(name)

        watched = Containers(selector, "uid", container_changed)
        prober = Prober(watched, runner, 4, lambda: changes.append(None), lambda: 0.0, Clock())
        yield Played(prober, runner, watched, changes)
        for key in list(selector.get_map().values()):
            os.close(key.fd)


def spec(name: str, **fields: object) -> ProbeSpec:
    base = {"initial_delay_seconds": 0, "failure_threshold": 1, "exec": ExecAction((name,))}
    return ProbeSpec(name, "game", **{**base, **fields})  # type: ignore[arg-type]


def verdicts(prober: Prober) -> list[tuple[str, str, str]]:
    return [
        (probe.spec.name, probe.state.published.status, probe.state.published.reason)
        for probe in prober.probes
    ]


def test_no_more_than_four_probes_run_at_once_and_the_next_waits_its_turn(played: Played) -> None:
    played.prober.replace(tuple(spec(name) for name in "abcdef"), "r1")
    now = monotonic_seconds()
    played.prober.step(now)
    assert (played.runner.names(), played.prober.deadline()) == (["a", "b", "c", "d"], None)
    played.runner.runs[1].exit(0)
    played.prober.step(now)
    assert played.runner.names() == ["a", "b", "c", "d", "e"]


def test_a_probe_never_overlaps_itself_and_runs_again_after_its_period(played: Played) -> None:
    played.prober.replace((spec("a", period_seconds=3),), "r1")
    now = monotonic_seconds()
    played.prober.step(now)
    played.prober.step(now + 100)
    assert played.runner.names() == ["a"]
    played.runner.runs[0].exit(0)
    assert played.prober.deadline() == pytest.approx(now + 3)
    played.prober.step(now + 2.9)
    played.prober.step(now + 3.1)
    assert played.runner.names() == ["a", "a"]


def test_another_list_cancels_what_it_drops_or_changes_and_keeps_the_rest(played: Played) -> None:
    played.prober.replace((spec("kept"), spec("changed"), spec("dropped")), "r1")
    played.prober.step(monotonic_seconds())
    played.prober.replace((spec("kept"), spec("changed", timeout_seconds=9)), "r2")
    assert [run.cancelled for run in played.runner.runs] == [False, True, True]
    played.runner.runs[0].exit(0)
    played.prober.step(monotonic_seconds())
    assert played.runner.names() == ["kept", "changed", "dropped", "changed"]
    assert verdicts(played.prober) == [("kept", "True", ""), ("changed", "Unknown", "ProbePending")]


def test_what_cannot_run_is_unknown_at_once_and_never_started(played: Played) -> None:
    elsewhere = ProbeSpec("elsewhere", "proxy", exec=ExecAction(("x",)), initial_delay_seconds=0)
    played.prober.replace((elsewhere,), "r1")
    played.prober.step(monotonic_seconds() + 1000)
    assert (played.runner.names(), verdicts(played.prober)) == (
        [],
        [("elsewhere", "Unknown", "ContainerNotFound")],
    )


def test_the_shortest_period_of_a_container_says_how_often_it_is_searched_for(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "find_main_processes", lambda _uid: {})
    specs = (spec("a", period_seconds=60), spec("b", period_seconds=12))
    played.prober.replace(specs, "r1")
    searches: list[float] = []
    for _ in range(8):
        due = played.containers.deadline()
        assert due is not None
        searches.append(due)
        played.containers.step(due)
    pauses = [round(later - earlier) for earlier, later in pairwise(searches)]
    assert pauses == [2, 4, 8, 12, 12, 12, 12]


def web(name: str, container: str = "game", **fields: object) -> ProbeSpec:
    handlers = {"exec": None, "tcp_socket": TCPSocketAction(80), **fields}
    return dataclasses.replace(spec(name, **handlers), container_name=container)


def test_a_network_probe_needs_no_container_where_none_can_be_seen(played: Played) -> None:
    played.containers.are_visible = False
    played.prober.replace((web("web", "ghost", initial_delay_seconds=7),), "r1")
    now = monotonic_seconds()
    assert played.prober.deadline() == pytest.approx(now + 7, abs=1)
    played.prober.step(now + 8)
    (run,) = played.runner.runs
    assert (run.spec.name, run.process) == ("web", None)


def test_a_network_probe_waits_for_its_container_where_it_can_be_seen(played: Played) -> None:
    played.containers.are_visible = True
    played.prober.replace((web("web", "ghost"), web("here", "game")), "r1")
    played.prober.step(monotonic_seconds() + 1000)
    assert (played.runner.names(), verdicts(played.prober)) == (
        ["here"],
        [("web", "Unknown", "ContainerNotFound"), ("here", "Unknown", "ProbePending")],
    )


def test_a_first_run_under_way_survives_another_list_that_keeps_its_probe(played: Played) -> None:
    played.containers.are_visible = False
    played.prober.replace((web("web"),), "r1")
    played.prober.step(monotonic_seconds() + 1)
    played.prober.replace((web("web"), web("other")), "r2")
    assert [run.cancelled for run in played.runner.runs] == [False]


def test_a_failed_self_test_shows_only_where_no_probe_has_said_anything_yet(played: Played) -> None:
    played.prober.replace((spec("ran"), spec("waits", initial_delay_seconds=3600)), "r1")
    played.prober.step(monotonic_seconds())
    played.runner.runs[0].exit(0)
    refusal = Outcome(Status.UNKNOWN, reason="MissingCapability", message="add it")
    played.prober.cannot_enter("proxy", refusal)
    played.prober.cannot_enter("game", refusal)
    assert verdicts(played.prober) == [
        ("ran", "True", ""),
        ("waits", "Unknown", "MissingCapability"),
    ]
    assert [probe.state.runs for probe in played.prober.probes] == [1, 0]


def test_runs_are_counted_by_their_end_while_the_probe_is_listed(played: Played) -> None:
    played.prober.replace((spec("a"), spec("b")), "r1")
    played.prober.step(monotonic_seconds())
    for run, code in zip(played.runner.runs, (0, 1), strict=True):
        run.exit(code)
    played.prober.replace((spec("a", period_seconds=9), spec("c")), "r2")
    assert {name: counter.by_status for name, counter in played.prober.counters.items()} == {
        "a": {Status.TRUE: 1, Status.FALSE: 0, Status.UNKNOWN: 0},
        "c": {Status.TRUE: 0, Status.FALSE: 0, Status.UNKNOWN: 0},
    }


def test_only_a_changed_verdict_is_a_change(played: Played) -> None:
    played.prober.replace((spec("a", period_seconds=1),), "r1")
    changes = []
    for number, (code, text) in enumerate([(0, "x"), (0, "x"), (0, "y"), (1, "y"), (1, "y")]):
        played.prober.step(monotonic_seconds() + 10 * number)
        before = len(played.changes)
        played.runner.runs[-1].exit(code, text)
        changes.append(len(played.changes) - before)
    assert changes == [1, 0, 1, 1, 0]


def test_twenty_runs_are_remembered(played: Played) -> None:
    played.prober.replace((spec("a", period_seconds=1),), "r1")
    for number in range(25):
        played.prober.step(monotonic_seconds() + 10 * number)
        played.runner.runs[-1].exit(number + 1)
    (probe,) = played.prober.probes
    assert [outcome.exit_code for outcome in probe.history] == list(range(6, 26))
