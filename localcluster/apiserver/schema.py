"""Structural schemas of CustomResourceDefinitions: pruning and defaulting, in place. Pure.

Validation is in validation.py. The order is Kubernetes': prune what the schema does not name, drop
nulls where none are allowed, fill defaults in, then validate.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
(field pruning, defaulting, defaulting and nullable).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from localcluster.apiserver.objects import Object, encode

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
