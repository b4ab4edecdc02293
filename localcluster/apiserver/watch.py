"""Watches: a collection as a stream of events.

Each watcher has a queue that the store fills; the stream takes all that is there and writes it at
once. A watcher that falls far behind is cut off: it lists again, as it would after a restart of the
server.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
(watch, bookmarks, streaming lists).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.objects import Object, encode, with_metadata
from localcluster.apiserver.store import HISTORY_EVENTS, Stored, watch_line
from localcluster.apiserver.tables import IncludeObject, bookmark_table, table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from datetime import datetime

    from localcluster.apiserver.requests import ListOptions
    from localcluster.apiserver.resources import Resource
    from localcluster.apiserver.selectors import Selector
    from localcluster.apiserver.store import Event, EventType, Store

# client-go expects a bookmark about every minute.
BOOKMARK_SECONDS = 60.0
# The real server ends a watch between 30 and 60 minutes; clients watch again from where they are.
DEFAULT_TIMEOUT_SECONDS = 1800.0
# A lone event is sent at once. When they come faster than this they travel together: a system call
# and a TLS record per event and watcher cost more than all else at a thousand events a second.
PIECE_SECONDS = 0.02
# As many as the history holds: who is further behind could not resume either.
QUEUE_EVENTS = HISTORY_EVENTS
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Format:
    """How a watcher wants objects.

    Args:
        include: None for plain objects, else Tables with this much of the object.
        now: for the ages in tables.
    """

    include: IncludeObject | None
    now: Callable[[], datetime]


class Watch:
    """One watch.

    Args:
        store: what is watched.
        resource: whose collection.
        options: where it starts and what it selects.
        form: how events are written.
        held: whether it has to be silent now; `wake` after it changes.
    """

    def __init__(
        self,
        store: Store,
        resource: Resource,
        options: ListOptions,
        form: Format,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._resource = resource
        self._options = options
        self._form = form
        self._held = held
        self._closed = False
        self._queue: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._lagging = False
        # When the next piece may be sent without a pause.
        self._due = 0.0
        # Whatever the stream has written contains everything up to this version.
        self._version = store.version

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield pieces of the response body, each a number of whole lines, until the watch ends."""
        while self._held() and not self._closed:
            await self._wait(None)
        collection = self._store.collection(self._resource.collection)
        start = self._store.version
        collection.listeners.append(self._receive)
        try:
            try:
                opening = b"".join(self._opening(start))
            except ApiError as error:
                yield _line("ERROR", error.status())
                return
            if opening:
                yield opening
            async for chunk in self._live():
                yield chunk
        finally:
            collection.listeners.remove(self._receive)

    async def _live(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        timeout = self._options.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
        end = loop.time() + timeout
        bookmark = loop.time() + BOOKMARK_SECONDS
        while not self._closed and not self._lagging:
            now = loop.time()
            if now >= end:
                break
            # A silent watcher sends no bookmarks either, so that it has none to wake up for.
            await self._wait((end if self._held() else min(end, bookmark)) - now)
            if self._held():
                continue
            chunk = b"".join(self._take())
            # The queue is empty now, so nothing this watcher should see is older than the store's
            # version.
            self._version = self._store.version
            if self._options.bookmarks and loop.time() >= min(end, bookmark):
                chunk += self._bookmark()
                bookmark = loop.time() + BOOKMARK_SECONDS
            if chunk:
                yield chunk
                await self._pace(loop.time())

    async def _pace(self, sent: float) -> None:
        """Return at once after a quiet time, else when a piece is due again."""
        due, self._due = self._due, sent + PIECE_SECONDS
        if sent < due and not self._closed:
            self._due = due + PIECE_SECONDS
            await asyncio.sleep(due - sent)

    async def _wait(self, seconds: float | None) -> None:
        """Return when there is something to do, or after `seconds`; None waits for ever."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return
        self._ready.clear()

    def close(self) -> None:
        """End the stream after what it has yielded; the server is stopping."""
        self._closed = True
        self._ready.set()

    def wake(self) -> None:
        """Look again at what there is to do."""
        self._ready.set()

    def _receive(self, event: Event) -> None:
        if len(self._queue) >= QUEUE_EVENTS:
            self._lagging = True
        else:
            self._queue.append(event)
        self._ready.set()

    def _take(self) -> Iterator[bytes]:
        while self._queue:
            yield from self._shown(self._queue.popleft())

    def _opening(self, start: int) -> Iterator[bytes]:
        """Yield what precedes live events: the state, or the events since the client's version."""
        version = self._options.version
        if self._options.initial_events or version in (None, 0):
            objects = self._store.collection(self._resource.collection).objects
            for key in sorted(objects):
                if self._options.selector.matches(objects[key].object):
                    yield self._encoded("ADDED", objects[key])
            self._version = start
            if self._options.initial_events:
                yield self._bookmark(initial_events_end=True)
            return
        for event in self._store.collection(self._resource.collection).since(version or 0):
            yield from self._shown(event)

    def _shown(self, event: Event) -> Iterator[bytes]:
        shown_type = transition(self._options.selector, event)
        if shown_type is None:
            return
        if shown_type == "DELETED" and event.type != "DELETED" and event.previous is not None:
            yield self._encoded(shown_type, _departed(event.previous, event.stored.version))
        elif self._form.include is None:
            yield event.line(shown_type, self._resource.api_version)
        else:
            yield self._encoded(shown_type, event.stored)

    def _encoded(self, event_type: EventType, stored: Stored) -> bytes:
        if self._form.include is None:
            return watch_line(event_type, stored.encoded(self._resource.api_version))
        obj = stored.presented(self._resource.api_version)
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return _line(
            event_type,
            table(self._resource.printer, [obj], metadata, self._form.include, self._form.now()),
        )

    def _bookmark(self, *, initial_events_end: bool = False) -> bytes:
        metadata: Object = {"resourceVersion": str(self._version), "creationTimestamp": None}
        if initial_events_end:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        bookmark: Object = {
            "kind": self._resource.kind,
            "apiVersion": self._resource.api_version,
            "metadata": metadata,
        }
        return _line(
            "BOOKMARK", bookmark if self._form.include is None else bookmark_table(bookmark)
        )


def transition(selector: Selector, event: Event) -> EventType | None:
    """Return the event a selecting watcher sees; None if the object neither was nor is selected."""
    if selector.is_everything:
        return event.type
    now = event.type != "DELETED" and selector.matches(event.stored.object)
    before = event.previous is not None and selector.matches(event.previous.object)
    if now:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else None


def _departed(last: Stored, version: int) -> Stored:
    """Return the last state that a selector matched, under the version at which it left."""
    return Stored(with_metadata(last.object, resourceVersion=str(version)), version)


def _line(event_type: str, obj: Object) -> bytes:
    return watch_line(event_type, encode(obj))
