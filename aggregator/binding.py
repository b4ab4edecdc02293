"""Which pod a GameServer speaks for (SPEC 5.1). Pure.

Pod and GameServer have the same name, but a name is used again: only the uid says whether the
state in the object is that of this very pod. A state never leaks from an older pod onto its
successor, nor from a former set of this name onto the servers of the next: what that one owned goes
with it, but a new pod may be faster than the garbage collector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.api import names

if TYPE_CHECKING:
    from aggregator.pods import Pod
    from shared.api.gameserver import DeletionReason, GameServer


def owner_pod_uid(server: GameServer) -> str:
    """Return the uid of the pod that owns the object; empty when no pod owns it.

    With reclaimPolicy Cascade a pod owns its GameServer; with Delete the set does.
    """
    owners = (ref.uid for ref in server.metadata.owner_references if ref.kind == "Pod")
    return next(owners, "")


def is_of_another_set(server: GameServer, set_uid: str) -> bool:
    """Tell whether a set with another uid owns the object."""
    owners = (
        each.uid
        for each in server.metadata.owner_references
        if each.kind == names.GAMESERVERSET_KIND
    )
    return any(uid != set_uid for uid in owners)


def speaks_for(server: GameServer, pod: Pod) -> bool:
    """Tell whether the spec of `server` counts for this pod of its name."""
    owner = owner_pod_uid(server)
    if owner:
        return owner == pod.metadata.uid
    # An orphan says nothing of sets: its object waits with it for whoever adopts them.
    if pod.controller_uid and is_of_another_set(server, pod.controller_uid):
        return False
    claim = server.spec.deletion
    return claim is None or claim.pod_uid in ("", pod.metadata.uid)


def claim_on(server: GameServer | None, pod: Pod) -> DeletionReason | None:
    """Return the reason of the claim on this very pod, None without one."""
    if server is None or server.spec.deletion is None or not speaks_for(server, pod):
        return None
    return server.spec.deletion.reason
