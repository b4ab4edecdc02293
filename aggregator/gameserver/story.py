"""The Events that tell the story of a game server: what changed, why, what was left alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aggregator.gameserver import objects
from aggregator.gameserver.operations import Event
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.gameserver.observed import Observed
    from aggregator.pods import Pod
    from aggregator.quality.match import Field, FieldValue, Verdict
    from aggregator.quality.merge import Effects
    from shared.api.gameserver import GameServer
    from shared.protocol.report import ProbeReport

# Characters of a result in an event: a longer one would push out what was changed.
_MAX_TOLD = 64


def action_events(observed: Observed, server: GameServer, effects: Effects) -> tuple[Event, ...]:
    """Say what each quality changed, and what it could not."""
    present = objects.present_fields(server)
    events = []
    for executed in effects.executed:
        head = _verdict_text(executed.name, executed.verdict, observed.reports.get(executed.name))
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


def state_events(
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
