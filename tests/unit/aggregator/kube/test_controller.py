"""What a controller makes of the ways in which a reconcile can end."""

import asyncio
from collections import Counter

import pytest
from structlog.testing import capture_logs

from aggregator.kube.controller import Controller, Result
from aggregator.kube.errors import Conflict, Throttled
from aggregator.kube.resources import ObjectKey
from aggregator.kube.workqueue import WorkQueue
from shared.backoff import Backoff
from shared.errors import TerminalError, TransientError

KEY = ObjectKey("games", "a")


class Script:
    """A reconciler that does what it is told, one step for each run, and remembers when it ran."""

    def __init__(self, *steps: Exception | Result) -> None:
        self.steps = list(steps)
        self.times: list[float] = []

    async def __call__(self, key: ObjectKey) -> Result:
        assert key == KEY
        self.times.append(round(asyncio.get_running_loop().time(), 3))
        step = self.steps.pop(0) if self.steps else Result()
        if isinstance(step, Exception):
            raise step
        return step


async def run(script: Script, seconds: float = 100.0) -> tuple[Controller, list[float]]:
    queue: WorkQueue[ObjectKey] = WorkQueue(Backoff(1.0, 8.0), share=lambda: 0.0)
    controller = Controller("test", script, workers=2, queue=queue)
    start = asyncio.get_running_loop().time()
    queue.add(KEY)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await controller.run()
    return controller, [round(time - start, 3) for time in script.times]


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("step", "times", "outcomes", "levels"),
    [
        pytest.param(Result(), [0.0], {"ok": 1}, ["debug"], id="success"),
        pytest.param(
            Result(changes=("create 0",)), [0.0], {"ok": 1}, ["info"], id="success that wrote"
        ),
        pytest.param(
            Result(requeue_after_seconds=7.0),
            [0.0, 7.0],
            {"ok": 2},
            ["debug", "debug"],
            id="success that wants to be asked again",
        ),
        pytest.param(
            Conflict("Conflict", "changed"),
            [0.0, 0.5],
            {"stale": 1, "ok": 1},
            ["debug", "debug"],
            id="conflict",
        ),
        pytest.param(
            TransientError("Away", "later"),
            [0.0, 0.5],
            {"transient": 1, "ok": 1},
            ["warning", "debug"],
            id="transient",
        ),
        pytest.param(
            Throttled("TooManyRequests", "wait", 20.0),
            [0.0, 20.0],
            {"transient": 1, "ok": 1},
            ["warning", "debug"],
            id="transient with Retry-After",
        ),
        pytest.param(
            TerminalError("Broken", "repair it"), [0.0], {"terminal": 1}, ["warning"], id="terminal"
        ),
        pytest.param(
            ZeroDivisionError("bug"),
            [0.0, 0.5],
            {"bug": 1, "ok": 1},
            ["error", "debug"],
            id="bug",
        ),
    ],
)
async def test_the_end_of_a_run_decides_about_the_next(step, times, outcomes, levels) -> None:
    with capture_logs() as logs:
        controller, actual = await run(Script(step))
    assert (actual, controller.outcomes) == (times, Counter(outcomes))
    assert [line["log_level"] for line in logs] == levels


@pytest.mark.looptime
async def test_failures_in_a_row_wait_longer_and_a_success_forgets_them() -> None:
    away = TransientError("Away", "later")
    _, times = await run(Script(away, away, away, Result(requeue_after_seconds=1.0), away))
    assert times == [0.0, 0.5, 1.5, 3.5, 4.5, 5.0]


@pytest.mark.looptime
async def test_a_drained_controller_ends_after_the_runs_under_way() -> None:
    finished: list[ObjectKey] = []

    async def slow(key: ObjectKey) -> Result:
        await asyncio.sleep(5)
        finished.append(key)
        return Result()

    controller = Controller("test", slow, workers=2)
    keys = [ObjectKey("games", name) for name in "abc"]
    async with asyncio.TaskGroup() as group:
        for key in keys:
            controller.queue.add(key)
        group.create_task(controller.run())
        await asyncio.sleep(1)
        controller.queue.shut_down()
    assert finished == keys


@pytest.mark.looptime
async def test_a_log_line_says_which_object_how_it_ended_and_why() -> None:
    with capture_logs() as logs:
        await run(Script(TransientError("Away", "later")), seconds=0.1)
    line = dict(logs[0])
    assert line.pop("duration_seconds") >= 0
    assert line == {
        "event": "reconciled",
        "log_level": "warning",
        "outcome": "transient",
        "reason": "Away",
        "message": "later",
        "failures": 1,
        "retry_seconds": 0.5,
    }
