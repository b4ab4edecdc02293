"""What to write for one game server (SPEC 4 and 5). Pure.

At most one operation an object and subresource: the GameServer (spec and metadata in one patch,
with the annotation that remembers the verdicts), its status, the mirror labels of the pod. Where
nothing differs there is no operation, so a plan that was applied and observed again is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, assert_never

from aggregator.binding import speaks_for
from aggregator.gameserver import mirror, objects
from aggregator.gameserver.state import current_state, desired_state
from aggregator.quality.conditions import (
    REASON_AGENT_LOST,
    REASON_AGENT_MISSING,
    REASON_NO_REPORT,
    plan_conditions,
)
from aggregator.quality.match import Verdict, hash_result
from aggregator.quality.merge import Effects, Situation, decide
from aggregator.quality.verdicts import nest, parse_records, render_records
from aggregator.selection import parse_priority
from shared.api import names
from shared.protocol.paths import AGENT_CONTAINER_NAME
from shared.protocol.report import Report, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.pods import Pod
    from aggregator.quality.match import Field, FieldValue
    from aggregator.quality.verdicts import Record
    from shared.api.gameserver import GameServer, GameServerStatus
    from shared.api.gameserverset import GameServerSet
    from shared.protocol.report import ProbeReport

# An edge without an effect is remembered, but not more often than this (SPEC 4.2): a result that
# changes with every run would otherwise cost a write every period.
QUIET_INTERVAL = timedelta(seconds=10)
# Characters of a result in an event: a longer one would push out what was changed.
_MAX_TOLD = 64


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is known about one game server.

    Attributes:
        pod: None when it does not exist.
        server: the GameServer, None when it does not exist.
        owner: the set of the pod, None when it does not exist.
        report: the last accepted report of this very pod.
        lost: the agent has been silent for too long.
        remembered_at: when verdicts without an effect were last written for this server.
    """

    pod: Pod | None
    server: GameServer | None
    owner: GameServerSet | None
    report: Report | None
    lost: bool
    remembered_at: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event on the GameServer, recorded after the write succeeded."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CreateServer:
    """Create the GameServer of a pod that has none."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteServer:
    """Delete a GameServer that speaks for a pod that is gone."""

    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class PatchServer:
    """Patch spec and metadata of the GameServer, only if it still is the one that was observed.

    Attributes:
        document: the merge patch without its preconditions.
        only_remembers: it has no effect that anybody waits for.
    """

    document: dict[str, Any]
    uid: str
    resource_version: str
    events: tuple[Event, ...] = ()
    only_remembers: bool = False


@dataclass(frozen=True, slots=True)
class PatchStatus:
    """Replace the observed part of the GameServer's status."""

    status: dict[str, Any]
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class PatchPod:
    """Mirror the GameServer in the pod's labels."""

    metadata: dict[str, Any]
    uid: str
    events: tuple[Event, ...] = ()


Operation = CreateServer | DeleteServer | PatchServer | PatchStatus | PatchPod


def describe(operation: Operation) -> str:
    """Return an operation in a few words, for the log line of the run."""
    match operation:
        case CreateServer():
            return "create GameServer"
        case DeleteServer():
            return "delete GameServer"
        case PatchServer(document):
            spec = document.get("spec", {})
            return f"patch GameServer {spec}" if spec else "patch GameServer metadata"
        case PatchStatus(status):
            return f"patch status, {status['currentState']}"
        case PatchPod():
            return "patch pod labels"
        case _:
            assert_never(operation)


@dataclass(frozen=True, slots=True)
class Plan:
    """Operations in the order in which they are done, and when to look again.

    Attributes:
        requeue_after: until something is due that no event announces.
    """

    operations: tuple[Operation, ...] = ()
    requeue_after: timedelta | None = None


