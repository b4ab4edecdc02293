"""Carries out a decision: one patch of spec.replicas, and a claim for each victim. Not pure.

The patch carries the resourceVersion that was decided on: if anybody wrote in between it is refused
and decided afresh, and a number is never repeated. A victim is claimed by compare-and-set on its
uid and opsState (SPEC 6.6): one that got busy is spared, and nobody goes in its place. The set's
reconciler deletes who is claimed and lowers replicas with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aggregator.claims import ClaimResult, claim
from aggregator.kube.batch import run_batch
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import (
    AUTOSCALERS,
    GAMESERVERS,
    GAMESERVERSETS,
    ObjectKey,
    ObjectReference,
)
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from aggregator.autoscaler.own_claims import OwnClaims
    from aggregator.kube.events import EventRecorder
    from aggregator.kube.transport import KubeClient
    from shared.api.autoscaler import AutoscalerStatus, GameServerSetAutoscaler
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet
    from shared.errors import AppError

# As many as the set deletes at a time (SPEC 6.12).
MAX_CLAIMS = 64


@dataclass(slots=True)
class Removed:
    """What became of the victims.

    Attributes:
        claimed: pod uids of those whose claim is written.
        spared: names of those that changed their mind.
        taken: names of those that another claimed first.
        uncertain: names and pod uids of those whose claim may be written: no answer came.
        failure: the first failure; None when all were answered.
    """

    claimed: list[str]
    spared: list[str]
    taken: list[str]
    uncertain: dict[ObjectKey, str]
    failure: AppError | None = None

    @property
    def told(self) -> list[str]:
        """What the log tells of it, a few words each."""
        claimed = [f"claim {len(self.claimed)}"] if self.claimed else []
        spared = [f"spared {', '.join(self.spared)}"] if self.spared else []
        taken = [f"claimed by another {', '.join(self.taken)}"] if self.taken else []
        return claimed + spared + taken


class Applier:
    """Writes what an autoscaler decided."""

    def __init__(self, client: KubeClient, events: EventRecorder) -> None:
        self._client = client
        self._events = events

    async def set_replicas(
        self, autoscaler: GameServerSetAutoscaler, owner: GameServerSet, replicas: int, why: str
    ) -> str:
        """Write spec.replicas onto the set as it was seen; return its new resourceVersion.

        Raises:
            Conflict: somebody wrote in between: decide again.
        """
        metadata = {
            "uid": owner.metadata.uid,
            "resourceVersion": owner.metadata.resource_version,
        }
        patch = MergePatch({"metadata": metadata, "spec": {"replicas": replicas}})
        stored = await self._client.patch(GAMESERVERSETS, _key(owner), patch)
        message = f"replicas {owner.spec.replicas} -> {replicas}: {why}"
        self._events.record(_reference(autoscaler), "Normal", names.REASON_RESCALED, message)
        return str(stored["metadata"]["resourceVersion"])

    async def remove(self, victims: Iterable[tuple[GameServer, str]], now: datetime) -> Removed:
        """Claim servers, each by itself; a failure stops no other.

        Args:
            victims: GameServers as the decision saw them, each with the uid of its pod.
            now: becomes the time of the claims.
        """
        removed = Removed([], [], [], {})
        jobs = [self._claim(server, uid, now, removed) for server, uid in victims]
        failures = await run_batch(jobs, MAX_CLAIMS)
        removed.failure = failures[0] if failures else None
        return removed

    async def write_status(
        self, autoscaler: GameServerSetAutoscaler, status: AutoscalerStatus
    ) -> str:
        """Write the status onto the object it was decided for; return its new resourceVersion."""
        metadata = {
            "uid": autoscaler.metadata.uid,
            "resourceVersion": autoscaler.metadata.resource_version,
        }
        body = _dump(status)
        # A merge patch takes away only what it names.
        body |= dict.fromkeys(_dump(autoscaler.status).keys() - body.keys())
        patch = MergePatch({"metadata": metadata, "status": body})
        stored = await self._client.patch(AUTOSCALERS, _key(autoscaler), patch, "status")
        return str(stored["metadata"]["resourceVersion"])

    async def settle(self, claims: OwnClaims) -> None:
        """Find out about claims whose answer was lost, before anybody else is chosen.

        Raises:
            AppError: the API server cannot be asked; nothing may be decided until it can.
        """
        for key, uid in list(claims.uncertain.items()):
            claims.settle(key, written=await self._is_claimed(key, uid))

    async def _is_claimed(self, key: ObjectKey, pod_uid: str) -> bool:
        stored = await self._client.get(GAMESERVERS, key)
        deletion = ((stored or {}).get("spec") or {}).get("deletion") or {}
        return bool(deletion.get("podUid") == pod_uid)

    def _claim(
        self, server: GameServer, uid: str, now: datetime, removed: Removed
    ) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            key = ObjectKey(server.metadata.namespace, server.metadata.name)
            removed.uncertain[key] = uid
            result = await claim(self._client, server, uid, "Autoscaler", now)
            del removed.uncertain[key]
            match result:
                case ClaimResult.CHANGED:
                    removed.spared.append(key.name)
                case ClaimResult.TAKEN:
                    removed.taken.append(key.name)
                case ClaimResult.WON:
                    removed.claimed.append(uid)
                    self._tell(server, key)

        return run

    def _tell(self, server: GameServer, key: ObjectKey) -> None:
        message = f"chosen for deletion (Autoscaler): opsState {server.spec.ops_state}"
        reference = ObjectReference(GAMESERVERS, key, server.metadata.uid)
        self._events.record(reference, "Normal", names.REASON_CLAIMED, message)


def _dump(status: AutoscalerStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _key(item: GameServerSet | GameServerSetAutoscaler) -> ObjectKey:
    return ObjectKey(item.metadata.namespace, item.metadata.name)


def _reference(autoscaler: GameServerSetAutoscaler) -> ObjectReference:
    return ObjectReference(AUTOSCALERS, _key(autoscaler), autoscaler.metadata.uid)
