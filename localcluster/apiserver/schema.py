"""Structural schemas of CustomResourceDefinitions: pruning and defaulting, in place. Pure.

Validation is in validation.py. The order is Kubernetes': prune what the schema does not name, drop
nulls where none are allowed, fill defaults in, then validate.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
(field pruning, defaulting, defaulting and nullable).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from localcluster.apiserver.objects import Object, encode

if TYPE_CHECKING:
    from collections.abc import Callable

Schema: TypeAlias = dict[str, Any]
PRESERVE = "x-kubernetes-preserve-unknown-fields"

# What every object has beside the fields of its own schema; metadata is decoded by metadata.py.
_TYPE_META = frozenset({"apiVersion", "kind", "metadata"})


def prune(schema: Schema, obj: Object) -> list[str]:
    """Remove from `obj` what `schema` does not declare and return the paths of what was removed."""
    removed: list[str] = []
    _prune_object(schema, obj, "", removed, _TYPE_META)
    return removed


def default(schema: Schema, value: Any) -> None:
    """Fill absent fields of `value` with the schema's defaults."""
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for name, child in properties.items():
            _default_field(child, value, name)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            for name in value.keys() - properties.keys():
                default(extra, value[name])
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            default(schema["items"], item)


def _default_field(child: Schema, parent: Object, name: str) -> None:
    if name in parent and parent[name] is None and not child.get("nullable"):
        del parent[name]
    if "default" in child and name not in parent:
        # Each object gets its own copy: a default may be a list or an object.
        parent[name] = msgspec.json.decode(encode(child["default"]))
    if name in parent:
        default(child, parent[name])


def pruner(schema: Schema) -> Callable[[Object], list[str]]:
    """Return `prune` for one schema, made fast for objects that need no pruning.

    Nearly every object fits its schema, and every write prunes: so a table made once answers
    whether there is anything to do before the object is walked with paths.
    """
    shape = _shape(schema, {})

    def pruned(obj: Object) -> list[str]:
        rest = {name: value for name, value in obj.items() if name not in _TYPE_META}
        return [] if _fits(shape, rest) else prune(schema, obj)

    return pruned


@dataclass(slots=True)
class _Shape:
    """What a schema says about the names in a value.

    Args:
        names: the declared fields; None for a scalar, into which nobody has to look.
        other: for the fields beside them and for the items of a list.
        open: whether fields may have other names.
    """

    names: dict[str, _Shape | None]
    other: _Shape | None
    open: bool


def _shape(schema: Schema, made: dict[int, _Shape]) -> _Shape:
    if id(schema) in made:
        return made[id(schema)]
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    below = schema.get("items") or extra
    shape = _Shape(
        {name: _shape_below(child, made) for name, child in properties.items()},
        _shape_below(below, made) if isinstance(below, dict) else None,
        bool(extra or schema.get(PRESERVE)),
    )
    if schema.get("x-kubernetes-embedded-resource"):
        shape.names = dict.fromkeys(_TYPE_META) | shape.names
    made[id(schema)] = shape
    return shape


def _shape_below(schema: Schema, made: dict[int, _Shape]) -> _Shape | None:
    scalar = schema.get("type") in ("string", "integer", "number", "boolean")
    return None if scalar else _shape(schema, made)


def _fits(shape: _Shape, value: Any) -> bool:
    if isinstance(value, list):
        other = shape.other
        return other is None or all(
            _fits(other, item) for item in value if isinstance(item, dict | list)
        )
    names, other = shape.names, shape.other
    for name, child in value.items():
        below = names.get(name, other)
        if below is None:
            if name not in names and not shape.open:
                return False
        elif isinstance(child, dict | list) and not _fits(below, child):
            return False
    return True


def _prune(schema: Schema, value: Any, path: str, removed: list[str]) -> None:
    if isinstance(value, dict):
        kept = _TYPE_META if schema.get("x-kubernetes-embedded-resource") else frozenset[str]()
        _prune_object(schema, value, path, removed, kept)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, item in enumerate(value):
            _prune(schema["items"], item, f"{path}[{index}]", removed)


def _prune_object(
    schema: Schema, value: Object, path: str, removed: list[str], kept: frozenset[str]
) -> None:
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for name in list(value):
        if name in kept:
            continue
        field = f"{path}.{name}" if path else name
        if name in properties:
            _prune(properties[name], value[name], field, removed)
        elif isinstance(extra, dict):
            _prune(extra, value[name], field, removed)
        elif not (extra or schema.get(PRESERVE)):
            del value[name]
            removed.append(field)
