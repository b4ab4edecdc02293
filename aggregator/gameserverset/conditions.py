"""The conditions of a set: what a person should know about it, and what to do (SPEC 1.1). Pure.

Ready and Progressing are always there; the others are there while they have something to say. A
message names a few objects and says how many there are, and has no times in it, so that a condition
is written when something changes and not because time passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.gameserverset.ids import server_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aggregator.gameserverset.annotations import AnnotationProblem
    from aggregator.gameserverset.facts import Facts
    from aggregator.gameserverset.scale import ScalePlan
    from aggregator.gameserverset.server import Server
    from aggregator.gameserverset.update import Hindrance, UpdatePlan

READY = "Ready"
PROGRESSING = "Progressing"
QUALITIES_VALID = "ServiceQualitiesValid"
RESERVE_VALID = "ReserveIdsValid"
ANNOTATIONS_VALID = "AnnotationsValid"
WAITING = "WaitingForTermination"
NAME_TAKEN = "NameTaken"
SCALE_DOWN_BLOCKED = "ScaleDownBlocked"
UPDATE_BLOCKED = "UpdateBlocked"
CRASH_LOOPING = "CrashLooping"
REPLICA_FAILURE = "ReplicaFailure"
AGENT_MISSING = "AgentMissing"

_NAMED = 5
# The reason of Progressing while an update stands still, and what would let it go on.
_STANDS: dict[Hindrance, str] = {
    "OnDelete": "spec.updateStrategy.type is OnDelete, so each is updated when its pod is deleted",
    "UpdatePaused": "set spec.updateStrategy.rollingUpdate.paused to false to go on",
    "NoneMayBeUnavailable": "spec.updateStrategy.rollingUpdate.maxUnavailable is 0, raise it",
    "AllocatedProtected": "the annotation gamekeeper.dev/protect-allocated spares them while they "
    "are Allocated",
    "StateLeftOut": "the annotation gamekeeper.dev/update-ops-states leaves their opsStates out",
    "InPlaceImpossible": "podUpdatePolicy is InPlaceOnly, and more than images and metadata differ",
}


@dataclass(frozen=True, slots=True)
class ConditionState:
    """A condition without its times."""

    type: str
    holds: bool
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the conditions of a set speak of.

    Attributes:
        set_name: of the set.
        replicas: that are wanted, after the accounting of this plan.
        wanted: the servers that stay.
        scale: the plan.
        updates: the plan.
        crashing: ids whose pods ended several times in a row and that wait for the next.
        refusal: why the API server refused the last pods; empty when it did not.
        needs_agent: the set has service qualities and its pods get an agent.
        paused: nothing is written for this set.
        annotation_problems: what in the set's annotations means nothing.
    """

    set_name: str
    replicas: int
    wanted: Sequence[Server]
    scale: ScalePlan
    updates: UpdatePlan
    crashing: Sequence[int] = ()
    refusal: str = ""
    needs_agent: bool = False
    paused: bool = False
    annotation_problems: Sequence[AnnotationProblem] = ()


def plan_conditions(facts: Facts, has_qualities: bool, seen: Situation) -> list[ConditionState]:
    """Return the conditions, in the order in which a person should read them."""
    found = [
        _ready(seen),
        _progressing(seen),
        _qualities(facts, has_qualities),
        _reserve(facts),
        _annotations(seen),
        _refused(seen),
        _waiting(seen),
        _taken(seen),
        _crashing(seen),
        _scale_down_blocked(seen),
        _update_blocked(seen),
        _agent_missing(seen),
    ]
    return [state for state in found if state is not None]


def _ready(seen: Situation) -> ConditionState:
    available = sum(server.available for server in seen.wanted)
    message = f"{available} of {seen.replicas} servers are available"
    if available >= seen.replicas:
        return ConditionState(READY, True, "AllAvailable", message)
    return ConditionState(READY, False, "ServersNotAvailable", message)


