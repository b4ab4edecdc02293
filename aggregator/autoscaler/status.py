"""What the status of an autoscaler says. Pure. It reports what was decided, never what is wished.

| condition | True means |
| --- | --- |
| AbleToScale | the set is there and may be written |
| ScalingActive | it decides, and carries out what it decides |
| ScalingLimited | a limit made the decision smaller than the wish; the reason names it |
| Stabilized | a window, a dwell or an unsettled set holds something back |
| Conflict | somebody else scales the set: nothing is written |
| ServersNotBecomingReady | servers have been on their way for five minutes |
| Churning | five were created, marked and removed within ten minutes and never in use |

The number of the last is our own: one server that nobody joined is chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.scaling.policy import Reason
from shared.api import names
from shared.api.autoscaler import AutoscalerStatus, Counts, LastDecision, VictimReference
from shared.api.meta import Condition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aggregator.autoscaler.judgement import Verdict
    from aggregator.autoscaler.memory import Memory
    from aggregator.scaling.census import Census
    from aggregator.scaling.evaluate import Decision
    from shared.api.autoscaler import GameServerSetAutoscaler

# The status is for people, and an object has room for a few of ten thousand.
MOST_VICTIMS = 20
_CHURN = 5
# In the order in which a person wants to know them.
_LIMITS = (
    Reason.TOO_MANY_REPLICAS,
    Reason.TOO_FEW_REPLICAS,
    Reason.SCALE_UP_LIMIT,
    Reason.SCALE_DOWN_LIMIT,
    Reason.ABOVE_MAX_REPLICAS,
)
_HOLDS = (
    Reason.UNSETTLED,
    Reason.SCALE_UP_STABILIZED,
    Reason.SCALE_DOWN_STABILIZED,
    Reason.WAIT_TO_BE_DELETED_DWELL,
)
_MEANINGS = {
    Reason.TOO_MANY_REPLICAS: "maxReplicas leaves no room for what is missing",
    Reason.TOO_FEW_REPLICAS: "minReplicas keeps servers that could go",
    Reason.SCALE_UP_LIMIT: "behavior.scaleUp lets no more be added now",
    Reason.SCALE_DOWN_LIMIT: "behavior.scaleDown lets no more be removed now",
    Reason.ABOVE_MAX_REPLICAS: "there are more servers than maxReplicas; none goes for that",
    Reason.UNSETTLED: "the set is not settled: nobody goes until all is known",
    Reason.SCALE_UP_STABILIZED: "less was missing within the scaleUp window",
    Reason.SCALE_DOWN_STABILIZED: "fewer were too many within the scaleDown window",
    Reason.WAIT_TO_BE_DELETED_DWELL: "marked servers wait for waitToBeDeletedSeconds",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one pass came to.

    Attributes:
        decision: None when nothing could be decided.
        text: the decision in a sentence.
        victims: names and pod uids of who was chosen.
        slow: names of servers that should be ready by now, or missing too long.
        acted: something was written.
    """

    decision: Decision | None = None
    text: str = ""
    victims: tuple[VictimReference, ...] = ()
    slow: tuple[str, ...] = ()
    acted: bool = False


def plan_status(
    autoscaler: GameServerSetAutoscaler,
    verdict: Verdict,
    outcome: Outcome,
    memory: Memory,
    now: datetime,
) -> AutoscalerStatus:
    """Return the status; equal to the one before where nothing changed.

    Numbers are those of a decision: where none was made there are none, old ones would mislead.
    """
    before = autoscaler.status
    decision = outcome.decision
    states = _states(verdict, outcome, memory)
    changes: dict[str, object] = {
        "observed_generation": autoscaler.metadata.generation,
        "conditions": _conditions(autoscaler, states, now),
        "current_replicas": None,
        "desired_replicas": None,
        "counts": None,
    }
    if decision is not None:
        changes |= {
            "current_replicas": decision.census.spec,
            "desired_replicas": decision.desired,
            "counts": _counts(decision.census),
            "last_decision": memory.last_decision,
            "last_scale_time": memory.scaled_at or before.last_scale_time,
        }
    return before.model_copy(update=changes)


def limits_of(decision: Decision) -> tuple[Reason, ...]:
    """Return the reasons of a decision, the most telling first."""
    return tuple(reason for reason in (*_LIMITS, *_HOLDS) if reason in decision.reasons)


def meaning_of(reason: Reason) -> str:
    """Return what a reason means, for people."""
    return _MEANINGS[reason]


