"""GameServerSet: how many game servers of what kind (SPEC 1.1). Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from shared.api.meta import (
    INT32_MAX,
    LABEL_VALUE_PATTERN,
    ApiModel,
    Condition,
    FreeObject,
    Int32,
    IntOrPercent,
    ObjectMeta,
)
from shared.api.service_quality import ServiceQuality

# A full PodTemplateSpec schema would make the CRD too large for client-side apply; what our own
# rules look at is declared, the rest is kept as it is and checked when the pod is created.
_NAMED_CONTAINER: dict[str, Any] = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "required": ["name"],
    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 63}},
}
_POD_TEMPLATE_SPEC: dict[str, Any] = {
    "type": "object",
    "description": "The pod's spec, as in a PodTemplateSpec.",
    "x-kubernetes-preserve-unknown-fields": True,
    "required": ["containers"],
    "properties": {
        "containers": {
            "type": "array",
            "minItems": 1,
            "maxItems": 32,
            "items": _NAMED_CONTAINER,
        },
        "initContainers": {"type": "array", "maxItems": 32, "items": _NAMED_CONTAINER},
        "hostPID": {"type": "boolean"},
        "hostNetwork": {"type": "boolean"},
        "shareProcessNamespace": {"type": "boolean"},
    },
}

# The bound on the number of keys makes a rule about them affordable; see shared/crd_rules.py.
_MAX_KEYS = 1024
_LABELS: dict[str, Any] = {
    "type": "object",
    "maxProperties": _MAX_KEYS,
    "additionalProperties": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE_PATTERN},
}
_ANNOTATIONS: dict[str, Any] = {
    "type": "object",
    "maxProperties": _MAX_KEYS,
    "additionalProperties": {"type": "string"},
}
_TEMPLATE_METADATA: dict[str, Any] = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {"labels": _LABELS, "annotations": _ANNOTATIONS},
}

TemplateMetadata = Annotated[dict[str, Any], WithJsonSchema(_TEMPLATE_METADATA)]
PodTemplateSpec = Annotated[dict[str, Any], WithJsonSchema(_POD_TEMPLATE_SPEC)]

ReserveItem = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maximum": INT32_MAX,
            "maxLength": 24,
            "pattern": "^[0-9]{1,10}-[0-9]{1,10}$",
        }
    ),
]
"""An id such as 3, or an inclusive range such as "3-5"."""

Hooks = FreeObject


class GameServerTemplate(ApiModel):
    """The pod of each server: a PodTemplateSpec and what goes with it."""

    metadata: TemplateMetadata = Field(default_factory=dict)
    """Labels and annotations of the pods."""
    spec: PodTemplateSpec
    """The pod's spec, as in a PodTemplateSpec."""
    volume_claim_templates: Annotated[tuple[FreeObject, ...], Field(max_length=32)] = ()
    """One PersistentVolumeClaim for each id."""
    reclaim_policy: Literal["Cascade", "Delete"] = "Cascade"
    """Cascade: the GameServer goes with its pod. Delete: it stays until it is scaled down."""


class InPlaceUpdateStrategy(ApiModel):
    """How in-place updates run."""

    grace_period_seconds: Int32 = 0
    """Seconds between taking the server out of service and the update."""


class RollingUpdate(ApiModel):
    """How a change of the template reaches running servers."""

    partition: IntOrPercent = 0
    """Number of servers left on the old revision."""
    max_unavailable: IntOrPercent = 1
    """Servers that may be not available at a time."""
    pod_update_policy: Literal["ReCreate", "InPlaceIfPossible", "InPlaceOnly"] = "ReCreate"
    """Whether pods are recreated or patched."""
    paused: bool = False
    """Stop updating."""
    min_ready_seconds: Int32 = 0
    """Seconds that a server must be ready to count as available."""
    in_place_update_strategy: InPlaceUpdateStrategy = InPlaceUpdateStrategy()
    """How in-place updates run."""


