"""Which keys are to be reconciled, each by one worker at a time. In memory, one event loop.

The queue holds keys, never objects or events: however often something changed, one look at the
current state is enough. Three sets tell where a key is: waiting (in order), running, and dirty
(added while it runs, so it runs once more). Delays are timers of the event loop, so tests with
virtual time need no clock of their own.
Source: client-go util/workqueue, whose rules for add, done, add_after and forget these are.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from typing import TYPE_CHECKING, Generic, TypeVar

from shared.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")

# client-go waits 5 ms to 1000 s; the first is too short for a cache to catch up after a conflict,
# and the last makes a person wait who has just repaired what was wrong.
RETRY_BACKOFF = Backoff(base_seconds=0.05, cap_seconds=60.0)


class WorkQueue(Generic[K]):
    """A queue of distinct keys with delays and a failure count for each key.

    Args:
        backoff: waits of `add_rate_limited`.
        share: random numbers in [0, 1) for the jitter.
    """

    def __init__(
        self, backoff: Backoff = RETRY_BACKOFF, share: Callable[[], float] = random.random
    ) -> None:
        self._backoff = backoff
        self._share = share
        self._waiting: deque[K] = deque()
        self._queued: set[K] = set()
        self._running: set[K] = set()
        self._dirty: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: Counter[K] = Counter()
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Return the number of keys that wait now; delayed ones do not count."""
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Have `key` run as soon as a worker is free, once more if it is running now."""
        if self._closed:
            return
        if key in self._running:
            self._dirty.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._waiting.append(key)
            self._changed.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Have `key` run after `seconds`, or earlier if an earlier delay of it is pending."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        pending = self._timers.get(key)
        if pending is not None:
            if pending.when() <= due:
                return
            pending.cancel()
        self._timers[key] = loop.call_at(due, self._fire, key)

    def add_rate_limited(self, key: K, at_least_seconds: float = 0.0) -> float:
        """Count a failure of `key`, have it run after its backoff, return that wait in seconds."""
        self._failures[key] += 1
        # Half of the wait is fixed, or a key that always fails would at times retry at once.
        ceiling = self._backoff.ceiling_seconds(self._failures[key])
        seconds = max(at_least_seconds, ceiling * (0.5 + self._share() / 2))
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: K) -> None:
        """Forget the failures of `key`; it stays in the queue if it is there."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Return how often `key` failed in a row."""
        return self._failures[key]

    async def get(self) -> K | None:
        """Wait for a key and mark it running; None when the queue is shut down and empty.

        The caller must call `done` with it, whatever happens.
        """
        while not self._waiting:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        key = self._waiting.popleft()
        self._queued.discard(key)
        self._running.add(key)
        return key

    def done(self, key: K) -> None:
        """End the run of `key`; if it was added meanwhile it waits again."""
        self._running.discard(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def shut_down(self) -> None:
        """Take no more keys, drop the delayed ones; what waits is still handed out, then None."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._changed.set()

    def _fire(self, key: K) -> None:
        del self._timers[key]
        self.add(key)
