"""Leads while the lease is held: campaigns, renews, gives up, releases (SPEC 8.3). Not pure.

What to do is decided in `election`; this module looks, writes and waits. It uses the client below
the gate of `fenced`, because without the lease nothing gets through there.

| happens | then |
| --- | --- |
| a renewal fails or hangs | tried again until the renew deadline; then the term is over |
| another name is in the lease | the term is over at once |
| the process was paused, the machine suspended | the first look at the clock ends the term |
| the work of the leader fails | the error is raised, after the lease was released |
| the process is to stop | the work is cancelled, then the lease is released |

A term that is over is followed by another campaign: the work begins anew, with nothing of the
former term but the caches.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from aggregator import log_keys
from aggregator.kube.election import (
    Create,
    LeaseRecord,
    LeaseTimes,
    Renew,
    Sighting,
    Take,
    Wait,
    claimed_spec,
    decide,
    parse_lease,
    released_spec,
    sight,
)
from aggregator.kube.errors import AlreadyExists, Conflict, NotFound
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import LEASES, ObjectKey
from shared.clock import utc_now
from shared.errors import AppError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aggregator.kube.leadership import Leadership
    from aggregator.kube.transport import Json, KubeClient

logger = structlog.get_logger()

# A stop must not hang on an API server that is away: others wait for the lease to end then.
_RELEASE_SECONDS = 2.0
# Looks are spread over the last part of the period: a standby that starts with the leader would
# otherwise collide with it for ever.
_LEAST_SHARE = 0.75


class _TermOver(Exception):  # noqa: N818 - never leaves this module
    """The lease is another's, or may be."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who stands for which lease.

    Attributes:
        lease: its namespace and name.
        identity: never used by any other process, also not by an earlier one of the same pod.
        times: how long the lease holds.
    """

    lease: ObjectKey
    identity: str
    times: LeaseTimes = field(default_factory=LeaseTimes)


class LeaderElection:
    """Campaigns, leads and releases for one candidate.

    Args:
        client: the API server, not behind the gate.
        candidate: who stands.
        leadership: is extended and ended here, and read by the gate.
        share: random numbers in [0, 1).
    """

    def __init__(
        self,
        client: KubeClient,
        candidate: Candidate,
        leadership: Leadership,
        share: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._key = candidate.lease
        self._identity = candidate.identity
        self._times = candidate.times
        self._leadership = leadership
        self._share = share
        self._seen: Sighting | None = None
        self._told: str | None = None

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Campaign and lead, in turns, until cancelled; the lease is released in the end.

        Args:
            lead: the work of the leader; starts when a term begins, is cancelled when it ends.
        """
        try:
            while True:
                await self._campaign()
                await self._lead(lead)
        finally:
            await self._release()

    async def _campaign(self) -> None:
        """Return when this process leads."""
        while True:
            try:
                # A later answer makes nobody a leader: its lease counts from the request.
                async with asyncio.timeout(self._times.renew_deadline):
                    if await self._attempt():
                        return
            except TimeoutError:
                logger.warning("lease not reached", **{log_keys.REASON: "Timeout"})
            await asyncio.sleep(self._pause_seconds())

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Do the work of the leader until the term is over."""
        logger.info("began to lead", **{log_keys.KEY: str(self._key)})

        async def work() -> None:
            await lead()

        try:
            async with asyncio.TaskGroup() as term:
                working = term.create_task(work(), name="lead")
                try:
                    await self._hold()
                except _TermOver as over:
                    logger.warning("leads no more", **{log_keys.MESSAGE: str(over)})
                    # NB: not by an error of the group. One that ends by an error forgets that it
                    # was cancelled meanwhile (mended in Python 3.13), and the campaign would go on
                    # after SIGTERM.
                    working.cancel()
        finally:
            self._leadership.end()

    async def _hold(self) -> None:
        """Renew the lease as long as that succeeds in time.

        Raises:
            _TermOver: this process may not be the leader any more.
        """
        while True:
            await asyncio.sleep(min(self._pause_seconds(), self._leadership.remaining_seconds))
            remaining = self._leadership.remaining_seconds
            if not remaining:
                # Not even a look: it could succeed, and what was paused would go on as if nothing
                # had been, with decisions from before the pause.
                raise _TermOver("the lease was not renewed in time")
            try:
                async with asyncio.timeout(remaining):
                    await self._attempt()
            except TimeoutError as error:
                raise _TermOver("the API server did not answer in time") from error
            if not self._leadership.leading:
                raise _TermOver(f"the lease is held by {self._holder() or 'nobody'}")

    async def _attempt(self) -> bool:
        """Look at the lease, do what that demands; return whether this process leads now."""
        asked_at = self._leadership.now()
        try:
            written = await self._advance()
        except TransientError as error:
            self._note("lease not reached", error)
            return False
        except AppError as error:
            # A right that is missing can be granted while we wait.
            self._note("lease refused", error)
            return False
        if not written:
            self._leadership.end()
            return False
        self._leadership.extend(asked_at + self._times.renew_deadline)
        return self._leadership.leading

    async def _advance(self) -> bool:
        """Do one step of the election; return whether the lease is in our name by that."""
        try:
            return await self._step()
        except (AlreadyExists, Conflict, NotFound):
            # Somebody wrote it, perhaps we did and the answer was lost. Who it was must be known at
            # once: a holder whose lease was taken away would lead beside the new one until then.
            self._seen = None
            return await self._step()

    async def _step(self) -> bool:
        seen = self._seen
        if seen is None or not self._is_mine(seen.record):
            # Our own lease is renewed unseen: its version says whether anybody touched it.
            body = await self._client.get(LEASES, self._key)
            record = None if body is None else parse_lease(body)
            seen = self._seen = sight(seen, record, self._leadership.now())
        match decide(seen, self._identity, self._leadership.now()):
            case Wait(holder):
                if self._told != holder:
                    self._told = holder
                    logger.info("stands by", **{log_keys.MESSAGE: f"{holder} leads"})
                return False
            case Create():
                stored = await self._create(self._claim(None))
            case Renew() | Take():
                stored = await self._write(seen.record, self._claim(seen.record))
        self._told = None
        self._seen = Sighting(parse_lease(stored), self._leadership.now())
        return True

    def _claim(self, before: LeaseRecord | None) -> Json:
        return claimed_spec(before, self._identity, self._times.duration, utc_now())

    async def _create(self, spec: Json) -> Json:
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._key.name, "namespace": self._key.namespace},
            "spec": spec,
        }
        return await self._client.create(LEASES, self._key.namespace, body)

    async def _write(self, before: LeaseRecord | None, spec: Json) -> Json:
        """Write the lease, only if it still is as it was seen."""
        version = before.resource_version if before is not None else ""
        patch = MergePatch({"metadata": {"resourceVersion": version}, "spec": spec})
        return await self._client.patch(LEASES, self._key, patch)

    async def _release(self) -> None:
        """Let a standby begin at once; what fails is waited for by others instead."""
        self._leadership.end()
        if self._seen is None or not self._is_mine(self._seen.record):
            return
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._write_release(self._seen.record)
        except TimeoutError:
            logger.warning("lease not released", **{log_keys.REASON: "Timeout"})
        except AppError as error:
            self._note("lease not released", error)

    async def _write_release(self, record: LeaseRecord | None) -> None:
        try:
            await self._write(record, released_spec(utc_now()))
        except Conflict:
            # A renewal whose answer we did not wait for, or another's lease by now.
            body = await self._client.get(LEASES, self._key)
            if body is not None and self._is_mine(parse_lease(body)):
                await self._write(parse_lease(body), released_spec(utc_now()))

    def _is_mine(self, record: LeaseRecord | None) -> bool:
        return record is not None and record.holder == self._identity

    def _holder(self) -> str:
        record = self._seen.record if self._seen is not None else None
        return record.holder if record is not None else ""

    def _pause_seconds(self) -> float:
        share = _LEAST_SHARE + (1 - _LEAST_SHARE) * self._share()
        return self._times.retry_period * share

    def _note(self, what: str, error: AppError) -> None:
        details = {log_keys.REASON: error.reason, log_keys.MESSAGE: error.message}
        logger.warning(what, **{log_keys.KEY: str(self._key)}, **details)
