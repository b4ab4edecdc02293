"""Kubernetes Events about pods: recorded in the background, repeats counted in one object.

An event is for people (`kubectl describe pod`), so recording never waits and never fails what it
tells of: an event that the API server refuses is dropped. A repeat is written again only after as
many seconds as it has been counted, a minute at most; so a failing probe does not fill the API.
`due_seconds` is pure.
Source: Kubernetes API reference, Event v1; the deduplication is that of client-go's
tools/record/events_cache.go, without its window.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from localcluster.kubelet.status import timestamp
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError, TerminalError, TransientError

if TYPE_CHECKING:
    from datetime import datetime

    from localcluster.kubelet.api import ApiClient
    from localcluster.kubelet.fields import Json

_MOST_ENTRIES = 4096  # as many as client-go's cache
_LONGEST_MESSAGE = 1024  # the API's bound of a note
_LONGEST_PAUSE_SECONDS = 60.0
_RETRY_SECONDS = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Record(Protocol):
    """Takes an event about something that the caller has in mind."""

    def __call__(self, kind: str, reason: str, message: str) -> None:
        """Record an event of type Normal or Warning."""


@dataclass(slots=True)
class _Entry:
    """One event object: its fields, how often it happened, and what the API knows of it."""

    body: Json
    first: datetime
    last: datetime
    count: int = 0
    written_count: int = 0
    written_at: float = 0.0


def due_seconds(count: int, since_written: float) -> float:
    """Return how long to wait before a repeat is written.

    Args:
        count: how often the event happened.
        since_written: seconds since it was written last.
    """
    return max(0.0, min(float(count), _LONGEST_PAUSE_SECONDS) - since_written)


class EventRecorder:
    """Records the events of one component; `run` writes them.

    Args:
        api: where they are written.
        component: who says so.
        host: the node it runs on.
    """

    def __init__(self, api: ApiClient, component: str, host: str) -> None:
        self._api = api
        self._source = {"component": component, "host": host}
        self._entries: OrderedDict[tuple[str, ...], _Entry] = OrderedDict()
        self._news = asyncio.Event()

    def record(self, about: Json, kind: str, reason: str, message: str) -> None:
        """Take note of an event.

        Args:
            about: the reference (ObjectReference) of the object.
            kind: Normal or Warning.
            reason: CamelCase.
            message: for a person.
        """
        message = message[:_LONGEST_MESSAGE]
        key = (about.get("uid", ""), about.get("fieldPath", ""), kind, reason, message)
        now = utc_now()
        if key not in self._entries:
            body: Json = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {
                    "name": f"{about['name']}.{secrets.token_hex(8)}",
                    "namespace": about.get("namespace") or "default",
                },
                "involvedObject": about,
                "type": kind,
                "reason": reason,
                "message": message,
                "source": self._source,
                "reportingComponent": self._source["component"],
                "reportingInstance": self._source["host"],
            }
            self._entries[key] = _Entry(body, now, now)
        entry = self._entries[key]
        entry.count += 1
        entry.last = now
        self._entries.move_to_end(key)
        while len(self._entries) > _MOST_ENTRIES:
            self._entries.popitem(last=False)
        self._news.set()

    async def run(self) -> None:
        """Write what was recorded, for ever, in the order in which it happened."""
        while True:
            self._news.clear()
            now = monotonic_seconds()
            waits: list[float] = []
            for entry in [e for e in self._entries.values() if e.count > e.written_count]:
                wait = due_seconds(entry.count, now - entry.written_at)
                if entry.written_count and wait > 0:
                    waits.append(wait)
                elif not await self._write(entry):
                    waits.append(_RETRY_SECONDS)
                    break
            try:
                async with asyncio.timeout(min(waits, default=None)):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _write(self, entry: _Entry) -> bool:
        """Create or count up; return False if it has to be tried again."""
        count = entry.count
        changing: Json = {"count": count, "lastTimestamp": timestamp(entry.last)}
        metadata = entry.body["metadata"]
        collection = f"/api/v1/namespaces/{metadata['namespace']}/events"
        try:
            if entry.written_count:
                await self._api.merge(f"{collection}/{metadata['name']}", changing)
            else:
                first = timestamp(entry.first)
                await self._api.create(
                    collection, {**entry.body, "firstTimestamp": first, **changing}
                )
        except TransientError as error:
            _warn(error)
            return False
        except TerminalError as error:
            # A namespace that ends takes no events, and an event may have been deleted.
            _warn(error)
        entry.written_count, entry.written_at = count, monotonic_seconds()
        return True


def _warn(error: AppError) -> None:
    log.warning("event not written", reason=error.reason, message=error.message)


def reference(obj: Json, kind: str, container: str = "", *, init: bool = False) -> Json:
    """Return the ObjectReference of an object, or of one container of a pod."""
    metadata = obj["metadata"]
    found: Json = {
        "apiVersion": "v1",
        "kind": kind,
        "name": metadata["name"],
        "namespace": metadata.get("namespace", ""),
        "uid": metadata["uid"],
    }
    if container:
        found["fieldPath"] = f"spec.{'initContainers' if init else 'containers'}{{{container}}}"
    return found
