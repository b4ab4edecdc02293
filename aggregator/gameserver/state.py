"""The state of a game server, from its pod (SPEC 1.2). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.binding import claim_on
from aggregator.lifecycle import holds_deletion
from aggregator.pod_update import update_state
from shared.api import names

if TYPE_CHECKING:
    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet


def current_state(pod: Pod, server: GameServer, owner: GameServerSet | None = None) -> str:
    """Return the state that was observed.

    Deleting beats everything, whatever the phase: the pod or the object has a deletionTimestamp.
    Then comes what holds a server back (PreDelete, PreUpdate) or is done to it (Updating). A
    running pod without a Ready condition is NotReady.

    Args:
        pod: of the server.
        server: the GameServer.
        owner: the set, whose hooks hold servers; None when it is gone.
    """
    if pod.terminating or server.metadata.deletion_timestamp is not None:
        return names.STATE_DELETING
    if owner is not None and claim_on(server, pod) is not None and holds_deletion(owner, pod):
        return names.STATE_PRE_DELETE
    if not pod.finished and (state := update_state(pod)) is not None:
        return state
    match pod.status.phase:
        case "Pending" | "":
            return names.STATE_CREATING
        case "Running":
            return names.STATE_READY if pod.ready else names.STATE_NOT_READY
        case "Failed":
            return names.STATE_CRASH
        case _:
            return names.STATE_UNKNOWN


def desired_state(server: GameServer) -> str:
    """Return the state that the server should reach."""
    return names.STATE_DELETING if server.spec.deletion is not None else names.STATE_READY
