"""What an earlier kubelet left in a pod's status, and how this one goes on from there. Pure.

The processes of a pod end with their kubelet (see sandbox.py): a new kubelet finds containers that
were running and are gone. Like kubelet after a reboot it counts them as ended and starts them again
if their restart policy allows, with one more restart.
Source: Kubernetes documentation, "Pod Lifecycle"; the words are those of kubelet_pods.go
(ContainerStatusUnknown).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from localcluster.kubelet.status import ContainerState, Terminated

if TYPE_CHECKING:
    from localcluster.kubelet.fields import Json

_LOST_CODE = 137
_LOST_REASON = "ContainerStatusUnknown"
_LOST_MESSAGE = "The container ended with the kubelet that ran it"


def left_behind(pod: Json, name: str, now: datetime) -> ContainerState | None:
    """Return how a container was left; None if it has never run."""
    status = pod.get("status") or {}
    every = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
    found = next((c for c in every if c["name"] == name), None)
    if found is None or not found.get("containerID"):
        return None
    last = _last_end(found, now)
    return ContainerState(
        name=name,
        state=last,
        last=last,
        restart_count=found.get("restartCount", 0),
        has_run=True,
        container_id=found["containerID"],
        image=found["image"],
        image_id=found.get("imageID", ""),
    )


def _last_end(status: Json, now: datetime) -> Terminated:
    state = status.get("state") or {}
    ended = state.get("terminated") or (
        (status.get("lastState") or {}).get("terminated") if "waiting" in state else None
    )
    if ended is not None:
        return Terminated(
            ended["exitCode"],
            ended.get("reason", ""),
            ended.get("message", ""),
            _moment(ended.get("startedAt"), now),
            _moment(ended.get("finishedAt"), now),
            ended.get("containerID", ""),
        )
    started_at = _moment((state.get("running") or {}).get("startedAt"), now)
    container_id = status["containerID"]
    return Terminated(_LOST_CODE, _LOST_REASON, _LOST_MESSAGE, started_at, now, container_id)


def _moment(text: str | None, now: datetime) -> datetime:
    return datetime.fromisoformat(text) if text else now


def rests_after(left: ContainerState | None, policy: str) -> bool:
    """Return whether a container that was left so is not started again under a restart policy."""
    if left is None or left.last is None or policy == "Always":
        return False
    return policy == "Never" or left.last.exit_code == 0


def started_at(pod: Json, now: datetime) -> datetime:
    """Return when a kubelet first took the pod: `now`, unless its status says otherwise."""
    return _moment((pod.get("status") or {}).get("startTime"), now)
