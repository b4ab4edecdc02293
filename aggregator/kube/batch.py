"""Many requests at a time, but not too many, and none lost to the failure of another. Not pure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shared.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


async def run_batch(
    jobs: Sequence[Callable[[], Awaitable[None]]], limit: int, *, stop_at_failure: bool = False
) -> list[AppError]:
    """Run jobs, at most `limit` at a time, and return the failures in the order of the jobs.

    A failed job ends no other that has begun: a request that was sent has happened, whoever waits
    for it. With `stop_at_failure` none begins after a failure.
    """
    waiting = iter(enumerate(jobs))
    failures: dict[int, AppError] = {}

    async def work() -> None:
        for number, job in waiting:
            try:
                await job()
            except AppError as error:
                failures[number] = error
            if failures and stop_at_failure:
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, len(jobs))):
            group.create_task(work())
    return [failures[number] for number in sorted(failures)]


async def run_slow_start(
    jobs: Sequence[Callable[[], Awaitable[None]]], limit: int, first: int = 1
) -> list[AppError]:
    """Run jobs in batches of `first`, twice that, ... `limit`, then as fast as `limit` allows.

    Stops after the first failure: what the API server refuses once (a quota, an admission rule) it
    would refuse a thousand times.
    Source: the slow start of the ReplicaSet controller.
    """
    size = min(first, limit)
    start = 0
    while start < len(jobs):
        count = size if size < limit else len(jobs)
        failures = await run_batch(
            jobs[start : start + count], limit, stop_at_failure=size >= limit
        )
        if failures:
            return failures
        start += count
        size = min(size * 2, limit)
    return []
