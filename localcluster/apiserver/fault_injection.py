"""Makes the faults of faults.py happen: a middleware between authorization and the handlers.

The only part of a fault that is not here is reading the past: a stale request carries a store of
the past, and the handlers answer from it.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from localcluster.apiserver import errors, responses
from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.faults import Fault, FaultRule, Faults
from localcluster.apiserver.objects import encode
from localcluster.apiserver.store import Store, watch_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from localcluster.apiserver.attributes import Attributes
    from localcluster.apiserver.watch import Watch

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STALE = web.RequestKey("stale", Store)
"""Key of the state that a request is answered from, where that is not the present one."""


@dataclass(frozen=True, slots=True, eq=False)
class _OpenWatch:
    """A request for a watch that is being answered."""

    request: web.Request
    user: str
    attributes: Attributes


class FaultInjection:
    """The faults of one server.

    Args:
        store: whose past is read.
        watches: those that are open, to be woken when they may speak again.
        rules: in force from the start.
    """

    def __init__(self, store: Store, watches: set[Watch], rules: Iterable[FaultRule]) -> None:
        self._store = store
        self._watches = watches
        # Chance decides nothing here that anybody has to keep secret.
        self.faults = Faults(random.Random().random)  # noqa: S311
        self._pasts: dict[int, Store] = {}
        self._ends: dict[int, asyncio.Event] = {}
        self._open: set[_OpenWatch] = set()
        for rule in rules:
            self.add(rule)

    def add(self, rule: FaultRule) -> Fault:
        """Put a rule in force; one that drops watches strikes those that are open now."""
        fault = self.faults.add(rule)
        self._ends[fault.number] = asyncio.Event()
        if rule.action == "stale":
            self._pasts[fault.number] = self._store.copy()
        if rule.action == "drop":
            for watch in tuple(self._open):
                if self.faults.strikes(fault, watch.user, watch.attributes):
                    _abort_later(watch.request, rule.seconds)
        return fault

    def remove(self, number: int) -> bool:
        """Take a rule out of force and return whether it was there."""
        found = self.faults.remove(number)
        self._pasts.pop(number, None)
        if number in self._ends:
            self._ends.pop(number).set()
        for watch in self._watches:
            watch.wake()
        return found

    def holds(self, user: str, attributes: Attributes) -> bool:
        """Return whether a watch has to be silent now."""
        return any(
            fault.rule.action == "stale" and fault.rule.matches(user, attributes)
            for fault in self.faults.rules
        )

    async def serve(
        self, request: web.Request, handler: Handler, user: str, attributes: Attributes
    ) -> web.StreamResponse:
        """Answer a request through the faults it meets.

        Raises:
            ApiError: the refusal that a rule asks for.
        """
        watch = _OpenWatch(request, user, attributes)
        if attributes.verb == "watch":
            self._open.add(watch)
        try:
            for fault in self.faults.due(user, attributes):
                if fault.rule.action == "delay":
                    await asyncio.sleep(fault.rule.seconds)
                elif fault.rule.action == "hold":
                    await self._ends[fault.number].wait()
                else:
                    return await self._strike(fault, request, handler, attributes)
            return await handler(request)
        finally:
            self._open.discard(watch)

    async def _strike(
        self, fault: Fault, request: web.Request, handler: Handler, attributes: Attributes
    ) -> web.StreamResponse:
        rule = fault.rule
        if rule.action == "close-before":
            return _abort(request)
        if rule.action == "close-after":
            try:
                await handler(request)
            finally:
                _abort(request)
            return web.Response()
        if rule.action == "drop":
            _abort_later(request, rule.seconds)
        elif rule.action == "stale":
            request[STALE] = self._pasts[fault.number]
        elif rule.action == "gone" and attributes.verb == "watch":
            line = watch_line("ERROR", encode(_refusal(rule, attributes).status()))
            return web.Response(body=line, content_type=responses.JSON)
        else:
            raise _refusal(rule, attributes)
        return await handler(request)


def _refusal(rule: FaultRule, attributes: Attributes) -> ApiError:
    group, plural, name = attributes.group, attributes.resource, attributes.name
    if rule.action == "conflict":
        return errors.modified(group, plural, name)
    if rule.action == "throttle":
        return errors.too_many_requests(
            "the server has received too many requests and has asked us to try again later",
            max(1, round(rule.seconds)),
        )
    if rule.action == "gone":
        return errors.expired(0, 1)
    return ApiError(500, "InternalError", "Internal error occurred: a fault on purpose")


def _abort(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _abort_later(request: web.Request, seconds: float) -> None:
    asyncio.get_running_loop().call_later(seconds, _abort, request)
