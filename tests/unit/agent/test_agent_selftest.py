"""The self-test of the exec back end: which containers are tried, when, and what follows."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from agent.containers import Container
from agent.exec.resolve import MainProcess
from agent.exec.wire import EXITED, FAILED, TIMED_OUT, Reply
from agent.probes.exec import ExecRun
from agent.selftest import SelfTest

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.probes.outcome import Outcome

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Played:
    """Containers, back end and the receiver of bad news in one."""

    running: dict[str, Container] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    name: str = "played"

    def get(self, name: str) -> Container | None:
        return self.running.get(name)

    def run_container(self, name: str, pid: int) -> None:
        self.running[name] = Container(MainProcess(1, pid), 0.0, START)

    def start(
        self,
        process: MainProcess,
        command: tuple[str, ...],
        timeout_seconds: float,
        on_done: Callable[[ExecRun], None],
    ) -> Trial:
        assert (command, timeout_seconds) == ((), 5.0)
        self.trials.append(Trial(process.pid, on_done))
        return self.trials[-1]

    def refuse(self, name: str, outcome: Outcome) -> None:
        self.refused.append((name, outcome.reason, outcome.message))

    def pids(self) -> list[int]:
        return [trial.pid for trial in self.trials]


@dataclass
class Trial:
    """One entry as the back end was asked for it."""

    pid: int
    on_done: Callable[[ExecRun], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True

    def end(self, reply: Reply) -> None:
        self.on_done(ExecRun(reply, b"", b"", START, 0.004))


@pytest.fixture
def played() -> Played:
    return Played()


@pytest.fixture
def selftest(played: Played) -> SelfTest:
    parts: Any = played
    return SelfTest(parts, played, played.refuse)


def test_a_container_is_tried_once_in_each_of_its_lives(played: Played, selftest: SelfTest) -> None:
    selftest.look({"game"})
    played.run_container("game", 7)
    selftest.look({"game"})
    selftest.look({"game"})
    assert (played.pids(), selftest.describe()) == ([7], {"game": {"passed": None}})
    played.trials[0].end(Reply(EXITED, 0))
    selftest.look({"game"})
    played.run_container("game", 8)
    selftest.look({"game"})
    assert played.pids() == [7, 8]


def test_a_passed_test_is_shown_and_logged(
    played: Played, selftest: SelfTest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    played.run_container("game", 7)
    selftest.look({"game"})
    played.trials[0].end(Reply(EXITED, 0))
    assert selftest.describe() == {
        "game": {
            "passed": True,
            "reason": "",
            "message": "",
            "at": "2026-01-01T00:00:00.000Z",
            "durationSeconds": 0.004,
        }
    }
    assert ([record.message for record in caplog.records], played.refused) == (
        ["self-test passed"],
        [],
    )


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(FAILED, reason="MissingCapability", message="add it"), "MissingCapability"),
        (Reply(TIMED_OUT), "Timeout"),
    ],
    ids=["refused", "stuck"],
)
def test_a_failed_test_is_told_logged_and_shown(
    played: Played,
    selftest: SelfTest,
    caplog: pytest.LogCaptureFixture,
    reply: Reply,
    reason: str,
) -> None:
    played.run_container("game", 7)
    selftest.look({"game"})
    played.trials[0].end(reply)
    shown = selftest.describe()["game"]
    assert (shown["passed"], shown["reason"]) == (False, reason)
    assert [record.message for record in caplog.records] == ["self-test failed"]
    assert played.refused == [("game", reason, shown["message"])]


@pytest.mark.parametrize("ending", ["dropped", "ended", "closed"])
def test_a_trial_that_nobody_needs_any_more_is_cancelled(
    played: Played, selftest: SelfTest, ending: str
) -> None:
    played.run_container("game", 7)
    selftest.look({"game"})
    if ending == "ended":
        played.running.clear()
        selftest.look({"game"})
    elif ending == "dropped":
        selftest.look({"proxy"})
    else:
        selftest.close()
    assert (played.trials[0].cancelled, selftest.describe()) == (True, {})
