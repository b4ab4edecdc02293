"""What status.conditions says: is anything wrong with the pod, its node, its volumes. Pure.

| type | False when |
| --- | --- |
| PodNormal | the pod failed, cannot be scheduled, or a container does not come up |
| NodeNormal | the node is gone, not Ready, or under pressure |
| PersistentVolumeNormal | a claim or its volume is gone, lost, failed or not bound |

What is missing is a condition, never an error: the node of a preempted machine is gone minutes
before its pods are. Without the right to read nodes or volumes there is no such condition.
Source: the condition types of OpenKruiseGame's GameServer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.api import names
from shared.api.meta import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from aggregator.infrastructure import Claim, Node, Volume
    from aggregator.pods import Pod

_READY = "Ready"
# The conditions of a node that are bad when they are True.
# Source: https://kubernetes.io/docs/reference/node/node-status/#condition
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
# What every container waits for at its start.
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_BOUND = "Bound"
_MAX_MESSAGE = 512


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The node and the volumes of one pod.

    Attributes:
        node: None when it does not exist.
        claims: by name; a claim that does not exist is missing here.
        volumes: by name.
        knows_nodes: nodes can be read.
        knows_volumes: claims and volumes can be read.
    """

    node: Node | None = None
    claims: Mapping[str, Claim] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    knows_nodes: bool = False
    knows_volumes: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong.

    Attributes:
        reason: CamelCase.
    """

    reason: str
    message: str


def plan_server_conditions(
    pod: Pod, around: Surroundings, former: Sequence[Condition], now: datetime
) -> tuple[Condition, ...]:
    """Return the conditions, equal to `former` where nothing changed; those of others stay.

    Args:
        pod: of the server.
        around: its node and volumes.
        former: the conditions in status now.
        now: becomes lastTransitionTime where the status changed.
    """
    found: dict[str, list[Trouble]] = {names.CONDITION_POD_NORMAL: list(_pod_troubles(pod))}
    if around.knows_nodes and pod.spec.node_name:
        found[names.CONDITION_NODE_NORMAL] = list(_node_troubles(pod.spec.node_name, around.node))
    if around.knows_volumes or not pod.claim_names:
        found[names.CONDITION_VOLUME_NORMAL] = list(_volume_troubles(pod, around))
    before = {condition.type: condition for condition in former}
    ours = [_condition(type_, each, before.get(type_), now) for type_, each in found.items()]
    return (*ours, *(each for each in former if each.type not in names.SERVER_CONDITIONS))


def _condition(
    type_: str, troubles: Sequence[Trouble], former: Condition | None, now: datetime
) -> Condition:
    status = "False" if troubles else "True"
    since = former.last_transition_time if former and former.status == status else now
    # A reason is one word by its schema, so the first trouble gives it; the message has them all.
    return Condition(
        type=type_,
        status=status,
        reason=troubles[0].reason if troubles else "Normal",
        message="; ".join(trouble.message for trouble in troubles)[:_MAX_MESSAGE],
        last_transition_time=since,
    )


def _pod_troubles(pod: Pod) -> Iterator[Trouble]:
    status = pod.status
    if status.phase == "Failed":
        yield Trouble(status.reason or "PodFailed", status.message or "the pod has failed")
        return
    for condition in status.conditions:
        scheduled = condition.type == "PodScheduled"
        unready = condition.type == "ContainersReady" and status.phase == "Running"
        if condition.status == "False" and (scheduled or unready):
            yield Trouble(condition.reason or f"{condition.type}False", condition.message)
    for container in (*status.init_container_statuses, *status.container_statuses):
        waiting = container.state.waiting
        if waiting is not None and waiting.reason not in _STARTING:
            # Not its message: that counts the seconds of a back-off, and every count is a write.
            yield Trouble(waiting.reason, f"container {container.name}: {waiting.reason}")


def _node_troubles(name: str, node: Node | None) -> Iterator[Trouble]:
    if node is None:
        yield Trouble("NodeNotFound", f"the node {name} does not exist")
        return
    for condition in node.status.conditions:
        if condition.type == _READY and condition.status != "True":
            said = condition.message or condition.reason or f"Ready is {condition.status}"
            yield Trouble("NodeNotReady", f"{name}: {said}")
        elif condition.type in _PRESSURES and condition.status == "True":
            said = condition.message or condition.reason or condition.type
            yield Trouble(condition.type, f"{name}: {said}")


def _volume_troubles(pod: Pod, around: Surroundings) -> Iterator[Trouble]:
    for name in pod.claim_names:
        claim = around.claims.get(name)
        if claim is None:
            message = f"the PersistentVolumeClaim {name} does not exist"
            yield Trouble("PersistentVolumeClaimNotFound", message)
            continue
        if claim.status.phase != _BOUND:
            phase = claim.status.phase or "Pending"
            yield Trouble(f"PersistentVolumeClaim{phase}", f"the claim {name} is {phase}")
            continue
        yield from _bound_troubles(name, claim.spec.volume_name, around)


def _bound_troubles(claim: str, name: str, around: Surroundings) -> Iterator[Trouble]:
    volume = around.volumes.get(name)
    if volume is None:
        message = f"the PersistentVolume {name} of the claim {claim} does not exist"
        yield Trouble("PersistentVolumeNotFound", message)
    elif volume.status.phase != _BOUND:
        phase = volume.status.phase or "Pending"
        said = f": {volume.status.message}" if volume.status.message else ""
        message = f"the volume {name} of the claim {claim} is {phase}{said}"
        yield Trouble(f"PersistentVolume{phase}", message)
