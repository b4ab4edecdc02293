"""The work queue, in virtual time."""

import asyncio

import pytest

from aggregator.kube.workqueue import WorkQueue
from shared.backoff import Backoff


def queue(**options) -> WorkQueue[str]:
    return WorkQueue(Backoff(base_seconds=1.0, cap_seconds=8.0), share=lambda: 0.0, **options)


async def test_a_key_added_often_waits_once_and_in_order() -> None:
    work = queue()
    for key in ("a", "b", "a", "b", "a"):
        work.add(key)
    assert (len(work), await work.get(), await work.get(), len(work)) == (2, "a", "b", 0)


@pytest.mark.looptime
async def test_a_key_added_while_it_runs_runs_once_more_and_never_twice_at_a_time() -> None:
    work = queue()
    work.add("a")
    assert await work.get() == "a"
    work.add("a")
    work.add("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work.get(), 60)
    work.done("a")
    assert await work.get() == "a"
    work.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work.get(), 60)


@pytest.mark.looptime
async def test_the_earlier_of_two_delays_wins() -> None:
    loop = asyncio.get_running_loop()
    work = queue()
    start = loop.time()
    work.add_after("a", 10)
    work.add_after("a", 2)
    work.add_after("a", 30)
    await work.get()
    assert loop.time() - start == pytest.approx(2)
    work.done("a")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work.get(), 60)


@pytest.mark.looptime
async def test_failures_of_one_key_double_its_wait_up_to_the_cap_until_forgotten() -> None:
    work = queue()
    waits = [work.add_rate_limited("a") for _ in range(6)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert (work.failures("a"), work.failures("b")) == (6, 0)
    work.forget("a")
    assert (work.failures("a"), work.add_rate_limited("a", at_least_seconds=9.0)) == (0, 9.0)
    work.shut_down()


async def test_no_delay_is_now() -> None:
    work = queue()
    work.add_after("a", 0)
    work.add_after("b", -1)
    assert len(work) == 2


@pytest.mark.looptime
async def test_a_queue_that_shuts_down_hands_out_what_waits_and_then_nothing() -> None:
    work = queue()
    work.add("a")
    work.add_after("late", 5)
    work.shut_down()
    work.add("b")
    work.add_after("c", 1)
    assert [await work.get(), await work.get(), await work.get()] == ["a", None, None]
    await asyncio.sleep(60)
    assert len(work) == 0


@pytest.mark.looptime
async def test_shutting_down_wakes_every_idle_worker() -> None:
    work = queue()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work.get()) for _ in range(3)]
        await asyncio.sleep(1)
        work.shut_down()
    assert [task.result() for task in tasks] == [None, None, None]
