"""What service qualities ask for together, and what of it is written at an edge (SPEC 4.2, 4.5).

Pure. The theory: actions run on an *edge* only, which is a verdict that differs from the last one
acted on. At an edge the wanted fields are merged over all qualities twice, from the verdicts
recorded before and from those now, with the present spec; a field is written only where the two
differ (and the object does not have the value already). So a person's edit stays until the probes
really ask for something else, and a result that changes with every run re-asserts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from aggregator.quality.fields import OPS_STATE
from aggregator.quality.match import NOTHING, Contribution, contribution
from aggregator.quality.verdicts import Record
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aggregator.quality.fields import Field, FieldValue
    from aggregator.quality.match import Verdict
    from shared.api.service_quality import ServiceQuality


class Outcome(StrEnum):
    """What became of a field that the qualities ask for together."""

    WRITTEN = "Written"
    UNCHANGED = "Unchanged"  # they asked for it before: a person's edit stays
    PRESENT = "Present"  # the object has the value already
    KILL_STAYS = "KillStays"  # opsState Kill is never overwritten
    EDITED = "Edited"  # somebody changed it after the report: what people say later counts
    NOT_OURS = "NotOurs"  # a first None does not replace an opsState that we did not write


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
        edited: fields that have changed since the verdicts were reported, by whomever.
        containers: names of those in the set's template; None when they are not known.
    """

    qualities: Sequence[ServiceQuality]
    records: Mapping[str, Record]
    verdicts: Mapping[str, Verdict]
    present: Mapping[Field, FieldValue]
    pod_uid: str
    now: datetime
    edited: frozenset[Field] = frozenset()
    containers: frozenset[str] | None = None

    def record_of(self, quality: ServiceQuality) -> Record | None:
        """Return the last acted-on verdict for this very pod; one of another pod is void."""
        record = self.records.get(quality.name)
        return record if record is not None and record.pod_uid == self.pod_uid else None

    def has_edge(self, quality: ServiceQuality) -> bool:
        """Tell whether its verdict differs from the last one acted on; Unknown never does."""
        verdict = self.verdicts.get(quality.name)
        record = self.record_of(quality)
        return verdict is not None and (record is None or not record.verdict.is_same(verdict))

    def is_spent(self, quality: ServiceQuality) -> bool:
        """Tell whether a permanent quality has acted for this pod already."""
        record = self.record_of(quality)
        return quality.permanent and record is not None and record.executed_at is not None

    def contribution_of(self, quality: ServiceQuality, verdict: Verdict | None) -> Contribution:
        """Return what the quality asks of this server when its verdict is `verdict`."""
        return contribution(quality, verdict, self.containers)


