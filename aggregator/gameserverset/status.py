"""What the status of a set says (SPEC 1.1). Pure. It reports what was observed, never a wish."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from aggregator.gameserverset.pod import template_revision
from shared.api import names
from shared.api.meta import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aggregator.pods import Pod
    from shared.api.gameserverset import GameServerSet, GameServerSetStatus


@dataclass(frozen=True, slots=True)
class Member:
    """A live pod of the set and the opsState of its server; empty before it has one."""

    pod: Pod
    ops_state: str


@dataclass(frozen=True, slots=True)
class ConditionState:
    """A condition without its times."""

    type: str
    holds: bool
    reason: str
    message: str = ""


def plan_status(
    owner: GameServerSet,
    members: Sequence[Member],
    conditions: Iterable[ConditionState],
    now: datetime,
) -> GameServerSetStatus:
    """Return the status; equal to the one before where nothing changed."""
    revision = template_revision(owner)
    ready = [member for member in members if member.pod.ready]
    updated = [member for member in members if _revision(member.pod) == revision]
    minimum = timedelta(seconds=owner.spec.update_strategy.rolling_update.min_ready_seconds)
    ops_states = [member.ops_state for member in members]
    fresh = owner.status.model_copy(
        update={
            "observed_generation": owner.metadata.generation,
            "replicas": owner.spec.replicas,
            "current_replicas": len(members),
            "ready_replicas": len(ready),
            "available_replicas": sum(_ready_for(m.pod, minimum, now) for m in ready),
            "updated_replicas": len(updated),
            "updated_ready_replicas": sum(member.pod.ready for member in updated),
            "maintaining_replicas": ops_states.count(names.OPS_STATE_MAINTAINING),
            "wait_to_be_deleted_replicas": ops_states.count(names.OPS_STATE_WAIT_TO_BE_DELETED),
            "none_replicas": ops_states.count(names.OPS_STATE_NONE),
            "allocated_replicas": ops_states.count(names.OPS_STATE_ALLOCATED),
            "kill_replicas": ops_states.count(names.OPS_STATE_KILL),
            "update_revision": revision,
            "current_revision": _current_revision(owner, members, revision),
            "label_selector": f"{names.OWNER_LABEL}={owner.metadata.name}",
            "conditions": _conditions(owner, conditions, now),
        }
    )
    if fresh == owner.status:
        return fresh
    return fresh.model_copy(update={"last_transition_time": now})


def next_availability(
    owner: GameServerSet, members: Sequence[Member], now: datetime
) -> timedelta | None:
    """Return when the next ready server becomes available, None when none is on its way."""
    minimum = timedelta(seconds=owner.spec.update_strategy.rolling_update.min_ready_seconds)
    if not minimum:
        return None
    waits = [
        minimum - (now - since)
        for member in members
        if member.pod.ready and (since := member.pod.ready_since) is not None
    ]
    return min((wait for wait in waits if wait > timedelta()), default=None)


def _ready_for(pod: Pod, minimum: timedelta, now: datetime) -> bool:
    return not minimum or (pod.ready_since is not None and now - pod.ready_since >= minimum)


def _revision(pod: Pod) -> str:
    return pod.metadata.labels.get(names.REVISION_LABEL, "")


def _current_revision(owner: GameServerSet, members: Sequence[Member], revision: str) -> str:
    """Return the revision that the set comes from: the new one once every server has it."""
    if all(_revision(member.pod) == revision for member in members):
        return revision
    return owner.status.current_revision


def _conditions(
    owner: GameServerSet, wanted: Iterable[ConditionState], now: datetime
) -> tuple[Condition, ...]:
    former = {condition.type: condition for condition in owner.status.conditions}
    conditions = []
    for state in wanted:
        status = "True" if state.holds else "False"
        old = former.get(state.type)
        since = old.last_transition_time if old is not None and old.status == status else now
        conditions.append(
            Condition(
                type=state.type,
                status=status,
                reason=state.reason,
                message=state.message,
                observed_generation=owner.metadata.generation,
                last_transition_time=since,
            )
        )
    return tuple(conditions)
