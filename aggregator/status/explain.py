"""Why an action of a service quality ran or did not, told by the functions that decide. Pure.

Nothing is decided here a second time: edges, spent qualities, matches, merges and outcomes come
from `aggregator.quality`, which the reconciler asks too. What is added is words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from aggregator.gameserver import objects
from aggregator.quality.conditions import (
    REASON_AGENT_LOST,
    REASON_AGENT_MISSING,
    REASON_NO_REPORT,
)
from aggregator.quality.fields import template_containers
from aggregator.quality.match import Contribution, contribution, matchable_verdicts
from aggregator.quality.merge import Outcome, Situation, decide, merge
from aggregator.quality.verdicts import parse_records
from shared.api import names
from shared.protocol.paths import AGENT_CONTAINER_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aggregator.gameserver.observed import Observed
    from aggregator.quality.fields import Field, FieldValue
    from aggregator.quality.match import Verdict
    from aggregator.quality.merge import Effects, Wish
    from aggregator.quality.verdicts import Record
    from shared.api.service_quality import ServiceQuality, ServiceQualityAction
    from shared.protocol.report import ProbeReport


class Decision(StrEnum):
    """What the aggregator makes of a quality now. CamelCase, as reasons of conditions are."""

    RUNS_NOW = "RunsNow"
    ACTED = "Acted"
    SKIPPED = "Skipped"
    NO_MATCHING_ACTION = "NoMatchingAction"
    PERMANENT_DONE = "PermanentDone"
    UNKNOWN = "Unknown"
    NO_REPORT = REASON_NO_REPORT
    AGENT_LOST = REASON_AGENT_LOST
    AGENT_MISSING = REASON_AGENT_MISSING
    NO_POD = "NoPod"
    SERVER_IS_GOING = "ServerIsGoing"


class FieldState(StrEnum):
    """What became of one field that a quality asks for."""

    IN_FORCE = "InForce"
    WILL_BE_WRITTEN = "WillBeWritten"
    OVERRIDDEN = "Overridden"
    EDITED_SINCE = "EditedSince"
    LEFT_ALONE = "LeftAlone"
    SKIPPED = "Skipped"


@dataclass(frozen=True, slots=True)
class ExplainedAction:
    """One action of the quality, in the order of the set."""

    state: bool
    result: str
    matches: bool
    message: str


@dataclass(frozen=True, slots=True)
class ExplainedField:
    """One field that the quality asks for with its present verdict.

    Attributes:
        asked: None where no value can be made of what the action says.
        present: what the GameServer has; None when it has nothing there.
    """

    field: str
    asked: FieldValue | None
    present: FieldValue | None
    state: FieldState
    message: str


@dataclass(frozen=True, slots=True)
class ActedOn:
    """The last verdict that was acted on, as the annotation of the GameServer remembers it.

    Attributes:
        executed_at: when actions last ran for this pod; None when none has.
        fields: what they wrote.
    """

    status: str
    result: str | None
    executed_at: datetime | None
    fields: Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class ExplainedQuality:
    """One quality of the set, for one server."""

    name: str
    permanent: bool
    decision: Decision
    message: str
    acted_on: ActedOn | None
    actions: tuple[ExplainedAction, ...]
    fields: tuple[ExplainedField, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that the decision about each quality of one server looks at."""

    observed: Observed
    situation: Situation
    hindrance: tuple[Decision, str] | None
    asked: Mapping[str, Contribution]


@dataclass(frozen=True, slots=True)
class _Merged:
    """What all qualities of one server come to together; `effects` None when none can act."""

    effects: Effects | None
    wishes: Mapping[Field, Wish]


def explain(observed: Observed) -> tuple[ExplainedQuality, ...]:
    """Return an explanation for each quality of the set; none without a set or a GameServer."""
    case = _case(observed)
    if case is None:
        return ()
    effects = None if case.hindrance is not None else decide(case.situation)
    merged = _Merged(effects, effects.wishes if effects is not None else merge(case.asked))
    return tuple(_explain(quality, case, merged) for quality in case.situation.qualities)


