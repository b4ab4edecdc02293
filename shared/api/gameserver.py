"""GameServer: the operations state of one game server, bound to one pod (SPEC 1.2). Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from shared.api.meta import (
    LABEL_VALUE_PATTERN,
    ApiModel,
    Condition,
    FreeObject,
    ObjectMeta,
    Priority,
)

DeletionReason = Literal["ScaleDown", "Reserved", "Kill", "Autoscaler"]


class GameServerContainer(ApiModel):
    """What differs from the set's template for one container of this server."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the container."""
    image: Annotated[str, Field(max_length=1024)] = ""
    """Image instead of the template's."""
    resources: FreeObject | None = None
    """Resources instead of the template's."""


class Deletion(ApiModel):
    """The claim: this server was chosen for deletion. Written once, before the pod is deleted."""

    reason: DeletionReason
    """Why it was chosen."""
    pod_uid: Annotated[str, Field(max_length=128)] = ""
    """The pod that was chosen."""
    at: datetime | None = None
    """When it was chosen."""


class GameServerSpec(ApiModel):
    """What people, probes and matchmakers say about this server."""

    ops_state: Annotated[str, Field(max_length=63, pattern=LABEL_VALUE_PATTERN)] = "None"
    """Operations state: None, WaitToBeDeleted, Allocated, Maintaining, Kill or one of your own."""
    update_priority: Priority = 0
    """Servers with a larger one are updated first."""
    deletion_priority: Priority = 0
    """Of servers with the same opsState, the one with the larger number is deleted first."""
    network_disabled: bool | None = None
    """Whether traffic to the server is cut off; absent means not set."""
    containers: Annotated[tuple[GameServerContainer, ...], Field(max_length=32)] = ()
    """What differs from the template for this server."""
    deletion: Deletion | None = None
    """Set while the server is being deleted on purpose; opsState is final then."""


class ServiceQualityCondition(ApiModel):
    """The verdict of one service quality as last observed."""

    name: str
    """Name of the service quality."""
    status: Literal["True", "False", "Unknown"] = "Unknown"
    """The verdict; Unknown when the probe could not be run."""
    result: str = ""
    """What the probe printed, cleaned."""
    reason: str = ""
    """Why the verdict is Unknown, or False without an answer of the probe's own, in CamelCase."""
    message: str = ""
    """What to do about it."""
    last_probe_time: datetime | None = None
    """Start of the run that was reported with the last transition."""
    last_transition_time: datetime | None = None
    """When status or result last changed."""
    last_action_transition_time: datetime | None = None
    """When an action of this quality was last executed."""


class GameServerStatus(ApiModel):
    """What was observed."""

    pod_uid: str = ""
    """The pod that this object is bound to."""
    desired_state: str = ""
    """State that the server should reach."""
    current_state: str = ""
    """Creating, Ready, NotReady, Crash, Updating, Deleting, PreDelete, PreUpdate or Unknown."""
    pod_status: FreeObject | None = None
    """A summary of the pod's status: phase, podIP, nodeName."""
    service_qualities_conditions: tuple[ServiceQualityCondition, ...] = ()
    """One for each service quality."""
    update_priority: Priority | None = None
    """updatePriority in force."""
    deletion_priority: Priority | None = None
    """deletionPriority in force."""
    last_transition_time: datetime | None = None
    """When the state last changed."""
    conditions: tuple[Condition, ...] = ()
    """Conditions of the server."""
    network_status: FreeObject | None = None
    """Stored for network plugins; Gamekeeper does not write it."""


class GameServer(ApiModel):
    """The operations state of one game server. It has the name of its pod and belongs to it."""

    metadata: ObjectMeta
    spec: GameServerSpec = GameServerSpec()
    status: GameServerStatus = GameServerStatus()