def plan(observed: Observed) -> Plan:
    """Return what to write for one game server."""
    pod, server = observed.pod, observed.server
    if pod is None:
        return _plan_without_pod(server)
    if server is None:
        # A set that is gone takes its servers with it; a terminating pod needs no new object.
        if pod.terminating or observed.owner is None:
            return Plan()
        return Plan((CreateServer(objects.render_server(pod, observed.owner)),))
    if not speaks_for(server, pod.metadata.uid):
        if server.metadata.deletion_timestamp is not None:
            return Plan()
        return Plan((DeleteServer(server.metadata.uid, server.metadata.resource_version),))
    return _plan_bound(observed, pod, server)


def _plan_without_pod(server: GameServer | None) -> Plan:
    """Delete the object of a pod that was deleted on purpose; Delete keeps the others."""
    claimed = server is not None and server.spec.deletion is not None
    if server is None or not claimed or server.metadata.deletion_timestamp is not None:
        return Plan()
    return Plan((DeleteServer(server.metadata.uid, server.metadata.resource_version),))


def _plan_bound(observed: Observed, pod: Pod, server: GameServer) -> Plan:
    records = parse_records(server.metadata.annotations.get(names.VERDICTS_ANNOTATION))
    going = (
        pod.terminating
        or server.metadata.deletion_timestamp is not None
        or server.spec.deletion is not None
    )
    effects = None if going else _decide(observed, pod, server, records)
    requeue_after = None
    if effects is not None and _only_remembers(effects, observed):
        due = (observed.remembered_at or observed.now) + QUIET_INTERVAL - observed.now
        if observed.remembered_at is not None and due > timedelta():
            effects, requeue_after = None, due
    operations: list[Operation] = []
    if effects is not None:
        records = dict(effects.records)
    patch = _patch_server(observed, pod, server, effects)
    if patch is not None:
        operations.append(patch)
    writes: Mapping[Field, FieldValue] = effects.writes if effects is not None else {}
    operations += _patch_status(observed, pod, server, writes, records)
    mirrored = mirror.plan_mirror(pod, server, writes, current_state(pod, server), observed.now)
    if mirrored is not None:
        operations.append(PatchPod(mirrored, pod.metadata.uid, _state_events(pod, server, writes)))
    return Plan(tuple(operations), requeue_after)


def _decide(
    observed: Observed, pod: Pod, server: GameServer, records: Mapping[str, Record]
) -> Effects | None:
    if observed.owner is None or observed.report is None or observed.lost:
        return None
    return decide(
        Situation(
            qualities=observed.owner.spec.service_qualities,
            records=records,
            verdicts=_verdicts(observed.report),
            present=objects.present_fields(server),
            pod_uid=pod.metadata.uid,
            now=observed.now,
        )
    )


def _verdicts(report: Report) -> dict[str, Verdict]:
    """Return the verdicts that can match; Unknown is none."""
    verdicts = {}
    for probe in report.probes:
        match probe.status:
            case Status.TRUE:
                verdicts[probe.name] = Verdict("True", hash_result(probe.result))
            case Status.FALSE:
                verdicts[probe.name] = Verdict("False", hash_result(probe.result))
            case Status.UNKNOWN:
                pass
    return verdicts


def _only_remembers(effects: Effects, observed: Observed) -> bool:
    """Tell whether an edge only has to be remembered; that a permanent one is spent cannot wait."""
    if effects.writes or observed.owner is None:
        return False
    executed = {executed.name for executed in effects.executed if executed.asked}
    qualities = observed.owner.spec.service_qualities
    return not any(quality.permanent and quality.name in executed for quality in qualities)


