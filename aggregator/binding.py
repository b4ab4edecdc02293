"""Which pod a GameServer speaks for (SPEC 5.1). Pure.

Pod and GameServer have the same name, but a name is used again: only the uid says whether the
state in the object is that of this very pod. A state never leaks from an older pod onto its
successor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aggregator.pods import Pod
    from shared.api.gameserver import DeletionReason, GameServer


def owner_pod_uid(server: GameServer) -> str:
    """Return the uid of the pod that owns the object; empty when no pod owns it.

    With reclaimPolicy Cascade a pod owns its GameServer; with Delete the set does.
    """
    owners = (ref.uid for ref in server.metadata.owner_references if ref.kind == "Pod")
    return next(owners, "")


def speaks_for(server: GameServer, pod_uid: str) -> bool:
    """Tell whether the spec of `server` counts for the pod of its name with this uid."""
    owner = owner_pod_uid(server)
    if owner:
        return owner == pod_uid
    claim = server.spec.deletion
    return claim is None or claim.pod_uid in ("", pod_uid)


def claim_on(server: GameServer | None, pod: Pod) -> DeletionReason | None:
    """Return the reason of the claim on this very pod, None without one."""
    if server is None or server.spec.deletion is None or not speaks_for(server, pod.metadata.uid):
        return None
    return server.spec.deletion.reason
