"""What status.serviceQualitiesConditions says about the verdicts (SPEC 4.9, 4.10). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.api.gameserver import ServiceQualityCondition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from aggregator.quality.verdicts import Record
    from shared.api.service_quality import ServiceQuality
    from shared.protocol.report import ProbeReport

REASON_NO_REPORT = "NoReport"
REASON_AGENT_LOST = "AgentLost"
REASON_AGENT_MISSING = "AgentMissing"
_MESSAGES = {
    REASON_NO_REPORT: "the agent of this pod has not reported this probe yet",
    REASON_AGENT_MISSING: "this pod has no agent: delete it when its players have left; "
    "the next one gets an agent",
    REASON_AGENT_LOST: "the agent of this pod has stopped reporting; see the logs of its container",
}


def plan_conditions(
    qualities: Sequence[ServiceQuality],
    reports: Mapping[str, ProbeReport],
    records: Mapping[str, Record],
    former: Iterable[ServiceQualityCondition],
    *,
    silence: str | None,
    now: datetime,
) -> tuple[ServiceQualityCondition, ...]:
    """Return the conditions of a GameServer, equal to `former` where nothing changed.

    Args:
        qualities: of the set, in their order.
        reports: the probes in the last accepted report of the bound pod, by name.
        records: the last acted-on verdicts of the bound pod, by name.
        former: the conditions in status now.
        silence: a reason when reports do not count (no report yet, or the agent is lost), else
            None.
        now: becomes lastTransitionTime where the agent's own time is unknown.

    What differs from run to run never causes a write alone: lastProbeTime, and the reason and
    message of True and False (Timeout today, ConnectionRefused tomorrow), are those of the run
    which brought the transition. Of Unknown the reason is all that there is to tell, so there it
    counts.
    """
    by_name = {condition.name: condition for condition in former}
    return tuple(
        _condition(
            quality.name,
            None if silence else reports.get(quality.name),
            records.get(quality.name),
            by_name.get(quality.name),
            silence or REASON_NO_REPORT,
            now,
        )
        for quality in qualities
    )


def _condition(
    name: str,
    report: ProbeReport | None,
    record: Record | None,
    former: ServiceQualityCondition | None,
    silence: str,
    now: datetime,
) -> ServiceQualityCondition:
    acted_at = record.executed_at if record is not None else None
    if report is None and silence == REASON_NO_REPORT and former is not None:
        # A new leader has no reports yet. What was observed holds until a report says otherwise,
        # or until the agent is lost; else every fail-over would rewrite every status twice.
        return former.model_copy(update={"last_action_transition_time": acted_at})
    if report is None:
        fresh = ServiceQualityCondition(
            name=name,
            status="Unknown",
            reason=silence,
            message=_MESSAGES[silence],
            last_transition_time=now,
            last_action_transition_time=acted_at,
        )
    else:
        fresh = ServiceQualityCondition(
            name=name,
            status=report.status.value,
            result=report.result,
            reason=report.reason,
            message=report.message,
            last_probe_time=report.started_at,
            last_transition_time=report.transition_at or now,
            last_action_transition_time=acted_at,
        )
    if former is not None and _same(former, fresh):
        return former
    return fresh


def _same(former: ServiceQualityCondition, fresh: ServiceQualityCondition) -> bool:
    """Tell whether two conditions differ in nothing but what comes with every run."""
    passing: dict[str, object] = {"last_probe_time": None, "last_transition_time": None}
    if fresh.status != "Unknown":
        passing |= {"reason": "", "message": ""}
    return former.model_copy(update=passing) == fresh.model_copy(update=passing)