def decisions(observed: Observed) -> dict[str, Decision]:
    """Return the decisions of `explain` by quality, without its merge: for whole sets."""
    case = _case(observed)
    if case is None:
        return {}
    return {quality.name: _decision(quality, case)[0] for quality in case.situation.qualities}


def _case(observed: Observed) -> _Case | None:
    server, owner = observed.server, observed.owner
    if server is None or owner is None:
        return None
    situation = Situation(
        qualities=owner.spec.service_qualities,
        records=parse_records(server.metadata.annotations.get(names.VERDICTS_ANNOTATION)),
        verdicts=matchable_verdicts(observed.report.probes) if observed.report else {},
        present=objects.present_fields(server),
        pod_uid=observed.pod.metadata.uid if observed.pod is not None else "",
        now=observed.now,
        containers=template_containers(owner.spec),
    )
    asked = {
        quality.name: situation.contribution_of(quality, _verdict(quality, situation))
        for quality in situation.qualities
        if not situation.is_spent(quality)
    }
    return _Case(observed, situation, _hindrance(observed), asked)


def _hindrance(observed: Observed) -> tuple[Decision, str] | None:
    """Return why no action of any quality can run now, None when they can."""
    pod, server = observed.pod, observed.server
    if pod is None:
        return Decision.NO_POD, "there is no pod of this name"
    if server is not None and server.spec.deletion is not None:
        reason = server.spec.deletion.reason
        return Decision.SERVER_IS_GOING, f"the server was chosen for deletion ({reason})"
    if pod.terminating or (server is not None and server.metadata.deletion_timestamp is not None):
        return Decision.SERVER_IS_GOING, "the server is being deleted"
    if not pod.has_container(AGENT_CONTAINER_NAME):
        return Decision.AGENT_MISSING, (
            "this pod was made before the set had service qualities, so it has no agent; "
            "delete it when its players have left"
        )
    if observed.lost:
        return Decision.AGENT_LOST, (
            "the agent has stopped reporting; what it said last counts no more. "
            f"See kubectl logs {pod.metadata.name} -c {AGENT_CONTAINER_NAME}"
        )
    if observed.report is None:
        return Decision.NO_REPORT, "the agent has not reported to this aggregator yet"
    return None


def _verdict(quality: ServiceQuality, situation: Situation) -> Verdict | None:
    """Return the verdict that a quality asks with: that of now, else the last acted on."""
    record = situation.record_of(quality)
    return situation.verdicts.get(quality.name) or (record.verdict if record is not None else None)


def _explain(quality: ServiceQuality, case: _Case, merged: _Merged) -> ExplainedQuality:
    decision, message = _decision(quality, case)
    record = case.situation.record_of(quality)
    verdict = _verdict(quality, case.situation)
    return ExplainedQuality(
        name=quality.name,
        permanent=quality.permanent,
        decision=decision,
        message=message,
        acted_on=None if record is None else _acted_on(record),
        actions=tuple(
            _explain_action(action, quality, verdict) for action in quality.service_quality_action
        ),
        fields=() if decision is Decision.PERMANENT_DONE else tuple(_fields(quality, case, merged)),
    )


def _decision(quality: ServiceQuality, case: _Case) -> tuple[Decision, str]:
    situation = case.situation
    record = situation.record_of(quality)
    if situation.is_spent(quality):
        assert record is not None  # noqa: S101 - what spent means
        when = _time(record.executed_at)
        message = f"permanent: it acted at {when} for this pod, and never acts on it again"
        return Decision.PERMANENT_DONE, message
    if case.hindrance is not None:
        return case.hindrance
    verdict = situation.verdicts.get(quality.name)
    if verdict is None:
        return _unknown(case.observed.reports.get(quality.name))
    shown = _show_verdict(verdict)
    if case.asked[quality.name].actions == 0:
        return Decision.NO_MATCHING_ACTION, f"no action is for {shown}"
    if situation.has_edge(quality):
        return Decision.RUNS_NOW, f"the verdict is now {shown}: its actions are being written"
    if not case.asked[quality.name].fields:
        return Decision.SKIPPED, f"of what it asks for {shown}, nothing can be written: see fields"
    when = _time(record.executed_at if record is not None else None)
    message = f"its actions ran at {when} for {shown}; they run again when that changes"
    return Decision.ACTED, message


