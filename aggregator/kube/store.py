"""The last known state of one resource, by key and by index. In memory, one event loop, no I/O.

Only the reflector of the resource writes into it; everybody else reads. It remembers nothing that
is not in the API server, so it can be thrown away and filled again at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from aggregator.kube.resources import ObjectKey

T = TypeVar("T")


class Store(Generic[T]):
    """Objects by key, with indexes that are kept up to date.

    Args:
        indexers: by name of the index, the values under which an object is found: any number.
            Called once for each object that comes in, so the values must not change later.
    """

    def __init__(
        self, indexers: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None
    ) -> None:
        self._objects: dict[ObjectKey, T] = {}
        self._indexers = dict(indexers or {})
        # By index and value: the keys as a dict, which unlike a set keeps the order of arrival.
        self._indexes: dict[str, dict[Hashable, dict[ObjectKey, None]]] = {
            name: {} for name in self._indexers
        }
        self._values: dict[ObjectKey, dict[str, tuple[Hashable, ...]]] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: ObjectKey) -> bool:
        return key in self._objects

    def get(self, key: ObjectKey) -> T | None:
        """Return the object, None when it does not exist."""
        return self._objects.get(key)

    def keys(self) -> list[ObjectKey]:
        """Return all keys: a copy."""
        return list(self._objects)

    def items(self) -> list[tuple[ObjectKey, T]]:
        """Return all pairs: a copy, so that the caller may await while it goes through them."""
        return list(self._objects.items())

    def values(self) -> list[T]:
        """Return all objects: a copy."""
        return list(self._objects.values())

    def by_index(self, name: str, value: Hashable) -> list[T]:
        """Return the objects that the indexer `name` put under `value`.

        Raises:
            KeyError: there is no such index; a fault of the caller's code.
        """
        return [self._objects[key] for key in self._indexes[name].get(value, ())]

    def put(self, key: ObjectKey, value: T) -> T | None:
        """Set the object and return the one before. For the reflector."""
        old = self._objects.get(key)
        self._unindex(key)
        self._objects[key] = value
        if self._indexers:
            values = {name: tuple(find(value)) for name, find in self._indexers.items()}
            self._values[key] = values
            for name, found in values.items():
                for each in found:
                    self._indexes[name].setdefault(each, {})[key] = None
        return old

    def remove(self, key: ObjectKey) -> T | None:
        """Remove the object and return it, None when it was not there. For the reflector."""
        self._unindex(key)
        return self._objects.pop(key, None)

    def _unindex(self, key: ObjectKey) -> None:
        for name, found in self._values.pop(key, {}).items():
            index = self._indexes[name]
            for each in found:
                keys = index.get(each, {})
                keys.pop(key, None)
                if not keys:
                    index.pop(each, None)
