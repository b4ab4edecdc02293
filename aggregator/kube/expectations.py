"""What we wrote and the cache does not show yet. In memory; the time is passed in.

Theory: a cache lags behind the API server. Who decides on a cache older than their own last write
creates a server twice or deletes a second victim. So each owner's creations and deletions are
remembered until the cache shows them, and a reconciler waits while any is missing; for an object
that was patched the version of the answer is remembered, and an older one in the cache is refused.
Both give up after five minutes: an event that never comes must not stop an owner for ever.
Source: client-go's ControllerExpectations, as the ReplicaSet controller uses them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from aggregator import log_keys
from aggregator.kube.resources import ObjectKey  # noqa: TC001 - keys of the dataclass fields

logger = structlog.get_logger()

# Long enough for any watch to be repaired, short enough that a person still waits for it.
TIMEOUT_SECONDS = 300.0


@dataclass(slots=True)
class _Expected:
    """By name of a created and by uid of a deleted object: when it was written."""

    creations: dict[str, float] = field(default_factory=dict)
    deletions: dict[str, float] = field(default_factory=dict)


class Expectations:
    """Creations and deletions of each owner that the cache does not show yet.

    Tell of a write before it is sent, since the watch can be faster than the answer; tell that it
    was observed when the cache shows it, and also when the request failed and had no effect.
    """

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._owners: dict[ObjectKey, _Expected] = {}

    def expect_creation(self, owner: ObjectKey, name: str, now: float) -> None:
        """Remember that `owner` is about to create the object `name`; `now` in seconds."""
        self._owners.setdefault(owner, _Expected()).creations[name] = now

    def expect_deletion(self, owner: ObjectKey, uid: str, now: float) -> None:
        """Remember that `owner` is about to delete the object `uid`; `now` in seconds."""
        self._owners.setdefault(owner, _Expected()).deletions[uid] = now

    def observed_creation(self, owner: ObjectKey, name: str) -> None:
        """Forget a creation: the cache shows the object, or it was not created after all."""
        if (expected := self._owners.get(owner)) is not None:
            expected.creations.pop(name, None)
            self._drop_if_empty(owner, expected)

    def observed_deletion(self, owner: ObjectKey, uid: str) -> None:
        """Forget a deletion: the cache shows that the object is going or gone, or it stays."""
        if (expected := self._owners.get(owner)) is not None:
            expected.deletions.pop(uid, None)
            self._drop_if_empty(owner, expected)

    def satisfied(self, owner: ObjectKey, now: float) -> bool:
        """Return whether the cache shows all writes of `owner`; those too old are given up."""
        expected = self._owners.get(owner)
        if expected is None:
            return True
        for kind, pending in (("creation", expected.creations), ("deletion", expected.deletions)):
            for name in [n for n, at in pending.items() if now - at >= self._timeout_seconds]:
                del pending[name]
                logger.error(
                    "own write never observed", **{log_keys.KEY: str(owner), log_keys.KIND: kind}
                )
        self._drop_if_empty(owner, expected)
        return owner not in self._owners

    def overdue_creations(self, owner: ObjectKey, now: float, patience_seconds: float) -> list[str]:
        """Return the names whose creation the cache has not shown for that long.

        A list instead of a watch hides what came and went in between: no event tells of it. That an
        object is gone is always told, because the cache had it.
        """
        expected = self._owners.get(owner)
        if expected is None:
            return []
        return [name for name, at in expected.creations.items() if now - at >= patience_seconds]

    def forget(self, owner: ObjectKey) -> None:
        """Forget all of `owner`, which is gone."""
        self._owners.pop(owner, None)

    def _drop_if_empty(self, owner: ObjectKey, expected: _Expected) -> None:
        if not expected.creations and not expected.deletions:
            self._owners.pop(owner, None)


class OwnWrites:
    """The version of each object after our own last write to it."""

    def __init__(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._written: dict[ObjectKey, tuple[str, float]] = {}

    def remember_version(self, key: ObjectKey, resource_version: str, now: float) -> None:
        """Remember the version in the answer to a write; `now` in seconds."""
        self._written[key] = (resource_version, now)

    def is_stale(self, key: ObjectKey, cached_version: str | None, now: float) -> bool:
        """Return whether the cache is older than our last write of the object.

        `cached_version` is the resourceVersion in the cache, None when the object is not in it.
        """
        written = self._written.get(key)
        if written is None:
            return False
        version, at = written
        if now - at < self._timeout_seconds and _is_older(cached_version, version):
            return True
        del self._written[key]
        return False

    def forget(self, key: ObjectKey) -> None:
        """Forget the object, which is gone."""
        self._written.pop(key, None)


def _is_older(cached: str | None, written: str) -> bool:
    """Compare versions of one resource, which are decimal numbers that grow (KEP-5504)."""
    if cached is None:
        return True
    if cached.isdecimal() and written.isdecimal():
        return int(cached) < int(written)
    # A server with other versions: only the very same one is known to be new enough.
    return cached != written
