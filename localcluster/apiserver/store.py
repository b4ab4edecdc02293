"""Objects, versions and history: the server's etcd and watch cache, in memory and without I/O.

One counter numbers every write of every collection, so that a resourceVersion orders all writes.
Each collection keeps its newest events; a watch resumes from there, and one that is too old is told
so (410). An object's JSON is made once, however many watchers read it.

NB: the counter starts at a number taken from the clock. A client that outlives a restart of this
in-memory server then holds a version below the new window and gets 410, instead of silently missing
everything.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from localcluster.apiserver.errors import expired
from localcluster.apiserver.objects import Object, encode, with_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CollectionKey: TypeAlias = tuple[str, str]
"""(group, plural)."""
ObjectKey: TypeAlias = tuple[str, str]
"""(namespace, name); the namespace is empty for cluster-scoped objects."""
EventType: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]

# A thousand events a second leave a client five seconds to come back before it has to list again.
HISTORY_EVENTS = 5_000


@dataclass(slots=True, eq=False)
class Stored:
    """One version of one object, with its JSON made on first use.

    Args:
        object: the object; never changed again.
        version: its resourceVersion.
    """

    object: Object
    version: int
    _encoded: dict[str, bytes] = field(default_factory=dict)

    def presented(self, api_version: str) -> Object:
        """Return the object under another served version (conversion strategy None)."""
        if self.object["apiVersion"] == api_version:
            return self.object
        return {**self.object, "apiVersion": api_version}

    def encoded(self, api_version: str) -> bytes:
        """Return the object's JSON under a served version."""
        encoded = self._encoded.get(api_version)
        if encoded is None:
            encoded = self._encoded[api_version] = encode(self.presented(api_version))
        return encoded


@dataclass(slots=True, eq=False)
class Event:
    """One write.

    Args:
        type: what happened to the object.
        stored: the object after it; for DELETED its last state, under the version of the deletion.
        previous: the object before it; None for ADDED.
    """

    type: EventType
    stored: Stored
    previous: Stored | None

    def line(self, shown_type: EventType, api_version: str) -> bytes:
        """Return the line of a watch response.

        Args:
            shown_type: the type this watcher sees; a selector makes a MODIFIED into ADDED or
                DELETED.
            api_version: the served version.
        """
        return watch_line(shown_type, self.stored.encoded(api_version))


def watch_line(shown_type: str, encoded: bytes) -> bytes:
    """Return one line of a watch response around an object's JSON."""
    return b'{"type":"%s","object":%s}\n' % (shown_type.encode(), encoded)


class Collection:
    """The objects of one resource, their recent events and those who listen."""

    def __init__(self, version: int, history_events: int) -> None:
        self.objects: dict[ObjectKey, Stored] = {}
        self.listeners: list[Callable[[Event], None]] = []
        self._history: deque[Event] = deque(maxlen=history_events)
        # Every event after this version is in the history.
        self._complete_since = version

    def since(self, version: int) -> list[Event]:
        """Return the events after `version`, oldest first.

        Raises:
            ApiError: 410 when some of them are no longer held.
        """
        if version < self._complete_since:
            raise expired(version, self._complete_since)
        newer: list[Event] = []
        for event in reversed(self._history):
            if event.stored.version <= version:
                break
            newer.append(event)
        newer.reverse()
        return newer

    def at(self, version: int) -> dict[ObjectKey, Stored]:
        """Return the objects as they were at `version`; not to be changed.

        Raises:
            ApiError: 410 when the events since then are no longer held.
        """
        newer = self.since(version)
        if not newer:
            return self.objects
        objects = dict(self.objects)
        for event in reversed(newer):
            metadata = event.stored.object["metadata"]
            key = (metadata.get("namespace", ""), metadata["name"])
            if event.previous is None:
                del objects[key]
            else:
                objects[key] = event.previous
        return objects

    def record(self, event: Event) -> None:
        """Keep an event and tell the listeners."""
        if len(self._history) == self._history.maxlen:
            self._complete_since = self._history[0].stored.version
        self._history.append(event)
        # A listener may leave while it is told.
        for listener in tuple(self.listeners):
            listener(event)


class Store:
    """All collections under one version counter.

    Args:
        first_version: where resourceVersions start, see above.
        history_events: how many events each collection keeps.
    """

    def __init__(self, first_version: int, history_events: int = HISTORY_EVENTS) -> None:
        self.version = first_version
        self.listeners: list[Callable[[CollectionKey, Event], None]] = []
        self._first_version = first_version
        self._history_events = history_events
        self._collections: dict[CollectionKey, Collection] = {}

    def collection(self, key: CollectionKey) -> Collection:
        """Return a collection; it is empty until something is put."""
        found = self._collections.get(key)
        if found is None:
            found = Collection(self._first_version, self._history_events)
            self._collections[key] = found
        return found

    def get(self, key: CollectionKey, name: ObjectKey) -> Stored | None:
        """Return an object, or None."""
        return self.collection(key).objects.get(name)

    def put(self, key: CollectionKey, name: ObjectKey, obj: Object) -> Stored:
        """Store `obj` under the next resourceVersion and tell everybody."""
        collection = self.collection(key)
        previous = collection.objects.get(name)
        stored = self._numbered(obj)
        collection.objects[name] = stored
        self._record(key, Event("MODIFIED" if previous else "ADDED", stored, previous))
        return stored

    def restore(self, key: CollectionKey, name: ObjectKey, obj: Object) -> None:
        """Put an object of an earlier run, under its own version; no watch sees it come."""
        stored = Stored(obj, int(obj["metadata"]["resourceVersion"]))
        self.collection(key).objects[name] = stored
        for listener in self.listeners:
            listener(key, Event("ADDED", stored, None))

    def remove(self, key: CollectionKey, name: ObjectKey, last: Object) -> Stored:
        """Remove an object that exists; `last` is the state its DELETED event shows."""
        previous = self.collection(key).objects.pop(name)
        stored = self._numbered(last)
        self._record(key, Event("DELETED", stored, previous))
        return stored

    def everything(self) -> Iterator[tuple[CollectionKey, ObjectKey, Stored]]:
        """Yield every object; do not write while iterating."""
        for key, collection in self._collections.items():
            for name, stored in collection.objects.items():
                yield key, name, stored

    def copy(self) -> Store:
        """Return the state of this moment: the same objects and version, without a history."""
        # Stored objects never change, so the tables alone are copied.
        made = Store(self.version, self._history_events)
        for key, collection in self._collections.items():
            made.collection(key).objects.update(collection.objects)
        return made

    def _numbered(self, obj: Object) -> Stored:
        self.version += 1
        return Stored(with_metadata(obj, resourceVersion=str(self.version)), self.version)

    def _record(self, key: CollectionKey, event: Event) -> None:
        self.collection(key).record(event)
        for listener in self.listeners:
            listener(key, event)
