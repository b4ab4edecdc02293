"""What to write for one game server (SPEC 4 and 5). Pure.

At most one operation an object and subresource: the GameServer (spec and metadata in one patch,
with the annotation that remembers the verdicts), its status, the mirror labels of the pod. Where
nothing differs there is no operation, so a plan that was applied and observed again is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from aggregator.binding import owner_pod_uid, speaks_for
from aggregator.gameserver import mirror, objects
from aggregator.gameserver.operations import (
    CreateServer,
    DeleteServer,
    Event,
    Operation,
    PatchPod,
    PatchServer,
)
from aggregator.gameserver.precedence import render_mark
from aggregator.gameserver.state import current_state
from aggregator.gameserver.status import plan_status
from aggregator.gameserver.story import action_events, state_events
from aggregator.quality.fields import CONTAINERS, merge_containers, template_containers
from aggregator.quality.match import matchable_verdicts
from aggregator.quality.merge import Effects, Situation, decide
from aggregator.quality.verdicts import nest, parse_records, render_records
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.gameserver.observed import Observed
    from aggregator.pods import Pod
    from aggregator.quality.fields import Field, FieldValue
    from aggregator.quality.verdicts import Record
    from shared.api.gameserver import GameServer

# An edge without an effect is remembered, but not more often than this (SPEC 4.2): a result that
# changes with every run would otherwise cost a write every period.
QUIET_INTERVAL = timedelta(seconds=10)
# A set that has just lost a pod and one that needs it no more look alike until the caches show what
# became of both; the object of the first holds the state of a server that comes back.
LEFTOVER_PATIENCE = timedelta(seconds=5)


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
        return _plan_without_pod(observed, server)
    if server is None:
        # A set that is gone takes its servers with it; a terminating pod needs no new object.
        if pod.terminating or observed.owner is None:
            return Plan()
        return Plan((CreateServer(objects.render_server(pod, observed.owner)),))
    if not speaks_for(server, pod):
        if server.metadata.deletion_timestamp is not None:
            return Plan()
        return Plan((DeleteServer(server.metadata.uid, server.metadata.resource_version),))
    return _plan_bound(observed, pod, server)


def _plan_without_pod(observed: Observed, server: GameServer | None) -> Plan:
    """Delete the object of a server that will not come back; Delete keeps the others.

    The garbage collector takes the ones that a pod owned, and all of a set that is gone.
    """
    if server is None or server.metadata.deletion_timestamp is not None:
        return Plan()
    gone = Plan((DeleteServer(server.metadata.uid, server.metadata.resource_version),))
    if server.spec.deletion is not None:
        return gone
    if owner_pod_uid(server) or observed.owner is None:
        return Plan()
    if server.spec.ops_state == names.OPS_STATE_KILL:
        # The server it was meant for is gone; the next one of this id must not die for it.
        return gone
    if observed.awaited:
        return Plan(requeue_after=LEFTOVER_PATIENCE)
    left = LEFTOVER_PATIENCE - (observed.alone_for or timedelta())
    return Plan(requeue_after=left) if left > timedelta() else gone


def _plan_bound(observed: Observed, pod: Pod, server: GameServer) -> Plan:
    records = parse_records(server.metadata.annotations.get(names.VERDICTS_ANNOTATION))
    going = (
        pod.terminating
        or server.metadata.deletion_timestamp is not None
        or server.spec.deletion is not None
    )
    requeue_after = observed.overtaken_for
    effects = None
    if not going and requeue_after is None:
        effects = _decide(observed, pod, server, records)
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
    status = plan_status(observed, pod, server, writes, records)
    if status is not None:
        operations.append(status)
    state = current_state(pod, server, observed.owner)
    mirrored = mirror.plan_mirror(pod, server, writes, state, observed.now)
    if mirrored is not None:
        events = state_events(pod, server, writes)
        operations.append(
            PatchPod(mirrored, pod.metadata.uid, pod.metadata.resource_version, events)
        )
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
            verdicts=matchable_verdicts(observed.report.probes),
            present=objects.present_fields(server),
            pod_uid=pod.metadata.uid,
            now=observed.now,
            edited=objects.edited_fields(observed.at_report, server),
            containers=template_containers(observed.owner.spec),
        )
    )


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
        if observed.report is not None:
            mark: Field = ("annotations", names.ACTED_ON_ANNOTATION)
            fields[mark] = render_mark(observed.report, observed.now)
        events = action_events(server, effects)
    nested = nest(fields)
    said = {key: nested.pop(key) for key in ("labels", "annotations") if key in nested}
    labels = said.get("labels", {})
    metadata = said | objects.plan_identity(pod, server, observed.owner, labels)
    if not metadata and not nested:
        return None
    if CONTAINERS in nested:
        nested[CONTAINERS] = merge_containers(server.spec.containers, fields)
    return PatchServer(
        document={"metadata": metadata} | ({"spec": nested} if nested else {}),
        uid=server.metadata.uid,
        resource_version=server.metadata.resource_version,
        events=events,
        only_remembers=effects is not None and not effects.writes,
    )
