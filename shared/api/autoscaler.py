"""GameServerSetAutoscaler: how many idle servers a set shall have (AUTOSCALING 1). Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from shared.api.meta import (
    DNS_LABEL_PATTERN,
    INT32_MAX,
    LABEL_VALUE_PATTERN,
    ApiModel,
    Condition,
    Int32,
    ObjectMeta,
)

Available = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maximum": INT32_MAX,
            "maxLength": 16,
        }
    ),
]
"""A number of servers such as 3, or a share of them such as "20%" or "0.2". What else a text may
be says a rule (shared/crd_rules.py), because a pattern would answer with itself."""

OpsState = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL_VALUE_PATTERN)]
CronExpression = Annotated[str, Field(max_length=128)]
"""Five fields; a rule says so."""
_Name = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL_PATTERN)]
_Window = Annotated[int, Field(ge=0, le=3600, json_schema_extra={"format": "int32"})]


class ScalingPolicy(ApiModel):
    """At most so many servers in each period."""

    type: Literal["Pods", "Percent"]
    """Pods counts servers, Percent is a share of those at the start of the period."""
    value: Annotated[int, Field(ge=1, le=INT32_MAX, json_schema_extra={"format": "int32"})]
    """Number of servers, or percentage."""
    period_seconds: Annotated[int, Field(ge=1, le=1800, json_schema_extra={"format": "int32"})]
    """Length of the period."""


_Policies = Annotated[tuple[ScalingPolicy, ...], Field(min_length=1, max_length=16)]


class ScaleUp(ApiModel):
    """How fast the set grows. The defaults are those of autoscaling/v2."""

    stabilization_window_seconds: _Window = 0
    """The smallest need of the last seconds counts."""
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    """Which of several policies holds; Disabled forbids growth."""
    policies: _Policies = (
        ScalingPolicy(type="Pods", value=4, period_seconds=15),
        ScalingPolicy(type="Percent", value=100, period_seconds=15),
    )
    """Limits, of which selectPolicy names the one that holds."""


class ScaleDown(ApiModel):
    """How fast servers are removed. The defaults are those of autoscaling/v2."""

    stabilization_window_seconds: _Window = 300
    """The smallest surplus of idle servers of the last seconds counts; marked ones do not wait."""
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    """Which of several policies holds; Disabled forbids removal."""
    policies: _Policies = (ScalingPolicy(type="Percent", value=100, period_seconds=15),)
    """Limits, of which selectPolicy names the one that holds."""
    wait_to_be_deleted_seconds: Annotated[int, Field(ge=0, le=86_400)] = 30
    """How long a server has to be marked WaitToBeDeleted before it is removed, each for itself."""


class Behavior(ApiModel):
    """How fast the set changes, as in autoscaling/v2; there is no tolerance."""

    scale_up: ScaleUp = ScaleUp()
    """How fast the set grows."""
    scale_down: ScaleDown = ScaleDown()
    """How fast servers are removed."""


class Schedule(ApiModel):
    """A window of time in which other numbers hold; later ones override earlier ones."""

    name: _Name
    """Name of the window, for conditions and explanations."""
    start: CronExpression
    """When the window opens: minute, hour, day of month, month, day of week."""
    end: CronExpression
    """When the window closes."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = (
        "UTC"
    )
    """Name of the IANA time zone that start and end are in, for example Europe/Berlin."""
    min_available: Available | None = None
    """minAvailable within the window."""
    max_available: Available | None = None
    """maxAvailable within the window."""
    min_replicas: Int32 | None = None
    """minReplicas within the window."""


class AutoscalerSpec(ApiModel):
    """What is wanted."""

    game_server_set_name: Annotated[
        str, Field(min_length=1, max_length=52, pattern=DNS_LABEL_PATTERN)
    ]
    """The set, in the same namespace."""
    mode: Literal["Active", "DryRun", "Off"] = "Active"
    """DryRun writes its status only; "Off", in quotes or YAML reads false, does not decide."""
    min_replicas: Int32 = 0
    """The set is never made smaller, and made at least so large at once."""
    max_replicas: Int32
    """A ceiling for growth, never a reason to delete."""
    min_available: Available | None = None
    """Idle servers to keep: a number such as 3, or a share such as "20%"."""
    min_available_floor: Int32 = 0
    """Least number of idle servers beside a share."""
    max_available: Available | None = None
    """Idle servers to have at most; absent: idle servers are never removed."""
    supply_ops_states: Annotated[tuple[OpsState, ...], Field(min_length=1, max_length=16)] = (
        "None",
    )
    """The opsStates of an idle server. WaitToBeDeleted where a probe marks every empty one."""
    behavior: Behavior = Behavior()
    """How fast the set changes."""
    schedules: Annotated[
        tuple[Schedule, ...],
        Field(
            max_length=32,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ] = ()
    """Windows of time in which other numbers hold."""


class Counts(ApiModel):
    """The servers of the set by class."""

    expected: int = 0
    """Servers that there will be if nothing is done."""
    idle: int = 0
    """Supply: idle servers, those that boot and those that are not created yet."""
    ready: int = 0
    """Idle servers that are Ready."""
    booting: int = 0
    """Idle servers that are not Ready yet."""
    missing: int = 0
    """Servers that are asked for and not created yet."""
    in_use: int = 0
    """Servers that are never removed."""
    marked: int = 0
    """Servers marked WaitToBeDeleted."""
    ripe: int = 0
    """Marked servers that may be removed now."""
    leaving: int = 0
    """Servers that terminate or are claimed."""
    kill: int = 0
    """Servers that will lower replicas by themselves."""


class VictimReference(ApiModel):
    """A server chosen for removal."""

    name: str
    """Name of the server."""
    uid: str = ""
    """Uid of its pod."""
    reason: str = ""
    """WaitToBeDeleted or AboveMaxAvailable."""


class LastDecision(ApiModel):
    """The last decision to add or remove servers, carried out or not; repeating it is no news."""

    at: datetime | None = None
    """When it was made."""
    add: int = 0
    """Servers to add."""
    cancel: int = 0
    """Servers that were asked for and shall not be created."""
    victims: tuple[VictimReference, ...] = ()
    """Servers to remove, in this order; the first of them if there are many."""
    reasons: tuple[str, ...] = ()
    """Why it is smaller than the wish."""
    text: str = ""
    """The decision in a sentence."""


class AutoscalerStatus(ApiModel):
    """What was observed and decided."""

    observed_generation: int = 0
    """The generation that the rest of the status speaks of."""
    current_replicas: int | None = None
    """spec.replicas of the set; absent while nothing is decided."""
    desired_replicas: int | None = None
    """Servers that there will be when the decision is carried out; absent as above."""
    last_scale_time: datetime | None = None
    """When servers were last added or removed by this autoscaler."""
    counts: Counts | None = None
    """The servers of the set by class; absent as above."""
    last_decision: LastDecision | None = None
    """The last decision to add or remove servers, carried out or not; repeating it is no news."""
    conditions: tuple[Condition, ...] = ()
    """AbleToScale, ScalingActive, ScalingLimited, Stabilized, Conflict and others."""


class GameServerSetAutoscaler(ApiModel):
    """Keeps a number of idle game servers in a set, and removes exactly those that may go."""

    metadata: ObjectMeta
    spec: AutoscalerSpec
    status: AutoscalerStatus = AutoscalerStatus()
