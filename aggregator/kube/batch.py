"""Many requests at a time, but not too many, and none lost to the failure of another. Not pure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shared.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


async def run_batch(jobs: Sequence[Callable[[], Awaitable[None]]], limit: int) -> list[AppError]:
    """Run all jobs, at most `limit` at a time, and return the failures in the order of the jobs.

    A failed job stops no other: a request that was sent has happened, whoever waits for it.
    """
    places = asyncio.Semaphore(limit)
    failures: dict[int, AppError] = {}

    async def run(number: int, job: Callable[[], Awaitable[None]]) -> None:
        async with places:
            try:
                await job()
            except AppError as error:
                failures[number] = error

    async with asyncio.TaskGroup() as group:
        for number, job in enumerate(jobs):
            group.create_task(run(number, job))
    return [failures[number] for number in sorted(failures)]


async def run_slow_start(
    jobs: Sequence[Callable[[], Awaitable[None]]], limit: int, first: int = 1
) -> list[AppError]:
    """Run jobs in batches of `first`, twice that, ... `limit`; stop after a batch with failures.

    What the API server refuses once (a quota, an admission rule) it would refuse a thousand times.
    Source: the slow start of the ReplicaSet controller.
    """
    size = min(first, limit)
    start = 0
    while start < len(jobs):
        failures = await run_batch(jobs[start : start + size], limit)
        if failures:
            return failures
        start += size
        size = min(size * 2, limit)
    return []
