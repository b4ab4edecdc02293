"""What changed between two states of a GameServer, and which quality caused it. Pure.

The annotation that remembers the acted-on verdicts is written in the same patch as their effects,
so two states of the object tell by themselves what a quality did: no hook in the reconciler is
needed, and a standby, which only watches, knows the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.gameserver import objects
from aggregator.quality.verdicts import parse_records
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aggregator.quality.fields import Field, FieldValue
    from aggregator.quality.verdicts import Record
    from shared.api.gameserver import GameServer


@dataclass(frozen=True, slots=True)
class Transition:
    """One field of a GameServer that changed.

    Attributes:
        field: as in the object, for example `opsState`, `state` or `verdict.idle`.
        before: empty when there was nothing.
        cause: the quality and its verdict, `idle=True(empty)`; empty for anybody else.
    """

    at: datetime
    field: str
    before: str
    after: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """The actions of one quality, executed once.

    Attributes:
        changes: `opsState None -> Maintaining`; empty when everything was as asked already, or
            when the action is older than this process.
    """

    at: datetime
    quality: str
    status: str
    result: str | None
    changes: tuple[str, ...]


def transitions(
    old: GameServer | None, new: GameServer | None, now: datetime
) -> tuple[Transition, ...]:
    """Return what changed between two states of an object of the same name."""
    if new is None:
        return () if old is None else (Transition(now, "object", "present", "deleted"),)
    if old is None:
        # What a list brings at the start was there before: nobody saw it change.
        return ()
    if old.metadata.uid != new.metadata.uid:
        return (Transition(now, "object", "deleted", "created anew"),)
    causes = _causes(old, new)
    before, after = _shown_fields(old, causes), _shown_fields(new, causes)
    return tuple(
        Transition(now, field, before.get(field, ""), after.get(field, ""), causes.get(field, ""))
        for field in before | after
        if before.get(field, "") != after.get(field, "")
    )


def actions(old: GameServer | None, new: GameServer) -> tuple[Action, ...]:
    """Return the actions that were executed between two states of an object."""
    if old is not None and old.metadata.uid != new.metadata.uid:
        old = None
    if old is not None and _annotation(old) == _annotation(new):
        # As of nearly every change: nothing has to be read.
        return ()
    former = _records(old)
    present = objects.present_fields(old) if old is not None else None
    return tuple(
        Action(
            at=record.executed_at,
            quality=name,
            status=record.verdict.status,
            result=record.verdict.result,
            changes=()
            if present is None
            else _changes(present, objects.present_fields(new), record),
        )
        for name, record in _records(new).items()
        if record.executed_at is not None
        and (name not in former or former[name].executed_at != record.executed_at)
    )


def _changes(
    before: Mapping[Field, FieldValue], after: Mapping[Field, FieldValue], record: Record
) -> tuple[str, ...]:
    return tuple(
        f"{'.'.join(field)} {before.get(field, 'unset')} -> {value}"
        for field, value in record.fields.items()
        if after.get(field) == value and before.get(field) != value
    )


def _causes(old: GameServer, new: GameServer) -> dict[str, str]:
    """Return which quality wrote a field, for the fields that its record tells anew."""
    if _annotation(old) == _annotation(new):
        return {}
    former = _records(old)
    return {
        ".".join(field): f"{name}={record.verdict.status}({record.verdict.result or 'empty'})"
        for name, record in _records(new).items()
        if record != former.get(name)
        for field in record.fields
    }


def _records(server: GameServer | None) -> dict[str, Record]:
    return {} if server is None else parse_records(_annotation(server))


def _annotation(server: GameServer) -> str | None:
    return server.metadata.annotations.get(names.VERDICTS_ANNOTATION)


def _shown_fields(server: GameServer, written: Mapping[str, str]) -> dict[str, str]:
    """Return the fields whose changes are history.

    Args:
        server: one state of it.
        written: labels, annotations and the like that a quality has just written count too; those
            of anybody else are too many.
    """
    spec, status = server.spec, server.status
    fields = {
        f"verdict.{each.name}": f"{each.status}({each.result or each.reason or 'empty'})"
        for each in status.service_qualities_conditions
    }
    fields |= {
        "state": status.current_state,
        "opsState": spec.ops_state,
        "deletionPriority": str(spec.deletion_priority),
        "updatePriority": str(spec.update_priority),
        "podUid": status.pod_uid,
    }
    if spec.network_disabled is not None:
        fields["networkDisabled"] = str(spec.network_disabled).lower()
    if spec.deletion is not None:
        fields["deletion"] = spec.deletion.reason
    if written:
        present = {".".join(name): value for name, value in objects.present_fields(server).items()}
        fields = {name: str(present[name]) for name in written if name in present} | fields
    return fields
