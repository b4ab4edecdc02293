"""What a scaling decision looks at: the policy, the servers, and what happened before. Pure data.

All times are aware datetimes and whole seconds as timedeltas: exact, so that a window ends when it
ends. Nothing here is validated; whoever makes a policy from what a user wrote does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from shared.api import names

if TYPE_CHECKING:
    from datetime import datetime

    from aggregator.scaling.quantity import Amount

SelectPolicy = Literal["Max", "Min", "Disabled"]
_NOTHING = timedelta()


class Reason(StrEnum):
    """Why a decision is smaller than the wish; a decision has a set of them."""

    SCALE_UP_LIMIT = "ScaleUpLimit"
    SCALE_DOWN_LIMIT = "ScaleDownLimit"
    TOO_MANY_REPLICAS = "TooManyReplicas"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    ABOVE_MAX_REPLICAS = "AboveMaxReplicas"
    SCALE_UP_STABILIZED = "ScaleUpStabilized"
    SCALE_DOWN_STABILIZED = "ScaleDownStabilized"
    WAIT_TO_BE_DELETED_DWELL = "WaitToBeDeletedDwell"
    UNSETTLED = "Unsettled"


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """At most so many servers in each period: a number (Pods), or a share of them (Percent)."""

    type: Literal["Pods", "Percent"]
    value: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """How fast one direction may go, as in autoscaling/v2.

    Attributes:
        window: the smallest wish of this long counts; zero for the present one.
        select: which of the policies holds; Disabled forbids the direction.
    """

    policies: tuple[RatePolicy, ...]
    window: timedelta = _NOTHING
    select: SelectPolicy = "Max"


# Enough for any set; a policy that means "as fast as you like".
UNLIMITED = ScalingRules((RatePolicy("Pods", 2**31, timedelta(seconds=1)),))


@dataclass(frozen=True, slots=True)
class Policy:
    """What is wanted of one set.

    Attributes:
        max_replicas: a ceiling for growth, never a reason to delete.
        min_available: idle servers to keep; None for no wish.
        min_available_floor: a count beside a share.
        max_available: idle servers to have at most; None: they are never removed for being idle.
        supply_ops_states: the opsStates of an idle server.
        wait_to_be_deleted: how long a server has to be marked before it may be removed.
    """

    min_replicas: int
    max_replicas: int
    min_available: Amount | None = None
    min_available_floor: int = 0
    max_available: Amount | None = None
    supply_ops_states: frozenset[str] = frozenset({names.OPS_STATE_NONE})
    scale_up: ScalingRules = UNLIMITED
    scale_down: ScalingRules = UNLIMITED
    wait_to_be_deleted: timedelta = _NOTHING

    @property
    def marks_idle(self) -> bool:
        """Whether WaitToBeDeleted means idle: the set's probe marks every empty server."""
        return names.OPS_STATE_WAIT_TO_BE_DELETED in self.supply_ops_states


@dataclass(frozen=True, slots=True)
class ServerView:
    """One server of the set as the decision sees it.

    Attributes:
        state: of the GameServer; empty when nothing was observed yet.
        marked_since: when opsState last became WaitToBeDeleted; None for long ago.
        leaving: it terminates, or it is claimed.
        unaccounted: it goes by a Kill or Autoscaler claim by which replicas has not been lowered.
        stale: its opsState was written by a service quality that does not know any more.
        pod_uid: for whoever acts on the decision.
    """

    id: int
    ops_state: str
    state: str
    marked_since: datetime | None = None
    deletion_priority: int = 0
    leaving: bool = False
    unaccounted: bool = False
    stale: bool = False
    pod_uid: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A set and its servers at one moment.

    Attributes:
        spec_replicas: what the set asks for.
        observed: caches are synced and the set's status is of its present generation.
    """

    spec_replicas: int
    servers: tuple[ServerView, ...]
    observed: bool = True


@dataclass(frozen=True, slots=True)
class Sample:
    """A number and when it was true."""

    value: int
    at: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What earlier passes found and did, oldest first.

    Attributes:
        deficit: servers that were missing.
        excess: idle servers that were too many.
        up: servers that were added.
        down: servers that were removed.
    """

    deficit: tuple[Sample, ...] = ()
    excess: tuple[Sample, ...] = ()
    up: tuple[Sample, ...] = ()
    down: tuple[Sample, ...] = ()
