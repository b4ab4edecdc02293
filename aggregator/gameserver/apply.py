"""Writes a plan for one game server, and says afterwards what was done. Not pure.

Every write carries the uid and, where a decision rests on the whole object, the resourceVersion
it was decided on: after a lost response or with a stale cache the API server refuses it (409),
and the next run decides afresh from the annotation. So a crash between any two writes repeats
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from aggregator.gameserver.operations import (
    CreateServer,
    DeleteServer,
    Event,
    Operation,
    PatchPod,
    PatchServer,
    PatchStatus,
)
from aggregator.kube.errors import Unavailable
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import GAMESERVERS, PODS, ObjectKey, ObjectReference
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aggregator.kube.events import EventRecorder
    from aggregator.kube.transport import Json, KubeClient
    from shared.api.gameserver import GameServer


class Applier:
    """Writes the operations of one plan, in their order."""

    def __init__(self, client: KubeClient, events: EventRecorder) -> None:
        self._client = client
        self._events = events
        # By server: a patch whose answer was lost. If it was done, its events are still to be told.
        self._untold: dict[ObjectKey, PatchServer] = {}

    def forget(self, key: ObjectKey) -> None:
        """Forget a server that is gone."""
        self._untold.pop(key, None)

    def tell_what_was_done(self, server: GameServer) -> None:
        """Record the events of a patch whose answer was lost, once the object shows its effect."""
        key = ObjectKey(server.metadata.namespace, server.metadata.name)
        lost = self._untold.get(key)
        if lost is None or server.metadata.resource_version == lost.resource_version:
            return
        del self._untold[key]
        written = lost.document["metadata"]["annotations"].get(names.VERDICTS_ANNOTATION)
        if server.metadata.annotations.get(names.VERDICTS_ANNOTATION) == written:
            self._record(key, server.metadata.uid, lost.events)

    async def apply(
        self, key: ObjectKey, operations: Iterable[Operation], server_uid: str
    ) -> Json | None:
        """Do the operations.

        Args:
            key: of the pod and its GameServer.
            operations: of one plan.
            server_uid: for events; empty when there is no GameServer yet.

        Returns:
            The GameServer as the API server has it after our own writes; None without any.

        Raises:
            AppError: the first that fails; those after it are not tried.
        """
        stored: Json | None = None
        for operation in operations:
            try:
                stored = await self._apply(key, operation, stored)
            except Unavailable as error:
                if (
                    error.outcome_unknown
                    and isinstance(operation, PatchServer)
                    and operation.events
                ):
                    self._untold[key] = operation
                raise
            if isinstance(operation, PatchServer | PatchStatus | PatchPod):
                self._record(key, server_uid, operation.events)
        return stored

    async def _apply(
        self, key: ObjectKey, operation: Operation, stored: Json | None
    ) -> Json | None:
        match operation:
            case CreateServer(body):
                return await self._client.create(GAMESERVERS, key.namespace, body)
            case DeleteServer(uid, resource_version):
                await self._client.delete(
                    GAMESERVERS, key, uid=uid, resource_version=resource_version
                )
                return stored
            case PatchServer():
                metadata = operation.document["metadata"] | {
                    "uid": operation.uid,
                    "resourceVersion": operation.resource_version,
                }
                patch = MergePatch(operation.document | {"metadata": metadata})
                return await self._client.patch(GAMESERVERS, key, patch)
            case PatchStatus():
                # Our own patch of the spec just gave the object another version.
                version = operation.resource_version if stored is None else version_of(stored)
                metadata = {"uid": operation.uid, "resourceVersion": version}
                patch = MergePatch({"metadata": metadata, "status": operation.status})
                return await self._client.patch(GAMESERVERS, key, patch, "status")
            case PatchPod():
                # The uid alone would be 422, not 409, for a successor of the same name; and a
                # cache that lags behind our own patch would tell the change of state twice.
                preconditions = {
                    "uid": operation.uid,
                    "resourceVersion": operation.resource_version,
                }
                patch = MergePatch({"metadata": operation.metadata | preconditions})
                await self._client.patch(PODS, key, patch)
                return stored
            case _:
                assert_never(operation)

    def _record(self, key: ObjectKey, uid: str, events: Iterable[Event]) -> None:
        reference = ObjectReference(GAMESERVERS, key, uid)
        for event in events:
            self._events.record(reference, event.type, event.reason, event.message)


def version_of(stored: Json) -> str:
    """Return the resourceVersion of an object that the API server answered with."""
    return str(stored["metadata"]["resourceVersion"])
