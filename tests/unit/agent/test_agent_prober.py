"""The prober with a back end that the test plays: concurrency, overlap, changes of the list."""

from __future__ import annotations

import os
import selectors
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent import containers
from agent.containers import Containers
from agent.exec.resolve import MainProcess
from agent.exec.wire import EXITED, Reply
from agent.prober import Prober
from agent.probes.exec import ExecRun
from shared.clock import Clock, monotonic_seconds
from shared.protocol.probes import ExecAction, ProbeSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Started:
    """A run as the back end was asked for it."""

    process: MainProcess
    command: tuple[str, ...]
    on_done: Callable[[ExecRun], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    def exit(self, code: int, stdout: bytes = b"") -> None:
        self.on_done(ExecRun(Reply(EXITED, code), stdout, b"", START, 0.01))


@dataclass
class Backend:
    """Starts nothing; remembers what it was asked for."""

    name: str = "played"
    runs: list[Started] = field(default_factory=list)

    def start(
        self,
        process: MainProcess,
        command: tuple[str, ...],
        timeout_seconds: float,
        on_done: Callable[[ExecRun], None],
    ) -> Started:
        self.runs.append(Started(process, command, on_done))
        return self.runs[-1]

    def commands(self) -> list[str]:
        return [run.command[0] for run in self.runs]


@dataclass
class Played:
    """A prober whose one container `game` is this very process."""

    prober: Prober
    backend: Backend
    changes: list[None]


def own_process() -> MainProcess:
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return MainProcess(starttime=int(stat[19]), pid=os.getpid())


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    monkeypatch.setattr(containers, "find_main_processes", lambda _uid: {"game": own_process()})
    backend, changes = Backend(), list[None]()
    with selectors.DefaultSelector() as selector:

        def container_changed(name: str) -> None:
            prober.container_changed(name)

        watched = Containers(selector, "uid", container_changed)
        prober = Prober(watched, backend, 4, lambda: changes.append(None), lambda: 0.0, Clock())
        yield Played(prober, backend, changes)
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
    assert (played.backend.commands(), played.prober.deadline()) == (["a", "b", "c", "d"], None)
    played.backend.runs[1].exit(0)
    played.prober.step(now)
    assert played.backend.commands() == ["a", "b", "c", "d", "e"]


def test_a_probe_never_overlaps_itself_and_runs_again_after_its_period(played: Played) -> None:
    played.prober.replace((spec("a", period_seconds=3),), "r1")
    now = monotonic_seconds()
    played.prober.step(now)
    played.prober.step(now + 100)
    assert played.backend.commands() == ["a"]
    played.backend.runs[0].exit(0)
    assert played.prober.deadline() == pytest.approx(now + 3)
    played.prober.step(now + 2.9)
    played.prober.step(now + 3.1)
    assert played.backend.commands() == ["a", "a"]


def test_another_list_cancels_what_it_drops_or_changes_and_keeps_the_rest(played: Played) -> None:
    played.prober.replace((spec("kept"), spec("changed"), spec("dropped")), "r1")
    played.prober.step(monotonic_seconds())
    played.prober.replace((spec("kept"), spec("changed", timeout_seconds=9)), "r2")
    assert [run.cancelled for run in played.backend.runs] == [False, True, True]
    played.backend.runs[0].exit(0)
    played.prober.step(monotonic_seconds())
    assert played.backend.commands() == ["kept", "changed", "dropped", "changed"]
    assert verdicts(played.prober) == [("kept", "True", ""), ("changed", "Unknown", "ProbePending")]


def test_what_cannot_run_is_unknown_at_once_and_never_started(played: Played) -> None:
    elsewhere = ProbeSpec("elsewhere", "proxy", exec=ExecAction(("x",)), initial_delay_seconds=0)
    played.prober.replace((elsewhere, spec("web", exec=None)), "r1")
    played.prober.step(monotonic_seconds() + 1000)
    assert (played.backend.commands(), verdicts(played.prober)) == (
        [],
        [
            ("elsewhere", "Unknown", "ContainerNotFound"),
            ("web", "Unknown", "HandlerNotSupported"),
        ],
    )


def test_only_a_changed_verdict_is_a_change(played: Played) -> None:
    played.prober.replace((spec("a", period_seconds=1),), "r1")
    changes = []
    for number, (code, text) in enumerate([(0, b"x"), (0, b"x"), (0, b"y"), (1, b"y"), (1, b"y")]):
        played.prober.step(monotonic_seconds() + 10 * number)
        before = len(played.changes)
        played.backend.runs[-1].exit(code, text)
        changes.append(len(played.changes) - before)
    assert changes == [1, 0, 1, 1, 0]


def test_twenty_runs_are_remembered(played: Played) -> None:
    played.prober.replace((spec("a", period_seconds=1),), "r1")
    for number in range(25):
        played.prober.step(monotonic_seconds() + 10 * number)
        played.backend.runs[-1].exit(number + 1)
    (probe,) = played.prober.probes
    assert [outcome.exit_code for outcome in probe.history] == list(range(6, 26))
