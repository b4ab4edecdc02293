"""Keeps a store equal to what the API server has: list once, then watch from there. Not pure.

Theory: a list has a version, a watch tells everything after a version. As long as the last seen
version is kept, a broken watch is resumed without a gap; when the server has forgotten that version
(410) the list is made again and compared with the store, so that a change or a deletion that nobody
told us of is handled all the same. Handlers see differences between two states, never raw events.
An object that cannot be decoded is logged once and skipped; an older version that could be decoded
stays in the store, because a wrong field of one object must not delete it.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec
import structlog

from aggregator import log_keys
from aggregator.kube.errors import (
    Expired,
    FailedRequest,
    NotFound,
    Unavailable,
    error_from,
    shorten,
)
from aggregator.kube.resources import ObjectKey
from shared.backoff import Backoff
from shared.clock import monotonic_seconds
from shared.errors import TerminalError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aggregator.kube.store import Store
    from aggregator.kube.transport import KubeClient, Selection

logger = structlog.get_logger()

T = TypeVar("T")

# After so many objects other tasks get a turn: 64 of them decode in about a millisecond.
_YIELD_EVERY = 64

_BACKOFF = Backoff(base_seconds=0.2, cap_seconds=30.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the reflector asks again.

    Attributes:
        backoff: waits after failures in a row; half of each is fixed, half random.
        watch_seconds: a watch is asked to end after once to twice this time.
        healthy_seconds: a watch that lived so long did not fail, whatever ended it.
        share: random numbers in [0, 1).
        monotonic: seconds, for the life of a watch.
    """

    backoff: Backoff = _BACKOFF
    watch_seconds: int = 300
    healthy_seconds: float = 1.0
    share: Callable[[], float] = random.random
    monotonic: Callable[[], float] = monotonic_seconds

    def delay_seconds(self, failures: int) -> float:
        """Return the wait after `failures` (>= 1) in a row, never near zero."""
        return self.backoff.ceiling_seconds(failures) * (0.5 + self.share() / 2)

    def timeout_seconds(self) -> int:
        """Return after how many seconds the server shall end a watch; a fleet spreads out."""
        return int(self.watch_seconds * (1 + self.share()))