def _progressing(seen: Situation) -> ConditionState:
    if seen.paused:
        message = "the annotation gamekeeper.dev/paused stops every change; remove it to go on"
        return ConditionState(PROGRESSING, False, "Paused", message)
    settled = len(seen.wanted) - seen.scale.blocked == seen.replicas
    if seen.scale.claims or seen.scale.deletions or not settled:
        message = f"{len(seen.wanted)} of {seen.replicas} servers exist"
        return ConditionState(PROGRESSING, True, "Scaling", message)
    if seen.updates.outdated:
        message = f"{seen.updates.outdated} servers are still to be updated"
        hindrances = seen.updates.hindrances
        if hindrances:
            # As a Deployment says DeploymentPaused: what stands still is not in progress.
            message += ": " + "; ".join(_STANDS[hindrance] for hindrance in hindrances)
            return ConditionState(PROGRESSING, False, hindrances[0], message)
        return ConditionState(PROGRESSING, True, "Updating", message)
    return ConditionState(PROGRESSING, False, "Complete", "every server is as it should be")


def _qualities(facts: Facts, has_qualities: bool) -> ConditionState | None:
    if not has_qualities:
        return None
    problems = facts.quality_problems
    if not problems:
        return ConditionState(QUALITIES_VALID, True, "AllValid")
    message = _join(f"{problem.path} {problem.message}" for problem in problems)
    return ConditionState(QUALITIES_VALID, False, "QualityIgnored", message)


def _reserve(facts: Facts) -> ConditionState | None:
    problems = facts.reserve_problems
    if not problems:
        return None
    message = _join(
        f"spec.reserveGameServerIds[{problem.index}]: {problem.message}" for problem in problems
    )
    return ConditionState(RESERVE_VALID, False, "ItemIgnored", message)


def _annotations(seen: Situation) -> ConditionState | None:
    problems = seen.annotation_problems
    if not problems:
        return None
    message = _join(f"{problem.path}: {problem.message}" for problem in problems)
    return ConditionState(ANNOTATIONS_VALID, False, "ValueIgnored", message)


def _refused(seen: Situation) -> ConditionState | None:
    if not seen.refusal:
        return None
    return ConditionState(REPLICA_FAILURE, True, "FailedCreate", seen.refusal)


def _waiting(seen: Situation) -> ConditionState | None:
    if not seen.scale.waiting_for:
        return None
    listed = _names(seen, seen.scale.waiting_for)
    message = f"the former pods of {listed} still terminate; their ids are waited for"
    return ConditionState(WAITING, True, "PodsTerminating", message)


def _taken(seen: Situation) -> ConditionState | None:
    if not seen.scale.taken:
        return None
    message = (
        f"the names {_names(seen, seen.scale.taken)} belong to pods of somebody else; "
        "delete those, or reserve the ids"
    )
    return ConditionState(NAME_TAKEN, True, "ForeignPod", message)


def _crashing(seen: Situation) -> ConditionState | None:
    if not seen.crashing:
        return None
    message = (
        f"the pods of {_names(seen, seen.crashing)} end again and again; "
        "their replacement waits longer each time"
    )
    return ConditionState(CRASH_LOOPING, True, "PodsEnd", message)


def _scale_down_blocked(seen: Situation) -> ConditionState | None:
    if not seen.scale.blocked:
        return None
    message = (
        f"{seen.scale.blocked} Allocated: servers too many, but protected by the annotation "
        "gamekeeper.dev/protect-allocated"
    )
    return ConditionState(SCALE_DOWN_BLOCKED, True, "AllocatedProtected", message)


def _update_blocked(seen: Situation) -> ConditionState | None:
    if not seen.updates.refused:
        return None
    listed = _names(seen, [server.id for server in seen.updates.refused])
    message = (
        f"{listed} cannot be updated in place: more than images and metadata differ; "
        "set podUpdatePolicy to InPlaceIfPossible or ReCreate, or delete their pods"
    )
    return ConditionState(UPDATE_BLOCKED, True, "InPlaceImpossible", message)


def _agent_missing(seen: Situation) -> ConditionState | None:
    if not seen.needs_agent:
        return None
    without = sum(not server.has_agent for server in seen.wanted)
    if not without:
        return None
    message = (
        f"{without} of {len(seen.wanted)} servers were made without an agent, so nobody probes "
        "them; they get one when their pods are made again"
    )
    return ConditionState(AGENT_MISSING, True, "PodsWithoutAgent", message)


def _names(seen: Situation, ids: Sequence[int]) -> str:
    listed = ", ".join(server_name(seen.set_name, id_) for id_ in ids[:_NAMED])
    return f"{listed} and {len(ids) - _NAMED} more" if len(ids) > _NAMED else listed


def _join(problems: Iterable[str]) -> str:
    return "; ".join(list(problems)[:_NAMED])
