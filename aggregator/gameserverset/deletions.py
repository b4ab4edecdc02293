"""Deletes servers on purpose: claim, account, delete (SPEC 6.5, 6.6). Not pure.

The order is what makes a crash harmless: a claim is final and visible, what it costs is in the spec
before its pod goes, and each step is decided again from what is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.claims import ClaimResult, claim, delete_claimed, release
from aggregator.gameserverset.accounting import needs_accounting, parse_accounted
from aggregator.gameserverset.ids import server_name
from aggregator.gameserverset.set_writer import key_of
from aggregator.kube.batch import run_batch
from aggregator.kube.errors import Conflict
from aggregator.kube.resources import GAMESERVERS, PODS, ObjectKey, ObjectReference
from shared.api import names
from shared.clock import monotonic_seconds
from shared.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aggregator.gameserverset.plan import Observed
    from aggregator.gameserverset.scale import Claim, ScalePlan
    from aggregator.gameserverset.server import Server
    from aggregator.gameserverset.set_writer import SetWriter
    from aggregator.gameserverset.unshown import UnshownWrites
    from aggregator.gameserverset.volume_claims import VolumeClaims
    from aggregator.kube.events import EventRecorder
    from aggregator.kube.expectations import Expectations
    from aggregator.kube.transport import KubeClient
    from shared.api.gameserver import GameServer

    Job = Callable[[], Awaitable[None]]

# Bound on requests in flight for one set (SPEC 6.12).
MAX_DELETIONS = 64


class Deletions:
    """Carries out the releases, claims, accounting and deletions of plans."""

    def __init__(
        self,
        client: KubeClient,
        events: EventRecorder,
        expectations: Expectations,
        sets: SetWriter,
        unshown: UnshownWrites,
        volumes: VolumeClaims,
    ) -> None:
        self._client = client
        self._events = events
        self._expectations = expectations
        self._sets = sets
        self._unshown = unshown
        self._volumes = volumes

    async def apply(self, observed: Observed, scale: ScalePlan) -> list[AppError]:
        """Do what the plan says, in its order.

        Returns:
            The failures. After a failed claim nothing is accounted and only those servers are
            deleted that were claimed and accounted before: the next plan knows better.
        """
        owner = observed.owner
        try:
            await self._release(observed, scale)
        except AppError as error:
            return [error]
        failures = await run_batch(
            [self._claim(observed, chosen) for chosen in scale.claims], MAX_DELETIONS
        )
        deletions = list(scale.deletions)
        if not failures and scale.accounting is not None:
            try:
                await self._sets.account(owner, scale.accounting)
            except AppError as error:
                failures.append(error)
        if failures:
            strategy = owner.spec.scale_strategy.scale_down_strategy_type
            accounted = parse_accounted(owner.metadata.annotations)
            deletions = [
                server
                for server in deletions
                if server.pod_uid in accounted or not needs_accounting(server.claimed, strategy)
            ]
        else:
            deletions += [claim.server for claim in scale.claims if not claim.server.held]
        jobs = [self._delete_claimed(observed, server) for server in deletions]
        return failures + await run_batch(jobs, MAX_DELETIONS)

    async def delete_pod(
        self, owner: ObjectKey, key: ObjectKey, pod_uid: str, resource_version: str | None = None
    ) -> None:
        """Delete this very pod, and hold the next decision back until the cache shows it.

        Args:
            owner: the set.
            key: of the pod.
            pod_uid: of the pod that was decided on.
            resource_version: its version then; None where a claim has condemned the pod for good.

        Raises:
            AppError: it may still be there.
        """
        self._expectations.expect_deletion(owner, pod_uid, monotonic_seconds())
        try:
            existed = await delete_claimed(self._client, key, pod_uid, resource_version)
        except AppError:
            # It may be done all the same: the next run compares the cache with the API server.
            self._unshown.note(owner, PODS, key)
            self._expectations.observed_deletion(owner, pod_uid)
            raise
        if not existed:
            # The cache may have shown that before we expected it: nothing more will come.
            self._expectations.observed_deletion(owner, pod_uid)

    async def _release(self, observed: Observed, scale: ScalePlan) -> None:
        owner = key_of(observed.owner)
        for server in scale.releases:
            key = _server_key(owner, server)
            found = _game_server(observed, key.name)
            if found is None:
                continue
            self._unshown.note(owner, GAMESERVERS, key)
            if await release(self._client, found):
                reference = ObjectReference(GAMESERVERS, key, found.metadata.uid)
                message = "its scale-down was taken back: the set grew while it waited"
                self._events.record(reference, "Normal", names.REASON_RELEASED, message)

    def _claim(self, observed: Observed, chosen: Claim) -> Job:
        async def run() -> None:
            owner = key_of(observed.owner)
            key = _server_key(owner, chosen.server)
            found = _game_server(observed, key.name)
            if found is None:
                # Its event brings the set back here.
                raise Conflict("ServerUnknown", f"{key.name} has no GameServer yet")
            self._unshown.note(owner, GAMESERVERS, key)
            uid = chosen.server.pod_uid
            result = await claim(self._client, found, uid, chosen.reason, observed.now)
            if result is not ClaimResult.WON:
                self._unshown.drop(owner, GAMESERVERS, key)
                raise Conflict("ServerChanged", f"{key.name} changed before it could be claimed")
            reference = ObjectReference(GAMESERVERS, key, found.metadata.uid)
            message = (
                f"chosen for deletion ({chosen.reason}): opsState {found.spec.ops_state}, "
                f"deletionPriority {chosen.server.deletion_priority}, id {chosen.server.id}"
            )
            self._events.record(reference, "Normal", names.REASON_CLAIMED, message)

        return run

    def _delete_claimed(self, observed: Observed, server: Server) -> Job:
        async def run() -> None:
            owner = key_of(observed.owner)
            key = _server_key(owner, server)
            await self._volumes.release(observed.owner, key, server.pod_uid)
            await self.delete_pod(owner, key, server.pod_uid)
            # From here on the expected deletion holds the next decision back.
            self._unshown.drop(owner, GAMESERVERS, key)

        return run


def _server_key(owner: ObjectKey, server: Server) -> ObjectKey:
    return ObjectKey(owner.namespace, server_name(owner.name, server.id))


def _game_server(observed: Observed, name: str) -> GameServer | None:
    """Return the GameServer that speaks for this very pod; state never leaks to a successor."""
    entry = observed.present.entries.get(name)
    return entry.own if entry is not None else None
