"""Whether a schema is structural, as an API server demands of every CRD. Pure.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
(specifying a structural schema; field pruning; defaulting; merge strategy).
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_INT_OR_STRING = "x-kubernetes-int-or-string"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_LIST_TYPE = "x-kubernetes-list-type"
_MAP_KEYS = "x-kubernetes-list-map-keys"
_TYPES = {"object", "array", "string", "integer", "number", "boolean"}
_JUNCTORS = ("allOf", "anyOf", "oneOf")
# Carry meaning of their own, so they must not depend on which arm of a junctor holds.
_OUTSIDE_ONLY = {"description", "type", "default", "additionalProperties", "nullable"}
_UNKNOWN = {
    "$ref",
    "$defs",
    "const",
    "definitions",
    "dependencies",
    "deprecated",
    "discriminator",
    "id",
    "patternProperties",
    "readOnly",
    "writeOnly",
    "xml",
}
_NAME_ONLY = {"name", "generateName"}


def violations(schema: Schema) -> list[str]:
    """Return what an API server would refuse, each with its path; empty for a structural schema."""
    return [*_root(schema), *_node(schema, "")]


def _root(schema: Schema) -> Iterator[str]:
    if schema.get("type") != "object":
        yield ".: the root must have the type object"
    metadata = schema.get("properties", {}).get("metadata", {})
    if metadata.keys() - {"type", "properties", "description"}:
        yield ".metadata: only name and generateName may be restricted"
    for name in metadata.get("properties", {}).keys() - _NAME_ONLY:
        yield f".metadata.{name}: only name and generateName may be restricted"


def _node(node: Schema, path: str) -> Iterator[str]:
    """Check a node outside of junctors, and everything below it."""
    yield from (f"{path}: {key} is not allowed" for key in sorted(_UNKNOWN & node.keys()))
    yield from _type(node, path)
    yield from _members(node, path)
    yield from _list(node, path)
    for junctor in _JUNCTORS:
        for index, arm in enumerate(node.get(junctor, ())):
            yield from _arm(arm, node, f"{path}.{junctor}[{index}]")
    if "not" in node:
        yield from _arm(node["not"], node, f"{path}.not")
    for name, child in node.get("properties", {}).items():
        yield from _node(child, f"{path}.{name}")
    if isinstance(node.get("additionalProperties"), dict):
        yield from _node(node["additionalProperties"], f"{path}.*")
    if "items" in node:
        yield from _node(node["items"], f"{path}[]")


def _type(node: Schema, path: str) -> Iterator[str]:
    has_type = node.get("type") in _TYPES
    if node.get(_INT_OR_STRING):
        if "type" in node:
            yield f"{path}: {_INT_OR_STRING} and a type exclude each other"
    elif not has_type and not (node.get(_PRESERVE) and "type" not in node):
        yield f"{path}: a type is missing"
    if node.get("uniqueItems"):
        yield f"{path}: uniqueItems must not be true"


def _members(node: Schema, path: str) -> Iterator[str]:
    if "properties" in node and "additionalProperties" in node:
        yield f"{path}: properties and additionalProperties exclude each other"
    if node.get("additionalProperties") is False:
        yield f"{path}: additionalProperties must not be false"
    if node.get("type") == "array" and not isinstance(node.get("items"), dict):
        yield f"{path}: an array must say what its items are"
    if not node.get(_PRESERVE):
        for name in set(node.get("required", ())) - node.get("properties", {}).keys():
            yield f"{path}.{name}: is required and not declared"


def _list(node: Schema, path: str) -> Iterator[str]:
    if node.get(_LIST_TYPE) != "map":
        return
    items = node.get("items", {})
    for key in node.get(_MAP_KEYS, ()):
        declared = items.get("properties", {}).get(key, {})
        if key not in items.get("required", ()) and "default" not in declared:
            yield f"{path}[].{key}: a key of a list map must be required or have a default"
    if not node.get(_MAP_KEYS):
        yield f"{path}: a list map needs keys"


def _arm(arm: Schema, outside: Schema, path: str) -> Iterator[str]:
    """Check a node inside of a junctor: values only, of fields that are declared outside too."""
    yield from (f"{path}: {key} belongs outside" for key in sorted(_OUTSIDE_ONLY & arm.keys()))
    for name, child in arm.get("properties", {}).items():
        declared = outside.get("properties", {}).get(name)
        if declared is None:
            yield f"{path}.{name}: is not declared outside"
        else:
            yield from _arm(child, declared, f"{path}.{name}")
    for name in set(arm.get("required", ())) - outside.get("properties", {}).keys():
        yield f"{path}.{name}: is not declared outside"
    if "items" in arm:
        yield from _arm(arm["items"], outside.get("items", {}), f"{path}[]")
    for junctor in _JUNCTORS:
        for index, inner in enumerate(arm.get(junctor, ())):
            yield from _arm(inner, outside, f"{path}.{junctor}[{index}]")
