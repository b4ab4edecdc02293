"""The last accepted report of every agent, and how long each has been silent. Pure container.

In memory only: agents send their whole state again at every heartbeat, so a new leader is complete
within one. Silence is measured with a monotonic clock that the caller reads: a step of the wall
clock must not make a whole fleet look lost.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from shared.protocol.report import Report

# Five times the servers the aggregator is made for (SPEC 11); a report has about 2 KiB.
_CAPACITY = 50_000
_LEAST_SILENCE_SECONDS = 30.0
_MISSED_HEARTBEATS = 3


@dataclass(frozen=True, slots=True)
class Accepted:
    """A report that was accepted.

    Attributes:
        report: cleaned and within its bounds.
        received_at: wall-clock time.
        changed: something that a decision reads differs from the report accepted before.
    """

    report: Report
    received_at: datetime
    changed: bool


@dataclass(slots=True)
class _Entry:
    accepted: Accepted | None
    heard_seconds: float


class Ledger:
    """Reports by pod uid. All times are seconds of one monotonic clock.

    Args:
        started_seconds: when this process began to lead; nobody is lost before they had the time to
            report to it.
        heartbeat_seconds: how often agents are asked to report.
        capacity: beyond it the agent that was silent for longest is forgotten.
    """

    def __init__(
        self, started_seconds: float, heartbeat_seconds: float, capacity: int = _CAPACITY
    ) -> None:
        self._started_seconds = started_seconds
        self._patience_seconds = max(_LEAST_SILENCE_SECONDS, _MISSED_HEARTBEATS * heartbeat_seconds)
        self._capacity = capacity
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def patience_seconds(self) -> float:
        """After how long a silent agent is lost."""
        return self._patience_seconds

    def begin(self, now: float) -> None:
        """Begin to lead: forget what was reported before, and have patience with everybody anew."""
        self._started_seconds = now
        self._entries.clear()

    def accept(self, accepted: Accepted, now: float) -> bool:
        """Keep the report; return whether its GameServer must be looked at.

        It must when something changed, and when the agent had been lost: then its conditions say
        so.
        """
        pod_uid = accepted.report.pod_uid
        returned = self.is_lost(pod_uid, now)
        self._keep(pod_uid, accepted, now)
        return accepted.changed or returned

    def repeat(self, pod_uid: str, now: float) -> bool:
        """Note that the agent sent its last report again; return whether it had been lost."""
        returned = self.is_lost(pod_uid, now)
        if (entry := self._entries.get(pod_uid)) is not None:
            self._keep(pod_uid, entry.accepted, now)
        return returned

    def expect(self, pod_uid: str, now: float) -> None:
        """Start the patience with a pod that was not known before; later calls change nothing."""
        if pod_uid not in self._entries:
            self._keep(pod_uid, None, now)

    def get(self, pod_uid: str) -> Accepted | None:
        """Return the last accepted report, None when there was none."""
        entry = self._entries.get(pod_uid)
        return None if entry is None else entry.accepted

    def forget(self, pod_uid: str) -> None:
        """Forget the agent of a pod that is gone."""
        self._entries.pop(pod_uid, None)

    def is_lost(self, pod_uid: str, now: float) -> bool:
        """Return whether the agent was silent for three heartbeats, at least 30 s (SPEC 4.10)."""
        return self.seconds_until_lost(pod_uid, now) <= 0

    def seconds_until_lost(self, pod_uid: str, now: float) -> float:
        """Return when to look again at a silent agent; zero or less when it is lost."""
        entry = self._entries.get(pod_uid)
        heard = self._started_seconds if entry is None else entry.heard_seconds
        return heard + self._patience_seconds - now

    def seconds_silent(self, pod_uid: str, now: float) -> float:
        """Return for how long nothing was heard of an agent, at most since this process leads."""
        entry = self._entries.get(pod_uid)
        return now - (self._started_seconds if entry is None else entry.heard_seconds)

    def _keep(self, pod_uid: str, accepted: Accepted | None, now: float) -> None:
        if (entry := self._entries.get(pod_uid)) is not None:
            entry.accepted, entry.heard_seconds = accepted, now
            self._entries.move_to_end(pod_uid)
            return
        self._entries[pod_uid] = _Entry(accepted, now)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
