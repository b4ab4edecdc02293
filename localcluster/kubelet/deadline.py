"""A grace period: a moment that may come nearer but never move away. Not pure: reads the clock.

Source: Kubernetes documentation, "Pod Lifecycle", termination: a second deletion may shorten the
grace period; a container whose preStop hook used all of it still gets two seconds after SIGTERM.
"""

from __future__ import annotations

import asyncio
from typing import Any

from shared.clock import monotonic_seconds


class Deadline:
    """The end of a grace period; belongs to one event loop.

    Args:
        seconds: from now; 0 leaves no time for anything but SIGKILL.
    """

    def __init__(self, seconds: float) -> None:
        self._at = monotonic_seconds() + seconds
        self._nearer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.immediate = seconds <= 0

    @property
    def left_seconds(self) -> float:
        """How long until the deadline; negative after it."""
        return self._at - monotonic_seconds()

    def bring_forward(self, seconds: float) -> None:
        """Let the deadline be `seconds` from now unless it is nearer already."""
        self.immediate = self.immediate or seconds <= 0
        at = monotonic_seconds() + seconds
        if at < self._at:
            self._at = at
            nearer, self._nearer = self._nearer, asyncio.get_running_loop().create_future()
            nearer.set_result(None)

    async def wait_for(self, end: asyncio.Future[Any], least_seconds: float = 0.0) -> bool:
        """Return whether `end` is done, once it is or the deadline has passed.

        Args:
            end: is waited for, and left alone when time is up.
            least_seconds: wait so long even if the deadline is nearer, unless it is immediate.
        """
        least = monotonic_seconds() + least_seconds
        while not end.done():
            at = self._at if self.immediate else max(self._at, least)
            left = at - monotonic_seconds()
            if left <= 0:
                return False
            ends: list[asyncio.Future[Any]] = [end, self._nearer]
            await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return True
