"""Garbage collection by owner references. No I/O; writes through the verbs.

An object goes when it names owners and none of them exists any more; owners are compared by uid.
While an owner waits in foreground deletion it is deleted bottom up: its dependents first. With the
orphan finalizer its dependents forget it.

Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver.deletion import FOREGROUND, ORPHAN, DeleteOptions

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.resources import Registry
    from localcluster.apiserver.store import CollectionKey, Event, ObjectKey, Stored
    from localcluster.apiserver.verbs import Verbs

_Place = tuple["CollectionKey", "ObjectKey"]


class GarbageCollector:
    """Deletes what has lost its owners.

    Args:
        verbs: reads and writes.
        registry: the served resources; objects of others are left alone.
    """

    def __init__(self, verbs: Verbs, registry: Registry) -> None:
        self._verbs = verbs
        self._registry = registry
        self._places: dict[str, _Place] = {}
        self._dependents: dict[str, dict[str, None]] = {}

    def handle(self, collection: CollectionKey, event: Event) -> None:
        """Follow one write: index it, then do what it makes due."""
        self._index(collection, event)
        metadata = event.stored.object["metadata"]
        uid = metadata["uid"]
        if event.type == "DELETED":
            for dependent in tuple(self._dependents.get(uid, ())):
                self._judge(dependent)
            for owner in _owner_uids(event.stored.object):
                self._finish_foreground(owner)
            return
        if _owner_uids(event.stored.object):
            self._judge(uid)
        if metadata.get("deletionTimestamp"):
            self._finish_orphaning(uid)
            self._start_foreground(uid)

    def _index(self, collection: CollectionKey, event: Event) -> None:
        obj = event.stored.object
        uid = obj["metadata"]["uid"]
        if event.previous is not None:
            for owner in _owner_uids(event.previous.object):
                self._dependents.get(owner, {}).pop(uid, None)
                if not self._dependents.get(owner):
                    self._dependents.pop(owner, None)
        if event.type == "DELETED":
            self._places.pop(uid, None)
            return
        key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        self._places[uid] = (collection, key)
        for owner in _owner_uids(obj):
            self._dependents.setdefault(owner, {})[uid] = None

    def _find(self, uid: str) -> tuple[_Place, Stored] | None:
        """Return where the object with this uid is now, and the object."""
        place = self._places.get(uid)
        stored = self._verbs.store.get(*place) if place else None
        if place is None or stored is None or stored.object["metadata"]["uid"] != uid:
            return None
        return place, stored

    def _judge(self, uid: str) -> None:
        """Delete an object without a solid owner; else drop its references to the others."""
        found = self._find(uid)
        if found is None:
            return
        place, stored = found
        references = stored.object["metadata"].get("ownerReferences") or []
        states = [self._owner_state(reference["uid"]) for reference in references]
        if not references or all(state == "solid" for state in states):
            return
        if "solid" in states:
            kept = [r for r, state in zip(references, states, strict=True) if state == "solid"]
            self._write(place, ownerReferences=kept)
            return
        # Below an owner that waits, a dependent with dependents of its own waits for them in turn.
        deep = "waiting" in states and bool(self._dependents.get(uid))
        self._delete(place, stored, "Foreground" if deep else None)

    def _owner_state(self, uid: str) -> str:
        found = self._find(uid)
        if found is None:
            return "absent"
        metadata = found[1].object["metadata"]
        waiting = metadata.get("deletionTimestamp") and FOREGROUND in _finalizers(metadata)
        return "waiting" if waiting else "solid"

    def _start_foreground(self, uid: str) -> None:
        found = self._find(uid)
        if found and FOREGROUND in _finalizers(found[1].object["metadata"]):
            for dependent in tuple(self._dependents.get(uid, ())):
                self._judge(dependent)
            self._finish_foreground(uid)

    def _finish_foreground(self, uid: str) -> None:
        """Let an owner go once nothing that blocks its deletion is left."""
        if self._owner_state(uid) != "waiting":
            return
        for dependent in self._dependents.get(uid, ()):
            found = self._find(dependent)
            if found and _blocks(found[1].object, uid):
                return
        self._remove_finalizer(uid, FOREGROUND)

    def _finish_orphaning(self, uid: str) -> None:
        found = self._find(uid)
        if found is None or ORPHAN not in _finalizers(found[1].object["metadata"]):
            return
        for dependent in tuple(self._dependents.get(uid, ())):
            child = self._find(dependent)
            if child:
                references = child[1].object["metadata"].get("ownerReferences") or []
                kept = [reference for reference in references if reference["uid"] != uid]
                self._write(child[0], ownerReferences=kept or None)
        self._remove_finalizer(uid, ORPHAN)

    def _remove_finalizer(self, uid: str, name: str) -> None:
        found = self._find(uid)
        if found:
            left = [each for each in _finalizers(found[1].object["metadata"]) if each != name]
            self._write(found[0], finalizers=left or None)

    def _write(self, place: _Place, **metadata: object) -> None:
        resource = self._registry.of_collection(place[0])
        if resource is not None:
            self._verbs.change_metadata(resource, place[1], **metadata)

    def _delete(self, place: _Place, stored: Stored, propagation: str | None) -> None:
        resource = self._registry.of_collection(place[0])
        if resource is not None and not stored.object["metadata"].get("deletionTimestamp"):
            uid = stored.object["metadata"]["uid"]
            options = DeleteOptions(propagation=propagation, uid=uid)
            self._verbs.delete(resource, place[1], options)


def _owner_uids(obj: Object) -> list[str]:
    return [reference["uid"] for reference in obj["metadata"].get("ownerReferences") or []]


def _finalizers(metadata: Object) -> list[str]:
    return metadata.get("finalizers") or []


def _blocks(obj: Object, owner: str) -> bool:
    return any(
        reference["uid"] == owner and reference.get("blockOwnerDeletion")
        for reference in obj["metadata"].get("ownerReferences") or []
    )