def _unknown(report: ProbeReport | None) -> tuple[Decision, str]:
    if report is None:
        return Decision.NO_REPORT, "the agent has not run this probe yet"
    reason = f"{report.reason}: {report.message}" if report.message else report.reason
    return Decision.UNKNOWN, f"the probe has no verdict ({reason}); Unknown is never an action"


def _explain_action(
    action: ServiceQualityAction, quality: ServiceQuality, verdict: Verdict | None
) -> ExplainedAction:
    alone = quality.model_copy(update={"service_quality_action": (action,)})
    matches = contribution(alone, verdict).actions == 1
    if verdict is None:
        message = "there is no verdict to compare with"
    elif matches:
        message = "matches"
    elif action.state is not (verdict.status == "True"):
        message = f"is for the verdict {action.state}, and it is {verdict.status}"
    else:
        message = f"is for the result {action.result!r}, and it is {verdict.result!r}"
    return ExplainedAction(action.state, action.result, matches, message)


def _fields(quality: ServiceQuality, case: _Case, merged: _Merged) -> list[ExplainedField]:
    asks = case.asked[quality.name]
    present = case.situation.present
    explained = [
        ExplainedField(
            ".".join(field),
            value,
            present.get(field),
            *_field_state(quality, (field, value), case, merged),
        )
        for field, value in asks.fields.items()
    ]
    skipped = [
        ExplainedField(".".join(field), None, present.get(field), FieldState.SKIPPED, reason)
        for field, reason in asks.skipped
    ]
    return explained + skipped


def _field_state(
    quality: ServiceQuality,
    asked: tuple[Field, FieldValue],
    case: _Case,
    merged: _Merged,
) -> tuple[FieldState, str]:
    field, value = asked
    situation = case.situation
    present = situation.present.get(field)
    wish = merged.wishes.get(field)
    if wish is not None and wish.value != value:
        yields = value == names.OPS_STATE_NONE
        why = "None yields to every other state" if yields else "it comes later in the set"
        return FieldState.OVERRIDDEN, f"{wish.quality} asks for {wish.value}; {why}"
    outcome = merged.effects.outcomes.get(field) if merged.effects is not None else None
    if outcome is Outcome.WRITTEN:
        return FieldState.WILL_BE_WRITTEN, f"{_show(present)} becomes {_show(value)}"
    if present == value:
        return FieldState.IN_FORCE, "the server has this value"
    if present == names.OPS_STATE_KILL and field == ("opsState",):
        return FieldState.LEFT_ALONE, "Kill is final"
    record = situation.record_of(quality)
    if record is not None and record.fields.get(field) == value:
        edit = "removed it" if present is None else f"set {present}"
        return FieldState.EDITED_SINCE, (
            f"it was written, and somebody has {edit} since; "
            "that stays until the verdicts ask for something new"
        )
    if case.hindrance is not None:
        return FieldState.LEFT_ALONE, f"the server has {_show(present)}, and no action runs now"
    return FieldState.LEFT_ALONE, (
        f"the server has {_show(present)}, which this quality has not written; "
        "that stays until the verdicts ask for something new"
    )


def _acted_on(record: Record) -> ActedOn:
    return ActedOn(
        status=record.verdict.status,
        result=record.verdict.result,
        executed_at=record.executed_at,
        fields={".".join(field): value for field, value in record.fields.items()},
    )


def _show_verdict(verdict: Verdict) -> str:
    return f"{verdict.status}({verdict.result or 'empty'})"


def _show(value: FieldValue | None) -> str:
    return "unset" if value is None else str(value)


def _time(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")
