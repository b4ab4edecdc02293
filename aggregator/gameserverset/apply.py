"""Carries out the plan of a set: claims, deletions, creations, status. Not pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.claims import claim, delete_claimed
from aggregator.gameserverset.ids import server_name
from aggregator.gameserverset.pod import render_pod, wants_agent
from aggregator.kube.batch import run_batch, run_slow_start
from aggregator.kube.errors import AlreadyExists, Conflict
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
from shared.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aggregator.gameserverset.plan import Observed, Plan
    from aggregator.gameserverset.pod import AgentTemplate
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

    async def scale(self, observed: Observed, plan: Plan) -> None:
        """Claim, delete and create.

        Raises:
            AppError: the first failure; everything that could be done was done.
        """
        owner = observed.owner
        key = ObjectKey(owner.metadata.namespace, owner.metadata.name)
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
        key = ObjectKey(owner.metadata.namespace, owner.metadata.name)
        patch = MergePatch({"metadata": metadata, "status": body})
        stored = await self._client.patch(GAMESERVERSETS, key, patch, "status")
        return str(stored["metadata"]["resourceVersion"])

    def _claim_and_delete(self, owner: ObjectKey, observed: Observed, chosen: Claim) -> Job:
        async def run() -> None:
            name = server_name(owner.name, chosen.server.id)
            server = observed.servers.get(name)
            if server is None:
                # Its GameServer is being created; the event of that brings the set back here.
                return
            if not await claim(
                self._client, server, chosen.server.pod_uid, chosen.reason, observed.now
            ):
                raise Conflict("ServerChanged", f"{name} changed before it could be claimed")
            reference = ObjectReference(
                GAMESERVERS, ObjectKey(owner.namespace, name), server.metadata.uid
            )
            message = (
                f"chosen for deletion ({chosen.reason}): opsState {server.spec.ops_state}, "
                f"deletionPriority {chosen.server.deletion_priority}, id {chosen.server.id}"
            )
            self._events.record(reference, "Normal", names.REASON_CLAIMED, message)
            await self._delete(owner, chosen.server)()

        return run

    def _delete(self, owner: ObjectKey, server: Server) -> Job:
        async def run() -> None:
            key = ObjectKey(owner.namespace, server_name(owner.name, server.id))
            self._expectations.expect_deletion(owner, server.pod_uid, monotonic_seconds())
            try:
                await delete_claimed(self._client, key, server.pod_uid)
            except AppError:
                self._expectations.observed_deletion(owner, server.pod_uid)
                raise

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
            except AppError:
                self._expectations.observed_creation(key, name)
                raise

        return run

    def _tell_refusal(self, owner: GameServerSet, failures: Sequence[AppError]) -> None:
        if not failures:
            return
        key = ObjectKey(owner.metadata.namespace, owner.metadata.name)
        reference = ObjectReference(GAMESERVERSETS, key, owner.metadata.uid)
        message = f"cannot create pods: {failures[0].message}"
        self._events.record(reference, "Warning", names.REASON_FAILED_CREATE, message)
