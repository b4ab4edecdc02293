"""How often each of many senders may do something. Pure: the time comes in as an argument.

Theory: a bucket holds at most `burst` tokens and gains `rate_per_second`; each act takes one. So a
sender may act in bursts, and in the long run at the rate. Full buckets are the normal state and
need not be kept: only the keys that acted last are.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")


class TokenBuckets(Generic[K]):
    """One token bucket for each key.

    Args:
        rate_per_second: tokens gained in a second.
        burst: tokens of a full bucket.
        capacity: number of keys kept; the one that acted longest ago is dropped first.
    """

    def __init__(self, rate_per_second: float, burst: int, capacity: int) -> None:
        self._rate = rate_per_second
        self._burst = float(burst)
        self._capacity = capacity
        self._buckets: OrderedDict[K, tuple[float, float]] = OrderedDict()

    def take(self, key: K, now: float) -> float:
        """Take a token of `key`; return 0 if there was one, else the seconds until there is.

        Args:
            key: the sender.
            now: seconds of a monotonic clock.
        """
        tokens, since = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[key] = (tokens if wait else tokens - 1, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        return wait
