"""Carries out the plan of a set: claims, deletions, creations, status. Not pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.claims import claim, delete_claimed
from aggregator.gameserverset.ids import server_name
from aggregator.gameserverset.pod import render_pod, wants_agent
from aggregator.kube.batch import run_batch, run_slow_start
from aggregator.kube.errors import AlreadyExists, Conflict, Rejected
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import (
    GAMESERVERS,
    GAMESERVERSETS,
    PODS,
    ObjectKey,
    ObjectReference,
)
from shared.api import names
from shared.clock import monotonic_seconds
from shared.errors import AppError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aggregator.gameserverset.agent_container import AgentTemplate
    from aggregator.gameserverset.plan import Observed, Plan
    from aggregator.gameserverset.scale import Claim, Server
    from aggregator.gameserverset.trust import TrustBundle
    from aggregator.kube.events import EventRecorder
    from aggregator.kube.expectations import Expectations
    from aggregator.kube.transport import KubeClient
    from shared.api.gameserverset import GameServerSet, GameServerSetStatus

    Job = Callable[[], Awaitable[None]]

# Bounds on requests in flight for one set (SPEC 6.12).
MAX_CREATIONS = 16
MAX_DELETIONS = 64


class Applier:
    """Writes the plans of sets."""

    def __init__(
        self,
        client: KubeClient,
        events: EventRecorder,
        expectations: Expectations,
        trust: TrustBundle,
        agent: AgentTemplate,
    ) -> None:
        self._client = client
        self._events = events
        self._expectations = expectations
        self._trust = trust
        self._agent = agent
        # By set: its servers whose claim may be written although the run that wrote it failed.
        self._uncertain: dict[ObjectKey, set[ObjectKey]] = {}

    def forget(self, owner: ObjectKey) -> None:
        """Forget a set that is gone."""
        self._uncertain.pop(owner, None)

    async def claims_are_shown(self, observed: Observed) -> bool:
        """Tell whether the cache shows the claims of a run that failed; else its event will come.

        A claim whose answer was lost, or whose pod could not be deleted, may be written. Who
        decides without it takes a second victim as soon as another server looks better.

        Raises:
            AppError: the API server could not be asked.
        """
        owner = _key(observed.owner)
        for key in sorted(self._uncertain.get(owner, ())):
            stored = await self._client.get(GAMESERVERS, key)
            server = observed.servers.get(key.name)
            if stored is not None and server is not None:
                version = server.metadata.resource_version
                if version != stored["metadata"]["resourceVersion"]:
                    return False
            self._uncertain[owner].discard(key)
        return True

    async def scale(self, observed: Observed, plan: Plan) -> None:
        """Claim, delete and create.

        Raises:
            AppError: the first failure; everything that could be done was done.
        """
        owner = observed.owner
        key = _key(owner)
        deletions: list[Job] = [
            self._claim_and_delete(key, observed, chosen) for chosen in plan.scale.claims
        ]
        deletions += [self._delete(key, server) for server in plan.scale.deletions]
        failures = await run_batch(deletions, MAX_DELETIONS)
        if plan.scale.creations:
            if wants_agent(owner):
                await self._trust.ensure(owner.metadata.namespace)
            creations = [self._create(key, owner, id_) for id_ in plan.scale.creations]
            refused = await run_slow_start(creations, MAX_CREATIONS)
            self._tell_refusal(owner, refused)
            failures += refused
        if failures:
            raise failures[0]

    async def write_status(self, owner: GameServerSet, status: GameServerSetStatus) -> str:
        """Write the status, only onto the object it was observed on; return its new version."""
        metadata = {
            "uid": owner.metadata.uid,
            "resourceVersion": owner.metadata.resource_version,
        }
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        patch = MergePatch({"metadata": metadata, "status": body})
        stored = await self._client.patch(GAMESERVERSETS, _key(owner), patch, "status")
        return str(stored["metadata"]["resourceVersion"])

    def _claim_and_delete(self, owner: ObjectKey, observed: Observed, chosen: Claim) -> Job:
        async def run() -> None:
            key = ObjectKey(owner.namespace, server_name(owner.name, chosen.server.id))
            server = observed.server_of(key.name, chosen.server.pod_uid)
            if server is None:
                # Its GameServer is being created; the event of that brings the set back here.
                return
            # Before the first request: a crash of this run must leave it behind, too.
            self._uncertain.setdefault(owner, set()).add(key)
            if not await claim(
                self._client, server, chosen.server.pod_uid, chosen.reason, observed.now
            ):
                self._uncertain[owner].discard(key)
                raise Conflict("ServerChanged", f"{key.name} changed before it could be claimed")
            reference = ObjectReference(GAMESERVERS, key, server.metadata.uid)
            message = (
                f"chosen for deletion ({chosen.reason}): opsState {server.spec.ops_state}, "
                f"deletionPriority {chosen.server.deletion_priority}, id {chosen.server.id}"
            )
            self._events.record(reference, "Normal", names.REASON_CLAIMED, message)
            await self._delete(owner, chosen.server)()
            # From here on the expected deletion holds the next decision back.
            self._uncertain[owner].discard(key)

        return run

    def _delete(self, owner: ObjectKey, server: Server) -> Job:
        async def run() -> None:
            key = ObjectKey(owner.namespace, server_name(owner.name, server.id))
            self._expectations.expect_deletion(owner, server.pod_uid, monotonic_seconds())
            try:
                existed = await delete_claimed(self._client, key, server.pod_uid)
            except AppError:
                self._expectations.observed_deletion(owner, server.pod_uid)
                raise
            if not existed:
                # The cache may have shown that before we expected it: nothing more will come.
                self._expectations.observed_deletion(owner, server.pod_uid)

        return run

    def _create(self, key: ObjectKey, owner: GameServerSet, id_: int) -> Job:
        async def run() -> None:
            body = render_pod(owner, id_, self._agent)
            name = body["metadata"]["name"]
            self._expectations.expect_creation(key, name, monotonic_seconds())
            try:
                await self._client.create(PODS, key.namespace, body)
            except AlreadyExists:
                # Ours, from a lost response, or somebody else's: the cache will tell.
                self._expectations.observed_creation(key, name)
            except Rejected as error:
                self._expectations.observed_creation(key, name)
                # A quota is lifted, an admission rule changed, without a word to us.
                raise TransientError(error.reason, error.message) from error
            except AppError:
                self._expectations.observed_creation(key, name)
                raise

        return run

    def _tell_refusal(self, owner: GameServerSet, failures: Sequence[AppError]) -> None:
        if not failures:
            return
        reference = ObjectReference(GAMESERVERSETS, _key(owner), owner.metadata.uid)
        message = f"cannot create pods: {failures[0].message}"
        self._events.record(reference, "Warning", names.REASON_FAILED_CREATE, message)


def _key(owner: GameServerSet) -> ObjectKey:
    return ObjectKey(owner.metadata.namespace, owner.metadata.name)