class _Meta(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = msgspec.field(default="", name="resourceVersion")


class _Head(msgspec.Struct, frozen=True):
    metadata: _Meta


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Code(msgspec.Struct, frozen=True):
    code: int = 500


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_decode_code = msgspec.json.Decoder(_Code).decode


class _Unreadable(Unavailable):
    """The stream is damaged: going on from its last version would meet the same damage."""


def _meta_of(raw: bytes | msgspec.Raw) -> _Meta:
    """Return the metadata of an object.

    Raises:
        _Unreadable: it has none, so it is no object of the API and the list or watch is broken.
    """
    try:
        return _decode_head(raw).metadata
    except (msgspec.MsgspecError, ValueError) as error:
        message = f"an object has no readable metadata: {shorten(str(error))}"
        raise _Unreadable("UnreadableObject", message) from error


class Reflector(Generic[T]):
    """Fills a store and tells of every difference.

    Args:
        client: the API server.
        selection: what to list and watch.
        store: written by this reflector only.
        decode: JSON text of one object -> T; None means that it is none of ours, as if it did not
            exist; a ValueError (as pydantic's and msgspec's are) means that it is skipped.
        on_change: called with the old and the new object for every difference: None, new for an
            addition; old, None for a deletion. It must be quick and must not raise.
        pace: how fast to ask again.

    Attributes:
        synced: set when the first list is in the store; it stays set.
        tried: set when the first list has come or has been refused; it stays set.
    """

    def __init__(
        self,
        client: KubeClient,
        selection: Selection,
        store: Store[T],
        decode: Callable[[bytes], T | None],
        on_change: Callable[[T | None, T | None], None],
        pace: Pace | None = None,
    ) -> None:
        self._client = client
        self._selection = selection
        self._store = store
        self._decode = decode
        self._on_change = on_change
        self._pace = pace or Pace()
        self._version: str | None = None
        self._seen: dict[ObjectKey, _Meta] = {}
        self._undecodable: set[str] = set()
        self._failures = 0
        self._watching: asyncio.Timeout | None = None
        # How often a fresh list was asked for, and which of these wishes the store fulfils.
        self._asked = 0
        self._fulfilled = 0
        self._listed = asyncio.Condition()
        self.synced = asyncio.Event()
        self.tried = asyncio.Event()

    async def refresh(self) -> None:
        """Return once the store has equalled a consistent list that began after this call.

        A watch may lag behind without any sign of it. Who begins to decide must know what the
        leader before has written; `run` must be running.
        """
        self._asked += 1
        wish = self._asked
        if self._watching is not None:
            self._watching.reschedule(asyncio.get_running_loop().time())
        async with self._listed:
            await self._listed.wait_for(lambda: self._fulfilled >= wish)

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            wait = 0.0
            try:
                await self._follow()
            except (Expired, _Unreadable) as error:
                self._version = None
                wait = self._failed(error)
            except (TransientError, TerminalError) as error:
                # A 403 is terminal for one request, not for a watch: rights can be granted later.
                wait = self._failed(error)
                if isinstance(error, TerminalError | NotFound):
                    # No right to it, or no such resource in this cluster.
                    self.tried.set()
            if wait:
                await asyncio.sleep(wait)

    async def _follow(self) -> None:
        """List if there is no version to go on from, then watch until the watch ends."""
        if self._version is None or self._fulfilled < self._asked:
            wish = self._asked
            self._version = await self._list()
            self.synced.set()
            self.tried.set()
            async with self._listed:
                self._fulfilled = wish
                self._listed.notify_all()
            return
        started = self._pace.monotonic()
        if await self._watch_until_refresh(self._version):
            return
        if self._pace.monotonic() - started < self._pace.healthy_seconds:
            # A server that answers and closes would otherwise be asked a thousand times a second.
            raise Unavailable("WatchEnded", "the watch ended at once")
        self._failures = 0

    def _failed(self, error: TransientError | TerminalError) -> float:
        """Count and log a failure and return the wait in seconds."""
        self._failures += 1
        wait = self._pace.delay_seconds(self._failures)
        if isinstance(error, TransientError) and error.retry_after_seconds is not None:
            wait = max(wait, error.retry_after_seconds)
        logger.warning(
            "watch interrupted",
            **{
                log_keys.KIND: self._selection.resource.kind,
                log_keys.REASON: error.reason,
                log_keys.MESSAGE: error.message,
                log_keys.FAILURES: self._failures,
                log_keys.RETRY_SECONDS: round(wait, 3),
            },
        )
        return wait

    async def _list(self) -> str:
        """Make the store equal to a fresh list, page by page, and return its version."""
        listed: set[ObjectKey] = set()
        version = ""
        async with aclosing(self._client.list_pages(self._selection)) as pages:
            async for page in pages:
                version = page.resource_version
                for raw in page.items:
                    listed.add(self._put(raw))
                    if len(listed) % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
        for key in [key for key in self._seen if key not in listed]:
            self._remove(key)
        return version

    async def _watch_until_refresh(self, version: str) -> bool:
        """Follow changes until the watch ends; return whether a fresh list was asked for."""
        try:
            async with asyncio.timeout(None) as watching:
                self._watching = watching
                await self._watch(version)
        except TimeoutError:
            return True
        finally:
            self._watching = None
        return False

    async def _watch(self, version: str) -> None:
        """Follow changes after `version` until the watch ends."""
        count = 0
        lines = self._client.watch(self._selection, version, self._pace.timeout_seconds())
        async with aclosing(lines):
            async for line in lines:
                self._handle(line)
                count += 1
                if count % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)

    def _handle(self, line: bytes) -> None:
        """Apply one line of a watch and remember its version.

        Raises:
            _Unreadable: it is no event; what it would have told is found by listing again.
            Expired: the server has forgotten our version.
        """
        try:
            event = _decode_event(line)
            if event.type == "ERROR":
                code = _decode_code(event.object).code
                raise error_from(FailedRequest(code=code, body=bytes(event.object)))
            meta = _meta_of(event.object)
        except (msgspec.MsgspecError, ValueError) as error:
            message = f"a watch line is no event: {shorten(str(error))}"
            raise _Unreadable("UnreadableEvent", message) from error
        if event.type == "DELETED":
            self._remove(ObjectKey(meta.namespace, meta.name))
        elif event.type != "BOOKMARK":
            self._put(bytes(event.object), meta)
        self._version = meta.resource_version
        self._failures = 0

    def _put(self, raw: bytes, meta: _Meta | None = None) -> ObjectKey:
        """Bring one object into the store and tell of the difference, if there is one."""
        meta = meta or _meta_of(raw)
        key = ObjectKey(meta.namespace, meta.name)
        before = self._seen.get(key)
        if before is not None and before.resource_version == meta.resource_version:
            return key
        if before is not None and before.uid != meta.uid:
            # A namesake: what was known of the one before says nothing about this one.
            self._remove(key)
        self._seen[key] = meta
        try:
            new = self._decode(raw)
        except (msgspec.MsgspecError, ValueError) as error:
            self._skip(key, meta, error)
            return key
        if new is None:
            self._remove(key)
            return key
        self._undecodable.discard(meta.uid)
        old = self._store.put(key, new)
        self._on_change(old, new)
        return key

    def _remove(self, key: ObjectKey) -> None:
        meta = self._seen.pop(key, None)
        if meta is not None:
            self._undecodable.discard(meta.uid)
        old = self._store.remove(key)
        if old is not None:
            self._on_change(old, None)

    def _skip(self, key: ObjectKey, meta: _Meta, error: Exception) -> None:
        """Say once for each object that it cannot be decoded."""
        if meta.uid in self._undecodable:
            return
        self._undecodable.add(meta.uid)
        logger.error(
            "object cannot be decoded and is skipped",
            **{
                log_keys.KIND: self._selection.resource.kind,
                log_keys.KEY: str(key),
                log_keys.MESSAGE: shorten(str(error)),
            },
        )
