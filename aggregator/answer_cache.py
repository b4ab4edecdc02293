"""Remembers answers that cost a request, each for a time of its own. Not pure: it asks.

Theory: an answer is *fresh* for a while, in which nobody is asked again; after that it is asked
again, and while nobody can be asked it stays *usable* until a second, later time. Who asks for the
same key at the same time shares one request. The memory is bounded; what was used longest ago goes
first. Answers that strangers can bring about as they like, such as refusals of made-up tokens, have
a memory of their own: a flood of them pushes out no other.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from shared.clock import monotonic_seconds
from shared.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


# They are kept for seconds, to spare the API server the one who asks the same thing without end.
_MOST_BY_STRANGERS = 4_096


@dataclass(frozen=True, slots=True)
class Remembered(Generic[V]):
    """An answer, and for how long it holds.

    Attributes:
        fresh_seconds: not asked again for so long.
        usable_seconds: given for so long while asking fails; at least `fresh_seconds`.
        by_strangers: anybody can bring about as many of these as he likes.
    """

    value: V
    fresh_seconds: float
    usable_seconds: float = 0.0
    by_strangers: bool = False


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    fresh_until: float
    usable_until: float


@dataclass(slots=True)
class _Flight:
    """A request under way, shared by all who ask for the same key."""

    lock: asyncio.Lock
    waiting: int = 0


class AnswerCache(Generic[K, V]):
    """Answers by key.

    Args:
        capacity: number of answers kept, and once more as many of those by strangers, up to 4,096.
        concurrency: how many requests run at a time, whatever their keys.
        monotonic: seconds.
    """

    def __init__(
        self,
        capacity: int,
        concurrency: int,
        monotonic: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self._capacity = capacity
        self._monotonic = monotonic
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._by_strangers: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._flights: dict[K, _Flight] = {}
        self._slots = asyncio.Semaphore(concurrency)

    def __len__(self) -> int:
        return len(self._entries) + len(self._by_strangers)

    def fresh(self, key: K) -> V | None:
        """Return the answer for `key` if it is remembered and need not be asked for again."""
        entry = self._use(key)
        return entry.value if entry is not None and self._is_fresh(entry) else None

    async def get(self, key: K, ask: Callable[[], Awaitable[Remembered[V]]]) -> V:
        """Return the answer for `key`, remembered or asked for now.

        Raises:
            TransientError: nobody could be asked, and nothing usable is remembered.
        """
        entry = self._use(key)
        if entry is not None and self._is_fresh(entry):
            return entry.value
        return await self._share_flight(key, ask)

    async def _share_flight(self, key: K, ask: Callable[[], Awaitable[Remembered[V]]]) -> V:
        """Ask; whoever asks meanwhile waits and finds the answer remembered.

        A lock instead of a shared future: if the first one is cancelled, because its client hung
        up, the next one goes on in its place.
        """
        flight = self._flights.setdefault(key, _Flight(asyncio.Lock()))
        flight.waiting += 1
        try:
            async with flight.lock:
                entry = self._use(key)
                if entry is not None and self._is_fresh(entry):
                    return entry.value
                return await self._ask(key, entry, ask)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0:
                self._flights.pop(key, None)

    async def _ask(
        self, key: K, former: _Entry[V] | None, ask: Callable[[], Awaitable[Remembered[V]]]
    ) -> V:
        try:
            async with self._slots:
                answer = await ask()
        except TransientError:
            if former is not None and self._monotonic() < former.usable_until:
                return former.value
            raise
        now = self._monotonic()
        usable_seconds = max(answer.fresh_seconds, answer.usable_seconds)
        entry = _Entry(answer.value, now + answer.fresh_seconds, now + usable_seconds)
        self._keep(key, entry, by_strangers=answer.by_strangers)
        return answer.value

    def _is_fresh(self, entry: _Entry[V]) -> bool:
        return self._monotonic() < entry.fresh_until

    def _use(self, key: K) -> _Entry[V] | None:
        """Return what is remembered for `key`, fresh or not; it is then forgotten last."""
        for entries in (self._entries, self._by_strangers):
            entry = entries.get(key)
            if entry is not None:
                entries.move_to_end(key)
                return entry
        return None

    def _keep(self, key: K, entry: _Entry[V], *, by_strangers: bool) -> None:
        entries, others, capacity = self._entries, self._by_strangers, self._capacity
        if by_strangers:
            entries, others, capacity = others, entries, min(capacity, _MOST_BY_STRANGERS)
        others.pop(key, None)
        entries[key] = entry
        entries.move_to_end(key)
        while len(entries) > capacity:
            entries.popitem(last=False)
