"""Answers are asked for once, hold for as long as they say, and outlive those who give them."""

import asyncio
from collections import deque

import pytest

from aggregator.answer_cache import AnswerCache, Remembered
from aggregator.kube.errors import Unavailable
from shared.errors import TransientError

pytestmark = pytest.mark.looptime


class Oracle:
    """Gives numbered answers, each after a second."""

    def __init__(self, fresh: float = 10, usable: float = 0) -> None:
        self.asked = 0
        self.fresh = fresh
        self.usable = usable
        self.failures: deque[Exception] = deque()

    async def __call__(self) -> Remembered[int]:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(1)
        if self.failures:
            raise self.failures.popleft()
        return Remembered(number, self.fresh, self.usable)


@pytest.fixture
def cache() -> AnswerCache[str, int]:
    return AnswerCache(2, 4, monotonic=lambda: asyncio.get_running_loop().time())


async def test_an_answer_is_given_again_while_it_is_fresh(cache: AnswerCache[str, int]) -> None:
    oracle = Oracle(fresh=10)
    answers = [await cache.get("a", oracle)]
    await asyncio.sleep(9.9)
    answers.append(await cache.get("a", oracle))
    await asyncio.sleep(0.2)
    answers.append(await cache.get("a", oracle))
    assert answers == [1, 1, 2]


async def test_a_fresh_answer_is_there_without_asking_and_an_old_one_is_not(
    cache: AnswerCache[str, int],
) -> None:
    seen = [cache.fresh("a")]
    await cache.get("a", Oracle(fresh=10, usable=60))
    seen.append(cache.fresh("a"))
    await asyncio.sleep(10)
    seen.append(cache.fresh("a"))
    assert seen == [None, 1, None]


async def test_an_answer_that_is_looked_at_is_not_the_first_to_be_forgotten(
    cache: AnswerCache[str, int],
) -> None:
    for key in ("a", "b"):
        await cache.get(key, Oracle(fresh=60))
    cache.fresh("a")
    await cache.get("c", Oracle(fresh=60))
    assert [cache.fresh(key) for key in ("a", "b", "c")] == [1, None, 1]


async def test_a_flood_of_answers_by_strangers_pushes_out_no_other(
    cache: AnswerCache[str, int],
) -> None:
    async def refuse() -> Remembered[int]:
        return Remembered(0, 60, by_strangers=True)

    await cache.get("friend", Oracle(fresh=60))
    for number in range(10):
        await cache.get(f"stranger-{number}", refuse)
    kept = [cache.fresh(key) for key in ("friend", "stranger-7", "stranger-8", "stranger-9")]
    assert (kept, len(cache)) == ([1, None, 0, 0], 3)


async def test_a_stranger_who_becomes_known_is_remembered_once(
    cache: AnswerCache[str, int],
) -> None:
    async def refuse() -> Remembered[int]:
        return Remembered(0, 5, by_strangers=True)

    await cache.get("a", refuse)
    await asyncio.sleep(5)
    await cache.get("a", Oracle(fresh=60))
    assert (cache.fresh("a"), len(cache)) == (1, 1)


async def test_an_old_answer_is_given_while_nobody_can_be_asked_and_no_longer(
    cache: AnswerCache[str, int],
) -> None:
    oracle = Oracle(fresh=10, usable=20)
    await cache.get("a", oracle)
    oracle.failures.extend(Unavailable("Down", "down") for _ in range(2))
    await asyncio.sleep(15)
    assert await cache.get("a", oracle) == 1
    await asyncio.sleep(5)
    with pytest.raises(TransientError):
        await cache.get("a", oracle)
    assert await cache.get("a", oracle) == 4


async def test_a_failure_is_not_remembered(cache: AnswerCache[str, int]) -> None:
    oracle = Oracle()
    oracle.failures.append(Unavailable("Down", "down"))
    with pytest.raises(TransientError):
        await cache.get("a", oracle)
    assert (await cache.get("a", oracle), len(cache)) == (2, 1)


async def test_who_asks_for_the_same_shares_a_request_and_others_do_not_wait(
    cache: AnswerCache[str, int],
) -> None:
    one, other = Oracle(), Oracle()
    begin = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(cache.get("a", one))
        tasks.create_task(cache.get("b", other))
    assert (one.asked, other.asked) == (1, 1)
    assert asyncio.get_running_loop().time() - begin == pytest.approx(1)


async def test_what_was_used_longest_ago_goes_first(cache: AnswerCache[str, int]) -> None:
    oracles = {key: Oracle(fresh=1000) for key in "abc"}
    for key in "abacab":
        await cache.get(key, oracles[key])
    assert {key: oracle.asked for key, oracle in oracles.items()} == {"a": 1, "b": 2, "c": 1}
