"""Claim, then delete: how a server is deleted on purpose (SPEC 6.6). Not pure.

A claim is a compare-and-set on the GameServer: the API server refuses it when the object is
another or its opsState is not what the decision saw, so a server that became busy in between is
spared and nobody else dies in its place. It is also refused where a claim stands already (a rule
of the definition): of two who claim one server, the first wins, with its reason and what that
costs. Only a claimed pod is deleted, by uid. A crash between the two is harmless: the claim is
final and the next plan carries it out.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from aggregator.kube import patch
from aggregator.kube.errors import NotFound, Rejected, TestFailed, Unavailable
from aggregator.kube.resources import GAMESERVERS, PODS, ObjectKey
from shared.api import names
from shared.protocol.wire import render_time

if TYPE_CHECKING:
    from datetime import datetime

    from aggregator.kube.transport import Json, KubeClient
    from shared.api.gameserver import DeletionReason, GameServer


class ClaimResult(Enum):
    """What became of a claim.

    With all but WON nobody dies in that server's place: plan again.
    """

    WON = auto()
    """It is written, and ours."""
    CHANGED = auto()
    """The server is gone, or not what the decision saw any more: it is spared."""
    TAKEN = auto()
    """Another claimed it first: it goes with that one's reason and cost."""


async def claim(
    client: KubeClient, server: GameServer, pod_uid: str, reason: DeletionReason, now: datetime
) -> ClaimResult:
    """Claim a server for deletion.

    Args:
        client: the API server.
        server: as the decision saw it.
        pod_uid: the pod that is to be deleted.
        reason: why.
        now: becomes spec.deletion.at.

    Raises:
        AppError: the API server refused it for another reason, or whether it is written is unknown.
    """
    deletion = {"reason": reason, "podUid": pod_uid, "at": render_time(now)}
    label = patch.add(patch.pointer("metadata", "labels", names.DELETING_LABEL), "true")
    if not server.metadata.labels:
        # A person removed them all, and an `add` needs its parent.
        label = patch.add("/metadata/labels", {names.DELETING_LABEL: "true"})
    operations = patch.JsonPatch(
        (
            patch.test("/metadata/uid", server.metadata.uid),
            patch.test("/spec/opsState", server.spec.ops_state),
            patch.add("/spec/deletion", deletion),
            label,
        )
    )
    key = ObjectKey(server.metadata.namespace, server.metadata.name)
    try:
        await client.patch(GAMESERVERS, key, operations)
    except (TestFailed, NotFound):
        return ClaimResult.CHANGED
    except Rejected as error:
        if not _is_claimed_already(error):
            raise
        return ClaimResult.TAKEN
    except Unavailable as error:
        # Only here is it known whose claim it is; a later plan would see one that nobody told of.
        if not error.outcome_unknown or not await _stands(client, key, deletion):
            raise
    return ClaimResult.WON


async def release(client: KubeClient, server: GameServer) -> bool:
    """Take the claim of a scale-down back; every other claim is final.

    Args:
        client: the API server.
        server: as the decision saw it, with its claim.

    Returns:
        False when the server is gone, or the claim is another by now: plan again.
    """
    deletion = server.spec.deletion
    if deletion is None or deletion.reason != "ScaleDown":
        return False
    operations = [
        patch.test("/metadata/uid", server.metadata.uid),
        patch.test("/spec/deletion/reason", deletion.reason),
        patch.test("/spec/deletion/podUid", deletion.pod_uid),
        patch.remove("/spec/deletion"),
    ]
    if names.DELETING_LABEL in server.metadata.labels:
        operations.append(patch.remove(patch.pointer("metadata", "labels", names.DELETING_LABEL)))
    key = ObjectKey(server.metadata.namespace, server.metadata.name)
    try:
        await client.patch(GAMESERVERS, key, patch.JsonPatch(tuple(operations)))
    except (TestFailed, NotFound):
        return False
    return True


def _is_claimed_already(error: Rejected) -> bool:
    """Tell whether the rule that a claim is not replaced refused ours: it names the whole claim."""
    return any(cause.field == "spec.deletion" for cause in error.causes)


async def _stands(client: KubeClient, key: ObjectKey, deletion: Json) -> bool:
    """Tell whether this very claim is written."""
    stored = await client.get(GAMESERVERS, key)
    return stored is not None and stored["spec"].get("deletion") == deletion


async def delete_claimed(
    client: KubeClient, key: ObjectKey, pod_uid: str, resource_version: str | None = None
) -> bool:
    """Delete the pod of a claimed server.

    Args:
        client: the API server.
        key: of the pod.
        pod_uid: of the only pod of this name that may go.
        resource_version: and the only version of it; None for any, because a claim is final.

    Returns:
        False when it was gone already, which is success: but no event will tell of it any more.

    Raises:
        Conflict: the name belongs to another pod by now, which stays.
    """
    return await client.delete(PODS, key, uid=pod_uid, resource_version=resource_version)
