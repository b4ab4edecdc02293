"""Many requests: bounded, none lost to another's failure, and a slow start."""

import asyncio

import pytest

from aggregator.kube.batch import run_batch, run_slow_start
from aggregator.kube.errors import Rejected, Unavailable

REFUSED = Rejected("Forbidden", "exceeded quota", 403)
AWAY = Unavailable("ServiceUnavailable", "no answer")


class Jobs:
    """Numbered jobs that note when they run; those in `failing` raise."""

    def __init__(self, failing=None):
        self.failing = failing or {}
        self.started = []
        self.finished = []
        self.running = 0
        self.most = 0

    def __call__(self, count):
        return [self._job(number) for number in range(count)]

    def _job(self, number):
        async def run():
            self.started.append(number)
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0)
            self.running -= 1
            if number in self.failing:
                raise self.failing[number]
            self.finished.append(number)

        return run


async def test_a_batch_runs_all_its_jobs_whoever_fails():
    jobs = Jobs({3: AWAY, 1: REFUSED})
    assert await run_batch(jobs(6), 4) == [REFUSED, AWAY]
    assert sorted(jobs.finished) == [0, 2, 4, 5]


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (3, 3), (99, 10)])
async def test_a_batch_is_bounded(limit, most):
    jobs = Jobs()
    assert await run_batch(jobs(10), limit) == []
    assert (jobs.most, sorted(jobs.finished)) == (most, list(range(10)))


async def test_a_bug_is_not_collected():
    with pytest.raises(ExceptionGroup) as raised:
        await run_batch(Jobs({0: TypeError("bug")})(1), 4)
    assert raised.group_contains(TypeError, match="bug")


@pytest.mark.parametrize(
    ("failing", "started"),
    [(None, 20), (0, 1), (1, 3), (2, 3), (3, 7), (7, 11), (19, 20)],
)
async def test_a_slow_start_doubles_and_stops_after_a_batch_with_a_failure(failing, started):
    jobs = Jobs({failing: REFUSED})
    failures = await run_slow_start(jobs(20), 4)
    assert failures == ([] if failing is None else [REFUSED])
    assert sorted(jobs.started) == list(range(started))
    assert jobs.most <= 4


async def test_nothing_to_start():
    assert await run_slow_start([], 4) == []
