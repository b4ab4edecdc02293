"""What service qualities ask for together, and what of it is written at an edge (SPEC 4.2, 4.5).

Pure. The theory: actions run on an *edge* only, which is a verdict that differs from the last one
acted on. At an edge the wanted fields are merged over all qualities twice, from the verdicts
recorded before and from those now, with the present spec; a field is written only where the two
differ (and the object does not have the value already). So a person's edit stays until the probes
really ask for something else, and a result that changes with every run re-asserts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.quality.match import OPS_STATE, Contribution, Field, FieldValue, contribution
from aggregator.quality.verdicts import Record
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aggregator.quality.match import Verdict
    from shared.api.service_quality import ServiceQuality


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision about one GameServer looks at.

    Attributes:
        qualities: of the set, in their order.
        records: the last acted-on verdict of each quality, by name, of any pod.
        verdicts: the verdicts now, by name; a quality that is Unknown or absent is missing here.
        present: the value of each field that the GameServer has now.
        pod_uid: the pod that the verdicts speak of.
        now: for executedAt.
    """

    qualities: Sequence[ServiceQuality]
    records: Mapping[str, Record]
    verdicts: Mapping[str, Verdict]
    present: Mapping[Field, FieldValue]
    pod_uid: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Executed:
    """One quality whose actions ran at this edge."""

    name: str
    verdict: Verdict
    asked: Mapping[Field, FieldValue]
    skipped: tuple[tuple[Field, str], ...]


@dataclass(frozen=True, slots=True)
class Effects:
    """What an edge leads to.

    Attributes:
        writes: the fields to write, with their values.
        records: the records after the edge, to be written in the same patch.
        executed: the qualities that had the edge and matched an action.
    """

    writes: Mapping[Field, FieldValue] = field(default_factory=dict)
    records: Mapping[str, Record] = field(default_factory=dict)
    executed: tuple[Executed, ...] = ()


def merge(contributions: Sequence[Mapping[Field, FieldValue]]) -> dict[Field, FieldValue]:
    """Return the merged fields of several qualities: later override earlier, but None yields.

    The opsState None says "nothing special from me"; it never overrides another quality's state.
    """
    merged: dict[Field, FieldValue] = {}
    for fields in contributions:
        for name, value in fields.items():
            if name == OPS_STATE and value == names.OPS_STATE_NONE:
                merged.setdefault(name, value)
            else:
                merged[name] = value
    return merged


def decide(situation: Situation) -> Effects | None:
    """Return what the verdicts now lead to; None when no quality has an edge."""
    edges = [quality for quality in situation.qualities if _has_edge(quality, situation)]
    if not edges:
        return None
    unspent = [quality for quality in situation.qualities if not _is_spent(quality, situation)]
    before = {quality.name: _acted_on(quality, situation) for quality in unspent}
    now = {
        quality.name: contribution(quality, situation.verdicts[quality.name])
        if quality.name in situation.verdicts
        else before[quality.name]
        for quality in unspent
    }
    first = {quality.name for quality in edges if _record(quality, situation) is None}
    # A None from first verdicts alone: nobody asked for another state of this pod before.
    first_none = all(
        quality.name in first or OPS_STATE not in now[quality.name].fields
        for quality in edges
        if quality.name in now
    )
    merged_before = merge([before[quality.name].fields for quality in unspent])
    merged_now = merge([now[quality.name].fields for quality in unspent])
    writes = {
        name: value
        for name, value in merged_now.items()
        if merged_before.get(name) != value
        and situation.present.get(name) != value
        and (name != OPS_STATE or _may_write_ops_state(value, situation, first=first_none))
    }
    return Effects(
        writes=writes,
        records=_records_after(edges, now, writes, situation),
        executed=tuple(
            Executed(
                quality.name,
                situation.verdicts[quality.name],
                now[quality.name].fields,
                now[quality.name].skipped,
            )
            for quality in edges
            if quality.name in now and now[quality.name].actions
        ),
    )


def _has_edge(quality: ServiceQuality, situation: Situation) -> bool:
    verdict = situation.verdicts.get(quality.name)
    if verdict is None:
        return False
    record = _record(quality, situation)
    return record is None or record.verdict != verdict


def _is_spent(quality: ServiceQuality, situation: Situation) -> bool:
    """Tell whether a permanent quality has acted for this pod already."""
    record = _record(quality, situation)
    return quality.permanent and record is not None and record.executed_at is not None


def _acted_on(quality: ServiceQuality, situation: Situation) -> Contribution:
    """Return what the recorded verdict asks for with the present spec.

    A permanent quality that is not spent has never acted: whatever a corrected spec asks for is
    new, else the first edge after the correction would use it up without an effect.
    """
    record = None if quality.permanent else _record(quality, situation)
    return contribution(quality, None if record is None else record.verdict)


def _record(quality: ServiceQuality, situation: Situation) -> Record | None:
    """Return the last acted-on verdict for this very pod; one of another pod is void."""
    record = situation.records.get(quality.name)
    return record if record is not None and record.pod_uid == situation.pod_uid else None


def _may_write_ops_state(value: FieldValue, situation: Situation, *, first: bool) -> bool:
    """Tell whether opsState may be written: Kill is final, a first None clears only our own."""
    present = situation.present.get(OPS_STATE)
    if present == names.OPS_STATE_KILL:
        return False
    if value == names.OPS_STATE_NONE and first:
        # Records of earlier pods count: with reclaimPolicy Delete the object outlives its pod.
        return any(record.fields.get(OPS_STATE) == present for record in situation.records.values())
    return True


def _records_after(
    edges: Sequence[ServiceQuality],
    now: Mapping[str, Contribution],
    writes: Mapping[Field, FieldValue],
    situation: Situation,
) -> dict[str, Record]:
    # A status that shows this time must not change once the annotation is read again.
    whole_milliseconds = situation.now.microsecond // 1000 * 1000
    records = dict(situation.records)
    for quality in edges:
        former = _record(quality, situation)
        executed_at = former.executed_at if former is not None else None
        asked = now[quality.name].fields if quality.name in now else {}
        if asked:
            executed_at = situation.now.replace(microsecond=whole_milliseconds)
        # With reclaimPolicy Delete the object, and so what we wrote to it, outlives its pod.
        of_any_pod = situation.records.get(quality.name)
        records[quality.name] = Record(
            verdict=situation.verdicts[quality.name],
            pod_uid=situation.pod_uid,
            executed_at=executed_at,
            fields=_written(of_any_pod.fields if of_any_pod is not None else {}, asked, writes),
        )
    known = {quality.name for quality in situation.qualities}
    return {name: record for name, record in records.items() if name in known}


def _written(
    former: Mapping[Field, FieldValue],
    asked: Mapping[Field, FieldValue],
    writes: Mapping[Field, FieldValue],
) -> dict[Field, FieldValue]:
    """Return what a quality has written: now, or before without asking for another value since."""
    return {
        name: value
        for name, value in (dict(former) | dict(asked)).items()
        if name not in asked or writes.get(name) == value or former.get(name) == value
    }
