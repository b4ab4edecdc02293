"""What happened to each server since this process started, in bounded memory. Pure containers.

Two histories. The runs of probes, as far as reports told of them: an agent reports a change at once
and everything else once a heartbeat, so of a run of equal outcomes the first and the last is known,
and how many there were. And the changes of GameServers, with the quality that caused each where the
annotation of the new object says so; a standby sees them too, so a new leader knows what the former
one did. Nothing here is needed for a decision: losing it costs explanation, never truth.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Generic, TypeVar

from aggregator.status.changes import Action, Transition, actions, transitions

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from datetime import datetime

    from aggregator.kube.resources import ObjectKey
    from shared.api.gameserver import GameServer
    from shared.protocol.report import ProbeReport, Report

RUNS = 20
TRANSITIONS = 50
ACTIONS = 20
# Entries of all servers together: 10 for each of 10,000 servers, about 30 MB of each kind.
_CAPACITY = 100_000
# Characters of a result or stderr; the last report has them whole.
_MAX_TEXT = 256

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive runs of one probe with the same outcome.

    Attributes:
        first_at: start of the first that was reported.
        last_at: start of the last that was reported.
        runs: how many there were, those between two reports included.
        number: of the last one, counted by the agent since the start of the container.
    """

    status: str
    result: str
    reason: str
    exit_code: int | None
    stderr: str
    first_at: datetime | None
    last_at: datetime | None
    duration_seconds: float | None
    runs: int
    number: int


class BoundedLog(Generic[K, T]):
    """The last entries of each key, in bounded memory.

    While there is room a key keeps `most` entries. When it is full, a key that goes on gives its
    own oldest beyond an equal share, so that busy keys do not take the memory of quiet ones; for a
    new key the one that was silent for longest gives: those that are gone come first.

    Args:
        most: entries kept for one key.
        capacity: entries kept for all keys together.
    """

    def __init__(self, most: int, capacity: int = _CAPACITY) -> None:
        self._most = most
        self._capacity = capacity
        self._logs: OrderedDict[K, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def get(self, key: K) -> tuple[T, ...]:
        """Return the entries of a key, the oldest first."""
        return tuple(self._logs.get(key, ()))

    def last(self, key: K) -> T | None:
        """Return the newest entry of a key."""
        log = self._logs.get(key)
        return log[-1] if log else None

    def add(self, key: K, entries: Iterable[T]) -> None:
        """Add entries, the oldest first."""
        added = tuple(entries)
        if not added:
            return
        log = self._logs.setdefault(key, deque(maxlen=self._most))
        before = len(log)
        log.extend(added)
        self._size += len(log) - before
        self._logs.move_to_end(key)
        if self._size > self._capacity:
            self._make_room(log)

    def _make_room(self, log: deque[T]) -> None:
        """Come down to the capacity; `log` is the one that grew, and the last in order."""
        share = max(1, self._capacity // len(self._logs))
        while self._size > self._capacity and len(log) > share:
            log.popleft()
            self._size -= 1
        while self._size > self._capacity:
            key, silent = next(iter(self._logs.items()))
            silent.popleft()
            self._size -= 1
            if not silent:
                del self._logs[key]

    def touch(self, key: K) -> None:
        """Note that a key that has entries was heard of."""
        self._logs.move_to_end(key)


class _Streak:
    """What becomes a `Run`: it goes on with nearly every report, so it is changed in its place."""

    __slots__ = (
        "duration_seconds",
        "exit_code",
        "first_at",
        "last_at",
        "number",
        "reason",
        "result",
        "runs",
        "status",
        "stderr",
    )

    def __init__(self, probe: ProbeReport) -> None:
        self.status = probe.status
        self.result = probe.result[:_MAX_TEXT]
        # A few dozen words among all servers: kept once.
        self.reason = intern(probe.reason)
        self.exit_code = probe.exit_code
        self.stderr = probe.stderr[-_MAX_TEXT:]
        self.first_at = self.last_at = probe.started_at
        self.duration_seconds = probe.duration_seconds
        self.runs = 1
        self.number = probe.runs

    def is_like(self, probe: ProbeReport) -> bool:
        """Tell whether the probe's last run had the same outcome."""
        return (
            self.status is probe.status
            and self.exit_code == probe.exit_code
            and self.reason == probe.reason
            and self.result == probe.result[:_MAX_TEXT]
        )

    def go_on(self, probe: ProbeReport) -> None:
        """Take the later runs that the report tells of."""
        self.last_at = probe.started_at
        self.duration_seconds = probe.duration_seconds
        self.runs += probe.runs - self.number
        self.number = probe.runs

    def as_run(self) -> Run:
        """Return what it is now."""
        return Run(
            status=self.status.value,
            result=self.result,
            reason=self.reason,
            exit_code=self.exit_code,
            stderr=self.stderr,
            first_at=self.first_at,
            last_at=self.last_at,
            duration_seconds=self.duration_seconds,
            runs=self.runs,
            number=self.number,
        )


class RunHistory:
    """The runs of every probe, by pod uid and name of the quality."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._runs: BoundedLog[tuple[str, str], _Streak] = BoundedLog(RUNS, capacity)

    def record(self, report: Report) -> None:
        """Take the runs that an accepted report tells of."""
        for probe in report.probes:
            if probe.runs:
                self._record(report.pod_uid, probe)

    def runs(self, pod_uid: str, quality: str) -> tuple[Run, ...]:
        """Return the runs of one probe, the oldest first."""
        return tuple(streak.as_run() for streak in self._runs.get((pod_uid, quality)))

    def _record(self, pod_uid: str, probe: ProbeReport) -> None:
        key = (pod_uid, probe.name)
        last = self._runs.last(key)
        if last is None or probe.runs < last.number or not last.is_like(probe):
            self._runs.add(key, (_Streak(probe),))
            return
        if probe.runs > last.number:
            last.go_on(probe)
        self._runs.touch(key)


class ServerHistory:
    """Transitions and actions of every GameServer, by its key."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._transitions: BoundedLog[ObjectKey, Transition] = BoundedLog(TRANSITIONS, capacity)
        self._actions: BoundedLog[ObjectKey, Action] = BoundedLog(ACTIONS, capacity)

    def record(
        self, key: ObjectKey, old: GameServer | None, new: GameServer | None, now: datetime
    ) -> None:
        """Take a change that the cache saw; `old` None for a new object, `new` None for a lost."""
        self._transitions.add(key, transitions(old, new, now))
        if new is not None:
            self._actions.add(key, actions(old, new))

    def transitions(self, key: ObjectKey) -> tuple[Transition, ...]:
        """Return the transitions of a server, the oldest first."""
        return self._transitions.get(key)

    def actions(self, key: ObjectKey) -> tuple[Action, ...]:
        """Return the executed actions of a server, the oldest first."""
        return self._actions.get(key)