def describe(decision: Decision) -> str:
    """Return a decision in a sentence."""
    parts = []
    if decision.add:
        parts.append(f"add {decision.add}")
    if decision.cancel:
        parts.append(f"cancel {decision.cancel} not created yet")
    if decision.victims:
        ids = ", ".join(str(server.id) for server in decision.victims[:5])
        more = f" and {len(decision.victims) - 5} more" if len(decision.victims) > 5 else ""
        parts.append(f"remove {ids}{more}")
    what = "; ".join(parts) or "leave it"
    why = "; ".join(meaning_of(reason) for reason in limits_of(decision))
    return f"{what} ({why})" if why else what


def victims_of(set_name: str, decision: Decision) -> tuple[VictimReference, ...]:
    """Return the first victims by name, with why each was chosen."""
    return tuple(
        VictimReference(
            name=f"{set_name}-{server.id}",
            uid=server.pod_uid,
            reason=(
                names.OPS_STATE_WAIT_TO_BE_DELETED
                if server.ops_state == names.OPS_STATE_WAIT_TO_BE_DELETED
                else "AboveMaxAvailable"
            ),
        )
        for server in decision.victims[:MOST_VICTIMS]
    )


def _counts(census: Census) -> Counts:
    return Counts(
        expected=census.expected,
        idle=census.idle,
        ready=len(census.ready),
        booting=len(census.booting),
        missing=census.missing,
        in_use=census.in_use,
        marked=len(census.ripe) + len(census.dwelling),
        ripe=len(census.ripe),
        leaving=census.leaving,
        kill=census.kill,
    )


def last_decision(
    before: LastDecision | None, outcome: Outcome, now: datetime
) -> LastDecision | None:
    """Return the last decision that did something, or would have; not that there was nothing.

    Args:
        before: the last of earlier passes.
        outcome: of this pass; a decision that is the same again and was not carried out is no news.
        now: the time of this pass.
    """
    decision = outcome.decision
    if decision is None:
        return before
    if not (decision.add or decision.cancel or decision.victims):
        return before
    fresh = LastDecision(
        at=now,
        add=decision.add,
        cancel=decision.cancel,
        victims=outcome.victims,
        reasons=limits_of(decision),
        text=outcome.text,
    )
    if before is None or outcome.acted:
        return fresh
    same = before.model_copy(update={"at": now}) == fresh
    return before if same else fresh


_State = tuple[str, bool, str, str]


def _states(verdict: Verdict, outcome: Outcome, memory: Memory) -> Sequence[_State]:
    able = verdict.able or ("ReadyForNewScale", "")
    active = verdict.inactive or ("ValidPolicy", "")
    states: list[_State] = [
        ("AbleToScale", verdict.able is None, *able),
        ("ScalingActive", verdict.inactive is None, *active),
    ]
    conflict = verdict.conflict
    reason, message = (conflict.reason, conflict.message) if conflict else ("NoConflict", "")
    states.append(("Conflict", conflict is not None, reason, message))
    if outcome.decision is not None:
        reasons = outcome.decision.reasons
        states.append(_held("ScalingLimited", _LIMITS, reasons, "DesiredWithinRange"))
        states.append(_held("Stabilized", _HOLDS, reasons, "NothingHeldBack"))
        states += [_slowness(outcome.slow), _churn(len(memory.wasted))]
    return states


def _slowness(slow: tuple[str, ...]) -> _State:
    if not slow:
        return "ServersNotBecomingReady", False, "AllInTime", ""
    message = f"{', '.join(slow[:5])}: on the way for more than five minutes; look at their pods"
    return "ServersNotBecomingReady", True, "TooSlow", message


def _churn(wasted: int) -> _State:
    if wasted < _CHURN:
        return "Churning", False, "ServersAreUsed", ""
    message = (
        f"{wasted} servers were removed within ten minutes that nobody ever used: "
        "if the probe marks every empty server, set supplyOpsStates: [WaitToBeDeleted]"
    )
    return "Churning", True, "NeverUsed", message


def _held(
    type_: str, listed: tuple[Reason, ...], reasons: frozenset[Reason], otherwise: str
) -> _State:
    found = [reason for reason in listed if reason in reasons]
    if not found:
        return type_, False, otherwise, ""
    return type_, True, found[0].value, "; ".join(meaning_of(reason) for reason in found)


def _conditions(
    autoscaler: GameServerSetAutoscaler, states: Sequence[_State], now: datetime
) -> tuple[Condition, ...]:
    former = {condition.type: condition for condition in autoscaler.status.conditions}
    conditions = []
    for type_, holds, reason, message in states:
        status = "True" if holds else "False"
        old = former.get(type_)
        conditions.append(
            Condition(
                type=type_,
                status=status,
                reason=reason,
                message=message,
                observed_generation=autoscaler.metadata.generation,
                last_transition_time=(
                    old.last_transition_time if old is not None and old.status == status else now
                ),
            )
        )
    return tuple(conditions)
