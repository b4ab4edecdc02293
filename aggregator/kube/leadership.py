"""Whether this process leads now. In memory; the clock is injected.

Theory: a lease is a promise of the API server's clock-less record: nobody else leads until others
have watched the record stand still for the whole lease. Whoever leads counts from the moment at
which it *asked* for the last renewal, on a clock of its own that neither steps nor stands still, so
it stops before anybody can start. Nothing has to happen for leadership to end: after a pause of the
process the first look at the clock says so, before any timer fires.
Source: client-go tools/leaderelection, which checks in a loop instead; here every write looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.clock import boottime_seconds

if TYPE_CHECKING:
    from collections.abc import Callable


class Leadership:
    """The time until which this process may act as the leader.

    Args:
        clock: seconds that never step back. NB: the monotonic clock stands still while a machine
            is suspended, and others would take the lease meanwhile; the boot-time clock does not.
    """

    def __init__(self, clock: Callable[[], float] = boottime_seconds) -> None:
        self._clock = clock
        self._until: float | None = None

    @property
    def leading(self) -> bool:
        """Whether this process leads at this very moment."""
        return self.remaining_seconds > 0

    @property
    def remaining_seconds(self) -> float:
        """For how long it leads if the lease is not renewed; 0 when it does not."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock())

    def now(self) -> float:
        """Return seconds of the clock that leadership is measured with."""
        return self._clock()

    def extend(self, until: float) -> None:
        """Lead until `until`, in seconds of the clock; an earlier end than the present is kept."""
        self._until = until if self._until is None else max(self._until, until)

    def end(self) -> None:
        """Lead no more."""
        self._until = None