def _patch_server(
    observed: Observed, pod: Pod, server: GameServer, effects: Effects | None
) -> PatchServer | None:
    fields: dict[Field, FieldValue] = {}
    events: tuple[Event, ...] = ()
    if effects is not None:
        fields |= effects.writes
        annotation: Field = ("annotations", names.VERDICTS_ANNOTATION)
        fields[annotation] = render_records(effects.records)
        events = _action_events(observed, server, effects)
    node = pod.spec.node_name
    if node and server.metadata.labels.get(names.NODE_NAME_LABEL) != node:
        fields["labels", names.NODE_NAME_LABEL] = node
    if not fields:
        return None
    nested = nest(fields)
    metadata = {key: nested.pop(key) for key in ("labels", "annotations") if key in nested}
    return PatchServer(
        document={"metadata": metadata} | ({"spec": nested} if nested else {}),
        uid=server.metadata.uid,
        resource_version=server.metadata.resource_version,
        events=events,
        only_remembers=effects is not None and not effects.writes,
    )


def _action_events(observed: Observed, server: GameServer, effects: Effects) -> tuple[Event, ...]:
    """Say what each quality changed, and what it could not."""
    reports = {probe.name: probe for probe in observed.report.probes} if observed.report else {}
    present = objects.present_fields(server)
    events = []
    for executed in effects.executed:
        head = _verdict_text(executed.name, executed.verdict, reports.get(executed.name))
        changes = [
            f"{'.'.join(field)} {present.get(field, 'unset')} -> {value}"
            for field, value in effects.writes.items()
            if executed.asked.get(field) == value
        ]
        if changes:
            message = f"{head}: {', '.join(changes)}"
            events.append(Event("Normal", names.REASON_SERVICE_QUALITY_ACTION, message))
        for field, reason in executed.skipped:
            message = f"{head}: {'.'.join(field)} is left alone: {reason}"
            events.append(Event("Warning", names.REASON_FIELD_SKIPPED, message))
    return tuple(events)


def _verdict_text(name: str, verdict: Verdict, report: ProbeReport | None) -> str:
    result = report.result if report is not None else ""
    if len(result) > _MAX_TOLD:
        result = f"{result[: _MAX_TOLD - 1]}…"
    return f"{name}={verdict.status}({result or 'empty'})"


def _state_events(
    pod: Pod, server: GameServer, writes: Mapping[Field, FieldValue]
) -> tuple[Event, ...]:
    """Tell of a changed opsState: the pod's label still has the one before, whoever changed it."""
    # A pod that was never mirrored has the state with which its server was made.
    before = pod.metadata.labels.get(names.OPS_STATE_LABEL, server.spec.ops_state)
    now = str(writes.get(("opsState",), server.spec.ops_state))
    if before == now:
        return ()
    type_: Literal["Normal", "Warning"] = (
        "Warning" if now == names.OPS_STATE_MAINTAINING else "Normal"
    )
    return (Event(type_, names.REASON_STATE_CHANGED, f"opsState {before or 'unset'} -> {now}"),)


def _patch_status(
    observed: Observed,
    pod: Pod,
    server: GameServer,
    writes: Mapping[Field, FieldValue],
    records: Mapping[str, Record],
) -> list[Operation]:
    state = current_state(pod, server)
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
        }
    )
    if fresh == former:
        return []
    body = fresh.model_dump(mode="json", by_alias=True, exclude_none=True)
    # In a merge patch an absent member stays: what the pod no longer says has to be removed.
    gone = (former.pod_status or {}).keys() - body["podStatus"].keys()
    body["podStatus"] |= dict.fromkeys(gone)
    return [PatchStatus(body, server.metadata.uid, server.metadata.resource_version)]


def _priority(writes: Mapping[Field, FieldValue], name: str, spec: int | str) -> int:
    return parse_priority(writes.get((name,), spec)).value


def _conditions(
    observed: Observed, pod: Pod, former: GameServerStatus, records: Mapping[str, Record]
) -> tuple[Any, ...]:
    """Return the conditions of the qualities; those of a server that is going stay as they were."""
    if pod.terminating or observed.owner is None:
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
        {probe.name: probe for probe in observed.report.probes} if observed.report else {},
        {name: record for name, record in records.items() if record.pod_uid == pod.metadata.uid},
        former.service_qualities_conditions if former.pod_uid == pod.metadata.uid else (),
        silence=silence,
        now=observed.now,
    )
