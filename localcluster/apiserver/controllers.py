"""The controllers inside the server: they look at each write and make those that follow from it.

A Controllers object collects the events of the store and hands them to the controllers one by one,
outside the verb that caused them, so that a cascade never runs inside another write. No I/O.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localcluster.apiserver.store import CollectionKey, Event, Store


class Controller(Protocol):
    """What looks at writes."""

    def handle(self, collection: CollectionKey, event: Event) -> None:
        """Make the writes that follow from `event`; the store may have moved on since."""


class Controllers:
    """The queue between the store and its controllers.

    Args:
        store: whose events are handled.
        controllers: in the order in which each sees an event.
        schedule: runs a function soon, after the current verb (`loop.call_soon`).
    """

    def __init__(
        self,
        store: Store,
        controllers: Sequence[Controller],
        schedule: Callable[[Callable[[], None]], object],
    ) -> None:
        self._controllers = tuple(controllers)
        self._schedule = schedule
        self._queue: deque[tuple[CollectionKey, Event]] = deque()
        self._scheduled = False
        store.listeners.append(self._enqueue)

    def drain(self) -> None:
        """Handle every queued event, and those that the handling adds."""
        try:
            while self._queue:
                collection, event = self._queue.popleft()
                for controller in self._controllers:
                    controller.handle(collection, event)
        finally:
            # After a defect in one controller the next write still reaches the others.
            self._scheduled = False

    def _enqueue(self, collection: CollectionKey, event: Event) -> None:
        self._queue.append((collection, event))
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self.drain)
