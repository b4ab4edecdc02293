"""Label and field selectors: parsed once per request, matched against many objects. Pure.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ and
.../field-selectors/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.errors import bad_request
from localcluster.apiserver.objects import Object, dig

if TYPE_CHECKING:
    from collections.abc import Sequence

# A comma separates requirements unless it stands inside the parentheses of a set.
_COMMA = re.compile(r",(?![^(]*\))")
_SET = re.compile(r"^(?P<key>[^\s!=,()]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALITY = re.compile(r"^(?P<key>[^\s!=,()]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^\s!=,()]*)$")
_EXISTS = re.compile(r"^(?P<negated>!?)\s*(?P<key>[^\s!=,()]+)$")


@dataclass(frozen=True, slots=True)
class LabelRequirement:
    """One condition on labels.

    Args:
        key: the label.
        values: the set compared with; None asks only whether the label exists.
        negated: the requirement holds when the plain one does not (an absent label is in no set).
    """

    key: str
    values: frozenset[str] | None
    negated: bool

    def matches(self, labels: dict[str, Any]) -> bool:
        """Return whether `labels` satisfy this requirement."""
        held = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return held != self.negated


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One condition on a field: it equals `value`, or not if `negated`; absent is empty."""

    path: tuple[str, ...]
    value: str
    negated: bool

    def matches(self, obj: Object) -> bool:
        """Return whether `obj` satisfies this requirement."""
        return (_text(dig(obj, *self.path)) == self.value) != self.negated


@dataclass(frozen=True, slots=True)
class Selector:
    """What a list or a watch is restricted to; every part must match.

    Args:
        namespace: None for all namespaces.
        labels: label requirements.
        fields: field requirements.
    """

    namespace: str | None = None
    labels: tuple[LabelRequirement, ...] = ()
    fields: tuple[FieldRequirement, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self.namespace is None and not self.labels and not self.fields

    def matches(self, obj: Object) -> bool:
        """Return whether `obj` is selected."""
        metadata = obj["metadata"]
        if self.namespace is not None and metadata.get("namespace") != self.namespace:
            return False
        labels = metadata.get("labels") or {}
        return all(each.matches(labels) for each in self.labels) and all(
            each.matches(obj) for each in self.fields
        )


def parse_labels(text: str) -> tuple[LabelRequirement, ...]:
    """Return the requirements of a `labelSelector`.

    Raises:
        ApiError: 400, naming the requirement that cannot be read.
    """
    return tuple(_label(part.strip()) for part in _COMMA.split(text) if part.strip())


def parse_fields(text: str, supported: Sequence[str]) -> tuple[FieldRequirement, ...]:
    """Return the requirements of a `fieldSelector`.

    Args:
        text: for example `spec.nodeName=a,status.phase!=Failed`.
        supported: dotted paths that this resource can be selected by.

    Raises:
        ApiError: 400, naming the part that cannot be read or the field that is not supported.
    """
    return tuple(_field(part.strip(), supported) for part in text.split(",") if part.strip())


def _label(part: str) -> LabelRequirement:
    if match := _SET.match(part):
        values = frozenset(value.strip() for value in match["values"].split(","))
        return LabelRequirement(match["key"], values, match["operator"] == "notin")
    if match := _EQUALITY.match(part):
        return LabelRequirement(
            match["key"], frozenset([match["value"]]), match["operator"] == "!="
        )
    if match := _EXISTS.match(part):
        return LabelRequirement(match["key"], None, bool(match["negated"]))
    raise bad_request(
        f"unable to parse requirement: {part!r} is none of "
        "key, !key, key=value, key!=value, key in (a,b), key notin (a,b)"
    )


def _field(part: str, supported: Sequence[str]) -> FieldRequirement:
    match = re.match(r"^(?P<path>[^=!]+)(?P<operator>==|=|!=)(?P<value>.*)$", part)
    if match is None:
        raise bad_request(f"invalid selector: {part!r}; can't understand it, write field=value")
    if match["path"] not in supported:
        raise bad_request(
            f"field label not supported: {match['path']} (supported: {', '.join(supported)})"
        )
    return FieldRequirement(
        tuple(match["path"].split(".")), match["value"], match["operator"] == "!="
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
