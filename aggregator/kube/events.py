"""Kubernetes Events: says on an object what was done to it, after it was done. Not pure.

Events are for people and never worth a delay: `record` puts them into a bounded queue and returns;
a background task writes them, and what cannot be written is counted and dropped. The same event of
the same object is counted up in one Event instead of written again, and an object that would talk
without end is muted by a token bucket. What waits at the end of a term is written then, if that is
quick; a process that dies takes its queue with it. What was done is in the object either way: the
annotation with the last verdicts, and lastActionTransitionTime.
Source: client-go tools/record (EventCorrelator): burst 25 and one more in five minutes per object,
events aggregated for ten minutes.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import structlog

from aggregator import log_keys
from aggregator.kube.errors import AlreadyExists, NotFound
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import EVENTS, ObjectKey, ObjectReference
from aggregator.token_bucket import TokenBuckets
from shared.backoff import Backoff
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from aggregator.kube.transport import Json, KubeClient

logger = structlog.get_logger()

OUTCOME_WRITTEN = "written"
OUTCOME_MUTED = "muted"  # its object said too much
OUTCOME_OVERFLOWED = "overflowed"  # the queue was full
OUTCOME_FAILED = "failed"  # the API server refused it or stayed away

_COMPONENT = "gamekeeper"
_BURST = 25
_PER_SECOND = 1 / 300
_OBJECTS = 4096
_SAME_EVENT_SECONDS = 600.0
_MAX_MESSAGE_CHARACTERS = 1024  # the API server's own limit
_MAX_NAME_CHARACTERS = 253
_ATTEMPTS = 4
# The lease is released after that, and a standby has to lead within three seconds of a stop.
_LAST_SECONDS = 0.5
_BACKOFF = Backoff(base_seconds=0.5, cap_seconds=10.0)


class _Series(NamedTuple):
    """What makes two events the same one."""

    regarding: ObjectReference
    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Occurrence:
    series: _Series
    at: datetime
    serial: int


@dataclass(slots=True)
class _Written:
    """An Event in the API server that further occurrences are counted in."""

    key: ObjectKey
    count: int
    last_seconds: float


class EventRecorder:
    """Takes events from reconcilers and writes them in the background; `run` must be running.

    Args:
        client: the API server.
        capacity: events that may wait to be written; a thousand objects can change at once.
        monotonic: seconds, for the token buckets and the age of a series.

    Attributes:
        outcomes: number of occurrences by outcome, since the start.
    """

    def __init__(
        self,
        client: KubeClient,
        capacity: int = 4096,
        monotonic: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self._client = client
        self._monotonic = monotonic
        self._queue: asyncio.Queue[_Occurrence] = asyncio.Queue(capacity)
        self._buckets: TokenBuckets[ObjectReference] = TokenBuckets(_PER_SECOND, _BURST, _OBJECTS)
        self._written: OrderedDict[_Series, _Written] = OrderedDict()
        self._serial = 0

    def record(self, regarding: ObjectReference, type_: str, reason: str, message: str) -> None:
        """Have an Event written on `regarding`. Returns at once and never fails.

        Args:
            regarding: the object, with its uid.
            type_: Normal or Warning.
            reason: CamelCase, a constant.
            message: one or more lines for a person, cut to 1024 characters.
        """
        if self._buckets.take(regarding, self._monotonic()):
            self.outcomes[OUTCOME_MUTED] += 1
            return
        text = message[:_MAX_MESSAGE_CHARACTERS]
        self._serial += 1
        series = _Series(regarding, type_, reason, text)
        occurrence = _Occurrence(series, utc_now(), self._serial)
        try:
            self._queue.put_nowait(occurrence)
        except asyncio.QueueFull:
            self.outcomes[OUTCOME_OVERFLOWED] += 1

    async def run(self) -> None:
        """Write events until cancelled; those that wait then are written if that takes no time."""
        occurrence: _Occurrence | None = None
        try:
            while True:
                occurrence = await self._queue.get()
                await self._write_patiently(occurrence)
                occurrence = None
                self._queue.task_done()
        except asyncio.CancelledError:
            if occurrence is not None or not self._queue.empty():
                await self._write_last(occurrence)
            raise

    async def _write_last(self, occurrence: _Occurrence | None) -> None:
        """Write what waits at the end of a term, once each and for a moment at most.

        Args:
            occurrence: that was being written, perhaps with success; None for none.
        """
        unwritten = deque([occurrence] if occurrence is not None else [])
        while not self._queue.empty():
            unwritten.append(self._queue.get_nowait())
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                while unwritten:
                    await self._write_or_drop(unwritten[0])
                    unwritten.popleft()
        except (TimeoutError, TransientError) as error:
            # Nobody waits for a server that is away, or when the term is over.
            self.outcomes[OUTCOME_FAILED] += len(unwritten)
            reason = error.reason if isinstance(error, AppError) else "Timeout"
            details = {log_keys.COUNT: len(unwritten), log_keys.REASON: reason}
            logger.warning("events dropped", **details)

    async def flush(self) -> None:
        """Wait until all that was recorded is written or dropped; `run` must be running."""
        await self._queue.join()

    async def _write_patiently(self, occurrence: _Occurrence) -> None:
        """Write one occurrence, trying again for a while when the API server is away."""
        for failures in range(1, _ATTEMPTS + 1):
            try:
                await self._write_or_drop(occurrence)
            except TransientError as error:
                if failures == _ATTEMPTS:
                    self._drop(occurrence, error)
                    return
                # The ceiling itself: there is one writer, so there is nobody to spread out from.
                wait = _BACKOFF.ceiling_seconds(failures)
                await asyncio.sleep(max(wait, error.retry_after_seconds or 0.0))
            else:
                return

    async def _write_or_drop(self, occurrence: _Occurrence) -> None:
        """Write one occurrence, or drop it if the API server will never take it.

        Raises:
            TransientError: it may, or may not, have been written: try again.
        """
        try:
            await self._write(occurrence)
        except TransientError:
            raise
        except AppError as error:
            self._drop(occurrence, error)
        else:
            self.outcomes[OUTCOME_WRITTEN] += 1

    def _drop(self, occurrence: _Occurrence, error: AppError) -> None:
        self.outcomes[OUTCOME_FAILED] += 1
        logger.warning(
            "event dropped",
            **{
                log_keys.KEY: str(occurrence.series.regarding.key),
                log_keys.REASON: error.reason,
                log_keys.MESSAGE: error.message,
            },
        )

    async def _write(self, occurrence: _Occurrence) -> None:
        """Count the occurrence in the Event of its series, or make that Event."""
        series, now = occurrence.series, self._monotonic()
        written = self._written.get(series)
        if written is not None and now - written.last_seconds < _SAME_EVENT_SECONDS:
            count = written.count + 1
            stamp = _stamp(occurrence.at)
            try:
                patch = MergePatch({"count": count, "lastTimestamp": stamp})
                await self._client.patch(EVENTS, written.key, patch)
            except NotFound:
                # The API server forgets events after an hour, or somebody removed it.
                del self._written[series]
            else:
                self._remember(series, _Written(written.key, count, now))
                return
        key = _new_key(occurrence)
        try:
            await self._client.create(EVENTS, key.namespace, _body(key, occurrence))
        except AlreadyExists:
            # Its name is made for this occurrence, so it was an earlier try whose answer was lost.
            logger.debug("event was written already", **{log_keys.KEY: str(key)})
        self._remember(series, _Written(key, 1, now))

    def _remember(self, series: _Series, written: _Written) -> None:
        self._written[series] = written
        self._written.move_to_end(series)
        if len(self._written) > _OBJECTS:
            self._written.popitem(last=False)


def _new_key(occurrence: _Occurrence) -> ObjectKey:
    """Return a name that no other occurrence has and that a second try repeats."""
    regarding = occurrence.series.regarding.key
    # The time tells processes apart, the serial number occurrences of one microsecond.
    suffix = f".{int(occurrence.at.timestamp() * 1_000_000):x}.{occurrence.serial:x}"
    name = regarding.name[: _MAX_NAME_CHARACTERS - len(suffix)] + suffix
    # Events of cluster-scoped objects live in the namespace default.
    return ObjectKey(regarding.namespace or "default", name)


def _stamp(moment: datetime) -> str:
    """Return a time as core/v1 events have it: whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _body(key: ObjectKey, occurrence: _Occurrence) -> Json:
    series, stamp = occurrence.series, _stamp(occurrence.at)
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "involvedObject": series.regarding.render(),
        "reason": series.reason,
        "message": series.message,
        "type": series.type,
        "count": 1,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
    }
