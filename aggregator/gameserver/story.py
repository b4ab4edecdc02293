"""The Events that tell the story of a game server: what changed, why, what was left alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aggregator.gameserver import objects
from aggregator.gameserver.operations import Event
from aggregator.quality.merge import Outcome
from aggregator.selection import meant_ops_state
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aggregator.pods import Pod
    from aggregator.quality.fields import Field, FieldValue
    from aggregator.quality.merge import Effects
    from shared.api.gameserver import GameServer
    from shared.api.meta import Condition

# Characters of a result in an event: a longer one would push out what was changed.
_MAX_TOLD = 64
# That a pod is not ready yet is no news; its own events say what is wrong with it.
_TOLD = (
    names.CONDITION_NODE_NORMAL,
    names.CONDITION_VOLUME_NORMAL,
    names.CONDITION_PRIORITIES_VALID,
)
# Outcomes that a person may wonder about; that a value is there already is none.
_WITHHELD = {
    Outcome.KILL_STAYS: "Kill is final",
    Outcome.EDITED: "somebody changed it after the report",
    Outcome.NOT_OURS: "a first None clears only what a service quality has written",
}


def action_events(server: GameServer, effects: Effects) -> tuple[Event, ...]:
    """Say what each quality changed, and what it could not: one event each, or they drown."""
    present = objects.present_fields(server)
    changes: dict[str, list[str]] = {}
    for field, value in effects.writes.items():
        change = f"{'.'.join(field)} {present.get(field, 'unset')} -> {value}"
        changes.setdefault(effects.wishes[field].quality, []).append(change)
    executed = {each.name: each for each in effects.executed}
    # An edge of one quality may let through what another has been asking for.
    events = []
    for name in dict.fromkeys((*changes, *executed)):
        skipped = executed[name].skipped if name in executed else ()
        refused = [f"{'.'.join(field)} is left alone: {reason}" for field, reason in skipped]
        withheld = [
            f"{'.'.join(field)} stays {present.get(field, 'unset')}: {reason}"
            for field, reason in _withheld(name, effects)
            if name in executed
        ]
        parts = [", ".join(changes[name])] if name in changes else []
        parts += [*refused, *withheld]
        if parts:
            reason = (
                names.REASON_SERVICE_QUALITY_ACTION
                if name in changes
                else names.REASON_FIELD_SKIPPED
            )
            message = f"{_head(name, effects)}: {'; '.join(parts)}"
            events.append(Event("Warning" if refused else "Normal", reason, message))
    return tuple(events)


def _withheld(quality: str, effects: Effects) -> Iterator[tuple[Field, str]]:
    for field, outcome in effects.outcomes.items():
        if effects.wishes[field].quality == quality and outcome in _WITHHELD:
            yield field, _WITHHELD[outcome]


def _head(quality: str, effects: Effects) -> str:
    verdict = effects.records[quality].verdict
    result = verdict.result or ""
    if len(result) > _MAX_TOLD:
        result = f"{result[: _MAX_TOLD - 1]}…"
    return f"{quality}={verdict.status}({result or 'empty'})"


def trouble_events(former: Sequence[Condition], fresh: Sequence[Condition]) -> tuple[Event, ...]:
    """Tell what is wrong now with the node, the volumes or the priorities and was not before."""
    before = {condition.type: condition.status for condition in former}
    return tuple(
        Event("Warning", condition.reason, condition.message)
        for condition in fresh
        if condition.type in _TOLD
        and condition.status == "False"
        and before.get(condition.type) != "False"
    )


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
    message = f"opsState {before or 'unset'} -> {now}"
    meant = meant_ops_state(now)
    if meant is not None:
        type_ = "Warning"
        message += f", which is a state of your own: write {meant} if that is what you mean"
    return (Event(type_, names.REASON_STATE_CHANGED, message),)
