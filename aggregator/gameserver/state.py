"""The state of a game server, from its pod (SPEC 1.2). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.api import names

if TYPE_CHECKING:
    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer


def current_state(pod: Pod, server: GameServer) -> str:
    """Return the state that was observed.

    Deleting beats everything, whatever the phase: the pod or the object has a deletionTimestamp. A
    running pod without a Ready condition is NotReady.
    """
    if pod.terminating or server.metadata.deletion_timestamp is not None:
        return names.STATE_DELETING
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
