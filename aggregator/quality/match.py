"""Which fields a verdict asks for, within one service quality (SPEC 4.1, 4.3). Pure.

All actions that match apply in their order, later ones override field by field.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aggregator.quality.fields import (
    OPS_STATE,
    Field,
    FieldValue,
    SkippedField,
    action_fields,
    check_container,
    usable_value,
)
from shared.protocol.report import Status, clean_result

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from shared.api.service_quality import ServiceQuality, ServiceQualityAction
    from shared.protocol.report import ProbeReport

__all__ = [
    "NOTHING",
    "OPS_STATE",
    "Contribution",
    "Field",
    "FieldValue",
    "Verdict",
    "contribution",
    "hash_result",
    "matchable_verdicts",
    "verdict_of",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict that can match: Unknown is none.

    Attributes:
        result_hash: of the cleaned result, see `hash_result`.
        result: the cleaned result, for templates; None when only its hash was remembered.
    """

    status: Literal["True", "False"]
    result_hash: str
    result: str | None = None

    def is_same(self, other: Verdict) -> bool:
        """Tell whether status and cleaned result are equal: then there is no edge between them."""
        return (self.status, self.result_hash) == (other.status, other.result_hash)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one service quality asks for.

    Attributes:
        fields: the wanted value of each field.
        skipped: fields that an action names but that cannot be written, with the reason.
        actions: number of actions that matched.
    """

    fields: Mapping[Field, FieldValue]
    skipped: tuple[tuple[Field, str], ...] = ()
    actions: int = 0


NOTHING = Contribution(fields={})


def hash_result(result: str) -> str:
    """Return the hash under which a result is compared and remembered: of its cleaned form.

    80 bits: a GameServer compares a handful of results, and an annotation has to stay small.
    """
    return hashlib.sha256(clean_result(result).encode()).hexdigest()[:20]


def verdict_of(status: Literal["True", "False"], result: str) -> Verdict:
    """Return the verdict of a probe that printed `result`, which may still have to be cleaned."""
    return Verdict(status, hash_result(result), clean_result(result))


def matchable_verdicts(probes: Iterable[ProbeReport]) -> dict[str, Verdict]:
    """Return the verdicts that can match, by name of the quality; Unknown is none."""
    verdicts = {}
    for probe in probes:
        match probe.status:
            case Status.TRUE:
                verdicts[probe.name] = verdict_of("True", probe.result)
            case Status.FALSE:
                verdicts[probe.name] = verdict_of("False", probe.result)
            case Status.UNKNOWN:
                pass
    return verdicts


def contribution(
    quality: ServiceQuality, verdict: Verdict | None, containers: Collection[str] | None = None
) -> Contribution:
    """Return what `quality` asks for when its verdict is `verdict`; nothing without a verdict.

    Args:
        quality: with its actions.
        verdict: None when it is not known.
        containers: names of those in the set's template; None when they are not known.
    """
    if verdict is None:
        return NOTHING
    fields: dict[Field, FieldValue] = {}
    skipped: dict[Field, str] = {}
    matching = [action for action in quality.service_quality_action if _matches(action, verdict)]
    for action in matching:
        for field, written in action_fields(action):
            try:
                check_container(field, containers)
                value = usable_value(field, written, verdict.result)
            except SkippedField as reason:
                skipped[field] = str(reason)
                continue
            if value is not None:
                fields[field] = value
                skipped.pop(field, None)
    return Contribution(fields, tuple(skipped.items()), len(matching))


def _matches(action: ServiceQualityAction, verdict: Verdict) -> bool:
    if action.state is not (verdict.status == "True"):
        return False
    return not clean_result(action.result) or hash_result(action.result) == verdict.result_hash
