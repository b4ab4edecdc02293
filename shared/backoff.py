"""Exponential backoff with full jitter. Pure: the random share comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after the n-th failure in a row.

    Full jitter spreads the retries of a fleet over the whole interval instead of a band at its end.

    Args:
        base_seconds: upper bound of the first wait.
        cap_seconds: upper bound of every wait.
    """

    base_seconds: float
    cap_seconds: float

    def ceiling_seconds(self, failures: int) -> float:
        """Return the largest wait after `failures` (>= 1) failures in a row."""
        # 2**64 would overflow nothing in Python, but the cap is reached long before.
        return min(self.cap_seconds, self.base_seconds * 2.0 ** min(failures - 1, 63))

    def delay_seconds(self, failures: int, share: float) -> float:
        """Return the wait after `failures` (>= 1) in a row; `share` is random in [0, 1)."""
        return self.ceiling_seconds(failures) * share
