"""What the status of a GameServer says: what was observed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.gameserver import objects
from aggregator.gameserver.conditions import plan_server_conditions
from aggregator.gameserver.operations import PatchStatus
from aggregator.gameserver.priorities import plan_priority_condition
from aggregator.gameserver.state import current_state, desired_state
from aggregator.gameserver.story import trouble_events
from aggregator.quality.conditions import (
    REASON_AGENT_LOST,
    REASON_AGENT_MISSING,
    REASON_NO_REPORT,
    plan_conditions,
)
from aggregator.selection import parse_priority
from shared.protocol.paths import AGENT_CONTAINER_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.gameserver.observed import Observed
    from aggregator.pods import Pod
    from aggregator.quality.fields import Field, FieldValue
    from aggregator.quality.verdicts import Record
    from shared.api.gameserver import GameServer, GameServerStatus
    from shared.api.meta import Condition


def plan_status(
    observed: Observed,
    pod: Pod,
    server: GameServer,
    writes: Mapping[Field, FieldValue],
    records: Mapping[str, Record],
) -> PatchStatus | None:
    """Return the patch of the status, None where nothing differs.

    Args:
        observed: what is known.
        pod: of the server.
        server: the GameServer that speaks for it.
        writes: fields that the same plan writes to the GameServer: they count already.
        records: the acted-on verdicts after the plan.
    """
    state = current_state(pod, server, observed.owner)
    former = server.status
    fresh = former.model_copy(
        update={
            "pod_uid": pod.metadata.uid,
            "desired_state": desired_state(server),
            "current_state": state,
            "pod_status": objects.summarise(pod),
            "update_priority": _priority(writes, "updatePriority", server.spec.update_priority),
            "deletion_priority": _priority(
                writes, "deletionPriority", server.spec.deletion_priority
            ),
            "last_transition_time": former.last_transition_time
            if former.current_state == state
            else observed.now,
            "service_qualities_conditions": _conditions(observed, pod, former, records),
            "conditions": former.conditions
            if pod.terminating
            else _server_conditions(observed, pod, server, writes),
        }
    )
    if fresh == former:
        return None
    body = fresh.model_dump(mode="json", by_alias=True, exclude_none=True)
    # In a merge patch an absent member stays: what the pod no longer says has to be removed.
    gone = (former.pod_status or {}).keys() - body["podStatus"].keys()
    body["podStatus"] |= dict.fromkeys(gone)
    events = trouble_events(former.conditions, fresh.conditions)
    return PatchStatus(body, server.metadata.uid, server.metadata.resource_version, events)


def _server_conditions(
    observed: Observed, pod: Pod, server: GameServer, writes: Mapping[Field, FieldValue]
) -> tuple[Condition, ...]:
    former = server.status.conditions
    priorities = {
        "updatePriority": writes.get(("updatePriority",), server.spec.update_priority),
        "deletionPriority": writes.get(("deletionPriority",), server.spec.deletion_priority),
    }
    return (
        *plan_server_conditions(pod, observed.around, former, observed.now),
        *plan_priority_condition(priorities, former, observed.now),
    )


def _priority(writes: Mapping[Field, FieldValue], name: str, spec: int | str) -> int:
    return parse_priority(writes.get((name,), spec)).value


def _conditions(
    observed: Observed, pod: Pod, former: GameServerStatus, records: Mapping[str, Record]
) -> tuple[Any, ...]:
    """Return the conditions of the qualities.

    Those of a server that is going stay as they were, and those that a later report gave.
    """
    if pod.terminating or observed.owner is None or observed.overtaken_for is not None:
        return former.service_qualities_conditions
    silence = None
    if not pod.has_container(AGENT_CONTAINER_NAME):
        silence = REASON_AGENT_MISSING
    elif observed.lost:
        silence = REASON_AGENT_LOST
    elif observed.report is None:
        silence = REASON_NO_REPORT
    return plan_conditions(
        observed.owner.spec.service_qualities,
        observed.reports,
        {name: record for name, record in records.items() if record.pod_uid == pod.metadata.uid},
        former.service_qualities_conditions if former.pod_uid == pod.metadata.uid else (),
        silence=silence,
        now=observed.now,
    )