class UpdateStrategy(ApiModel):
    """When a change of the template reaches running servers."""

    type: Literal["RollingUpdate", "OnDelete"] = "RollingUpdate"
    """OnDelete leaves running servers alone."""
    rolling_update: RollingUpdate = RollingUpdate()
    """How RollingUpdate runs."""


class ScaleStrategy(ApiModel):
    """How the set grows and shrinks."""

    scale_down_strategy_type: Literal["General", "ReserveIds"] = "General"
    """ReserveIds records the ids of deleted servers in reserveGameServerIds."""
    max_unavailable: IntOrPercent | None = None
    """Servers that may be not available through growth at a time."""


class Lifecycle(ApiModel):
    """Hooks before a server is deleted or updated in place."""

    pre_delete: Hooks | None = None
    """labelsHandler and finalizersHandler to wait for before deletion."""
    in_place_update: Hooks | None = None
    """labelsHandler and finalizersHandler to wait for before an in-place update."""


class GameServerSetSpec(ApiModel):
    """What is wanted."""

    replicas: Int32
    """Number of servers."""
    game_server_template: GameServerTemplate
    """The pod of each server."""
    service_name: Annotated[str, Field(max_length=63)] = ""
    """Headless Service that gives the servers their names; empty means the name of the set."""
    reserve_game_server_ids: Annotated[tuple[ReserveItem, ...], Field(max_length=10_000)] = ()
    """Ids that must not exist: whole numbers and inclusive ranges such as "3-5"."""
    service_qualities: Annotated[
        tuple[ServiceQuality, ...],
        Field(
            max_length=64,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ] = ()
    """Probes and what to do about their verdicts."""
    update_strategy: UpdateStrategy = UpdateStrategy()
    """How a change of the template reaches running servers."""
    scale_strategy: ScaleStrategy = ScaleStrategy()
    """How the set grows and shrinks."""
    lifecycle: Lifecycle | None = None
    """Hooks before a server is deleted or updated in place."""
    network: FreeObject | None = None
    """Stored for network plugins; Gamekeeper does not act on it."""
    persistent_volume_claim_retention_policy: FreeObject | None = None
    """whenDeleted and whenScaled: Retain or Delete."""


class GameServerSetStatus(ApiModel):
    """What was observed."""

    observed_generation: int = 0
    """The generation that the rest of the status speaks of."""
    replicas: int = 0
    """spec.replicas of the observed generation; the HPA computes with it."""
    current_replicas: int = 0
    """Live servers."""
    ready_replicas: int = 0
    """Servers that are Ready."""
    available_replicas: int = 0
    """Servers that have been Ready for minReadySeconds."""
    updated_replicas: int = 0
    """Servers of the update revision."""
    updated_ready_replicas: int = 0
    """Servers of the update revision that are Ready."""
    maintaining_replicas: int = 0
    """Servers with opsState Maintaining."""
    wait_to_be_deleted_replicas: int = 0
    """Servers with opsState WaitToBeDeleted."""
    pre_delete_replicas: int = 0
    """Servers that wait for a preDelete hook."""
    none_replicas: int = 0
    """Servers with opsState None."""
    allocated_replicas: int = 0
    """Servers with opsState Allocated."""
    kill_replicas: int = 0
    """Servers with opsState Kill."""
    current_revision: str = ""
    """Revision that the set came from."""
    update_revision: str = ""
    """Revision that the set goes to."""
    collision_count: int | None = None
    """Number of hash collisions of revisions."""
    label_selector: str = ""
    """Selector of the pods, for the scale subresource."""
    last_transition_time: datetime | None = None
    """When the counts last changed."""
    conditions: tuple[Condition, ...] = ()
    """Conditions of the set."""


class GameServerSet(ApiModel):
    """A number of game servers made from one template, with ids and service qualities."""

    metadata: ObjectMeta
    spec: GameServerSetSpec
    status: GameServerSetStatus = GameServerSetStatus()