@dataclass(frozen=True, slots=True)
class Wish:
    """The value of a field that the qualities ask for together, and whose value it is."""

    value: FieldValue
    quality: str


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
        wishes: what the unspent qualities ask for together.
        outcomes: what became of each wish.
    """

    writes: Mapping[Field, FieldValue] = field(default_factory=dict)
    records: Mapping[str, Record] = field(default_factory=dict)
    executed: tuple[Executed, ...] = ()
    wishes: Mapping[Field, Wish] = field(default_factory=dict)
    outcomes: Mapping[Field, Outcome] = field(default_factory=dict)


def merge(asked: Mapping[str, Contribution]) -> dict[Field, Wish]:
    """Return what several qualities ask for together: later override earlier, but None yields.

    The opsState None says "nothing special from me"; it never overrides another quality's state.

    Args:
        asked: the contribution of each quality by name, in the order of the set.
    """
    merged: dict[Field, Wish] = {}
    for quality, asks in asked.items():
        for name, value in asks.fields.items():
            if name == OPS_STATE and value == names.OPS_STATE_NONE and name in merged:
                continue
            merged[name] = Wish(value, quality)
    return merged


def decide(situation: Situation) -> Effects | None:
    """Return what the verdicts now lead to; None when no quality has an edge."""
    edges = [quality for quality in situation.qualities if situation.has_edge(quality)]
    if not edges:
        return None
    unspent = [quality for quality in situation.qualities if not situation.is_spent(quality)]
    before = {quality.name: _acted_on(quality, situation) for quality in unspent}
    # A quality without an edge goes on asking for what it asked before: nothing of it is new.
    now = before | {
        quality.name: situation.contribution_of(quality, situation.verdicts[quality.name])
        for quality in edges
        if quality.name in before
    }
    wished_before, wishes = merge(before), merge(now)
    first = _is_first(edges, now, situation)
    outcomes = {
        name: _outcome(name, wish, wished_before.get(name), situation, first=first)
        for name, wish in wishes.items()
    }
    writes = {
        name: wish.value for name, wish in wishes.items() if outcomes[name] is Outcome.WRITTEN
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
        wishes=wishes,
        outcomes=outcomes,
    )


def _acted_on(quality: ServiceQuality, situation: Situation) -> Contribution:
    """Return what the recorded verdict asks for with the present spec.

    A permanent quality that is not spent has never acted: whatever a corrected spec asks for is
    new, else the first edge after the correction would use it up without an effect.
    """
    record = None if quality.permanent else situation.record_of(quality)
    return situation.contribution_of(quality, None if record is None else record.verdict)


def _is_first(
    edges: Sequence[ServiceQuality], now: Mapping[str, Contribution], situation: Situation
) -> bool:
    """Tell whether only first verdicts speak of opsState: nobody set it for this pod before."""
    return all(
        situation.record_of(quality) is None
        for quality in edges
        if OPS_STATE in now.get(quality.name, NOTHING).fields
    )


def _outcome(
    name: Field, wish: Wish, before: Wish | None, situation: Situation, *, first: bool
) -> Outcome:
    if before is not None and before.value == wish.value:
        return Outcome.UNCHANGED
    present = situation.present.get(name)
    if present == wish.value:
        return Outcome.PRESENT
    if name in situation.edited and not _is_ours(name, present, situation):
        return Outcome.EDITED
    if name != OPS_STATE:
        return Outcome.WRITTEN
    if present == names.OPS_STATE_KILL:
        return Outcome.KILL_STAYS
    # Records of earlier pods count: with reclaimPolicy Delete the object outlives its pod.
    if first and wish.value == names.OPS_STATE_NONE and not _is_ours(name, present, situation):
        return Outcome.NOT_OURS
    return Outcome.WRITTEN


def _is_ours(name: Field, value: FieldValue | None, situation: Situation) -> bool:
    """Tell whether a quality wrote this value, for whatever pod; none removes a field."""
    return value is not None and any(
        record.fields.get(name) == value for record in situation.records.values()
    )


def _records_after(
    edges: Sequence[ServiceQuality],
    now: Mapping[str, Contribution],
    writes: Mapping[Field, FieldValue],
    situation: Situation,
) -> dict[str, Record]:
    records = {
        quality.name: situation.records[quality.name]
        for quality in situation.qualities
        if quality.name in situation.records
    }
    for name, asks in now.items():
        # Another quality's edge may let a value through that was overridden when it was asked for.
        written = {each: value for each, value in writes.items() if asks.fields.get(each) == value}
        if written and name in records:
            records[name] = replace(records[name], fields={**records[name].fields, **written})
    for quality in edges:
        asked = now.get(quality.name, NOTHING).fields
        records[quality.name] = _record_after(quality, asked, writes, situation)
    return records


def _record_after(
    quality: ServiceQuality,
    asked: Mapping[Field, FieldValue],
    writes: Mapping[Field, FieldValue],
    situation: Situation,
) -> Record:
    """Return the record of a quality that had an edge."""
    former = situation.record_of(quality)
    executed_at = former.executed_at if former is not None else None
    if asked:
        # A status that shows this time must not change once the annotation is read again.
        whole_milliseconds = situation.now.microsecond // 1000 * 1000
        executed_at = situation.now.replace(microsecond=whole_milliseconds)
    # With reclaimPolicy Delete the object, and so what we wrote to it, outlives its pod.
    of_any_pod = situation.records.get(quality.name)
    kept = dict(of_any_pod.fields) if of_any_pod is not None else {}
    return Record(
        verdict=situation.verdicts[quality.name],
        pod_uid=situation.pod_uid,
        executed_at=executed_at,
        fields={
            name: value
            for name, value in (kept | dict(asked)).items()
            if name not in asked
            or kept.get(name) == value
            or writes.get(name) == value
            or (situation.present.get(name) == value and _is_ours(name, value, situation))
        },
    )
