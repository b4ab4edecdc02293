"""Reconciles one game server: observe, plan, apply. Not pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from aggregator.caches import set_key
from aggregator.gameserver.apply import Applier, version_of
from aggregator.gameserver.conditions import Surroundings
from aggregator.gameserver.observed import Observed
from aggregator.gameserver.operations import DeleteServer, PatchServer, describe
from aggregator.gameserver.plan import plan
from aggregator.gameserver.surroundings import has_too_few, surroundings_of
from aggregator.kube.controller import Result
from aggregator.kube.expectations import OwnWrites
from aggregator.kube.resources import GAMESERVERS, PODS
from aggregator.pods import decode_our_pod
from shared.api.gameserver import GameServer
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError

if TYPE_CHECKING:
    from datetime import datetime

    from aggregator.caches import Caches
    from aggregator.kube.events import EventRecorder
    from aggregator.kube.resources import ObjectKey
    from aggregator.kube.transport import Json, KubeClient
    from aggregator.pods import Pod
    from shared.api.gameserverset import GameServerSet


# A timer never fires early by more than this, so one that is due now is asked again at once.
_LEAST_WAIT_SECONDS = 0.05
# A cache that lags behind shows what it misses within a fraction of this.
_LAG_SECONDS = 1.0


class GameServerReconciler:
    """Brings the GameServer, its status and its pod's labels to what was observed and reported."""

    def __init__(self, client: KubeClient, events: EventRecorder, caches: Caches) -> None:
        self._client = client
        self._applier = Applier(client, events)
        self._caches = caches
        self._own_writes = OwnWrites()
        self._remembered_at: dict[ObjectKey, datetime] = {}
        self._alone_since: dict[ObjectKey, float] = {}
        self._at_report: dict[ObjectKey, GameServer] = {}
        # By server: what our own last write was answered with, until the cache shows it.
        self._unseen: dict[ObjectKey, Json] = {}

    def note_report(self, key: ObjectKey) -> None:
        """Remember how a server looks now that its agent has said something new.

        What somebody sets from here on, before that could be acted on, is later and stays. A report
        that comes while one waits changes nothing: the edit may lie between the two.
        """
        server = self._caches.servers.get(key)
        if server is None or key in self._at_report:
            return
        version = server.metadata.resource_version
        if not self._own_writes.is_stale(key, version, monotonic_seconds()):
            self._at_report[key] = server
        elif (stored := self._unseen.get(key)) is not None:
            # The cache lags behind our own write. A person who was faster than it is given the
            # benefit of the doubt: whatever is not in our write came after the report.
            self._at_report[key] = GameServer.model_validate(stored)

    async def reconcile(self, key: ObjectKey) -> Result:
        """Bring one server closer; `key` is that of the pod and of the GameServer."""
        at_report = self._at_report.pop(key, None)
        try:
            result = await self._reconcile(key, at_report)
        except AppError:
            self._keep(key, at_report)
            raise
        return result

    def _keep(self, key: ObjectKey, at_report: GameServer | None) -> None:
        """Go on waiting with the report of a run that did not get to act on it."""
        if at_report is not None:
            self._at_report[key] = at_report

    async def _reconcile(self, key: ObjectKey, at_report: GameServer | None) -> Result:
        observed = self._observe(key, at_report)
        server = observed.server
        if observed.pod is None and server is None:
            self._forget(key)
            return Result()
        if await self._is_stale(key, server):
            # The event that shows our own last write adds the key again.
            self._keep(key, at_report)
            return Result()
        if server is not None:
            self._applier.tell_what_was_done(server)
        decision = plan(observed)
        deletes = any(isinstance(each, DeleteServer) for each in decision.operations)
        if deletes and await self._is_older_than_its_pod(key, observed.pod):
            self._keep(key, at_report)
            return Result(_LAG_SECONDS)
        uid = server.metadata.uid if server is not None else ""
        written = await self._applier.apply(key, decision.operations, uid)
        if written is not None:
            self._own_writes.remember_version(key, version_of(written), monotonic_seconds())
            self._unseen[key] = written
        for operation in decision.operations:
            if isinstance(operation, PatchServer) and operation.only_remembers:
                self._remembered_at[key] = observed.now
        due = decision.requeue_after
        waits = [due.total_seconds() if due is not None else None, self._until_lost(observed)]
        return Result(
            min((wait for wait in waits if wait is not None), default=None),
            tuple(describe(operation) for operation in decision.operations),
        )

    def _forget(self, key: ObjectKey) -> None:
        self._remembered_at.pop(key, None)
        self._alone_since.pop(key, None)
        self._own_writes.forget(key)
        self._unseen.pop(key, None)
        self._applier.forget(key)

    async def _is_stale(self, key: ObjectKey, server: GameServer | None) -> bool:
        """Tell whether the cache does not show our own last write yet.

        An absent object is either newer than the cache or deleted since. No event would come for
        the second, and a new pod of that name would stay without its GameServer: so ask.
        """
        version = server.metadata.resource_version if server is not None else None
        if not self._own_writes.is_stale(key, version, monotonic_seconds()):
            self._unseen.pop(key, None)
            return False
        if server is None and await self._client.get(GAMESERVERS, key) is None:
            self._own_writes.forget(key)
            self._unseen.pop(key, None)
            return False
        return True

    async def _is_older_than_its_pod(self, key: ObjectKey, pod: Pod | None) -> bool:
        """Tell whether there is another pod of this name than the cache shows.

        An object is deleted because it is not of the pod that is shown, or because none is. Each
        cache follows the API server by itself, so the object may be of a pod that another leader
        has just made, and may say already that players are in it. So ask. A pod of somebody else
        has only taken the name; the cache never shows it.
        """
        found = await self._client.get(PODS, key)
        live = decode_our_pod(msgspec.json.encode(found)) if found is not None else None
        shown = pod.metadata.uid if pod is not None else ""
        return live is not None and live.metadata.uid != shown

    def _until_lost(self, observed: Observed) -> float | None:
        """Return when silence of the agent would become news: no event tells of it."""
        pod = observed.pod
        if pod is None or pod.terminating or not pod.is_probed or observed.lost:
            return None
        wait = self._caches.ledger.seconds_until_lost(pod.metadata.uid, monotonic_seconds())
        return max(wait, _LEAST_WAIT_SECONDS)

    def _is_lost(self, pod: Pod | None) -> bool:
        if pod is None or not pod.is_probed:
            return False
        return self._caches.ledger.is_lost(pod.metadata.uid, monotonic_seconds())

    def _observe(self, key: ObjectKey, at_report: GameServer | None) -> Observed:
        caches = self._caches
        pod, server = caches.pods.get(key), caches.servers.get(key)
        accepted = caches.ledger.get(pod.metadata.uid) if pod is not None else None
        owner = self._owner(pod, server)
        return Observed(
            pod=pod,
            server=server,
            owner=owner,
            report=accepted.report if accepted is not None else None,
            lost=self._is_lost(pod),
            remembered_at=self._remembered_at.get(key),
            now=utc_now(),
            around=surroundings_of(pod, caches) if pod is not None else Surroundings(),
            awaited=pod is None and owner is not None and has_too_few(owner, caches),
            alone_for=self._alone_for(key, pod),
            at_report=at_report,
        )

    def _owner(self, pod: Pod | None, server: GameServer | None) -> GameServerSet | None:
        if pod is not None:
            return self._caches.set_of(pod)
        key = set_key(server) if server is not None else None
        return self._caches.sets.get(key) if key is not None else None

    def _alone_for(self, key: ObjectKey, pod: Pod | None) -> timedelta | None:
        """Return since when a server has had no pod, as far as this process has seen."""
        if pod is not None:
            self._alone_since.pop(key, None)
            return None
        now = monotonic_seconds()
        return timedelta(seconds=now - self._alone_since.setdefault(key, now))
