"""Which fields a verdict asks for, within one service quality (SPEC 4.1, 4.3). Pure.

A field is named by its path: ("opsState",), ("deletionPriority",), ("labels", "team"). All
actions that match apply in their order, later ones override field by field.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aggregator.selection import parse_priority
from shared.api import names
from shared.api.meta import LABEL_VALUE_PATTERN
from shared.protocol.report import clean_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.api.service_quality import ServiceQuality, ServiceQualityAction

Field = tuple[str, ...]
FieldValue = str | int | bool
OPS_STATE: Field = ("opsState",)
_CONTAINERS: Field = ("containers",)
_PRIORITIES = frozenset({"updatePriority", "deletionPriority"})
# Bounds of names: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_MAX_NAME = 63
_MAX_PREFIX = 253
_DNS_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict that can match: Unknown is none.

    Attributes:
        result_hash: of the cleaned result, see `hash_result`.
    """

    status: Literal["True", "False"]
    result_hash: str


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


def contribution(quality: ServiceQuality, verdict: Verdict | None) -> Contribution:
    """Return what `quality` asks for when its verdict is `verdict`; nothing without a verdict."""
    if verdict is None:
        return NOTHING
    fields: dict[Field, FieldValue] = {}
    skipped: dict[Field, str] = {}
    matching = [action for action in quality.service_quality_action if _matches(action, verdict)]
    for action in matching:
        for field, value in _fields(action):
            reason = _refusal(field, value)
            if reason is None:
                fields[field] = value
                skipped.pop(field, None)
            else:
                skipped[field] = reason
    return Contribution(fields, tuple(skipped.items()), len(matching))


def _matches(action: ServiceQualityAction, verdict: Verdict) -> bool:
    if action.state is not (verdict.status == "True"):
        return False
    return not clean_result(action.result) or hash_result(action.result) == verdict.result_hash


def _fields(action: ServiceQualityAction) -> Iterator[tuple[Field, FieldValue]]:
    scalars: dict[str, FieldValue | None] = {
        "opsState": action.ops_state,
        "updatePriority": action.update_priority,
        "deletionPriority": action.deletion_priority,
        "networkDisabled": action.network_disabled,
    }
    for name, value in scalars.items():
        if value is not None and value != "":
            yield (name,), _normal(name, value)
    if action.containers:
        yield _CONTAINERS, ""
    for key, text in action.labels.items():
        yield ("labels", key), text
    for key, text in action.annotations.items():
        yield ("annotations", key), text


def _normal(name: str, value: FieldValue) -> FieldValue:
    """Return a priority that is a numeric string as the number that it means."""
    if name not in _PRIORITIES or isinstance(value, bool):
        return value
    priority = parse_priority(value)
    return priority.value if priority.valid else value


def _refusal(field: Field, value: FieldValue) -> str | None:
    """Return why a value cannot be written; the API server would refuse the whole patch for it."""
    if field == _CONTAINERS:
        return "containers in actions are not supported by this version"
    if isinstance(value, str) and "{{" in value:
        # Template source must never end up in an object.
        return "templates are not supported by this version; write a plain value"
    if field[0] in _PRIORITIES:
        return None if isinstance(value, int) else f"{value!r} is no 32-bit integer"
    if field[0] in ("labels", "annotations"):
        if not _is_key(field[1]):
            return f"{field[1]!r} is no legal {field[0][:-1]} key"
        if field[1] in names.OWNED_KEYS:
            return f"{field[1]} belongs to Gamekeeper"
    if field[0] in ("labels", "opsState") and not _is_label_value(str(value)):
        return f"{value!r} is no legal label value"
    return None


def _is_label_value(text: str) -> bool:
    return len(text) <= _MAX_NAME and re.fullmatch(LABEL_VALUE_PATTERN, text) is not None


def _is_key(key: str) -> bool:
    """Tell whether a label or annotation key is legal: an optional DNS prefix and a name."""
    prefix, separator, name = key.rpartition("/")
    if separator and (len(prefix) > _MAX_PREFIX or not re.fullmatch(_DNS_SUBDOMAIN, prefix)):
        return False
    return bool(name) and _is_label_value(name)
