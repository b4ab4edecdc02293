"""Whether the schema of a definition is structural: what a real server demands before it serves it.

Pure. Each node outside of allOf, anyOf, oneOf and not has a type; inside of them stand only values
about fields that are declared outside too; pruning and defaulting then never depend on which branch
holds. Whether the keywords themselves are well formed is validation.py's business, and the rules
are cel_compile.py's.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
(specifying a structural schema; defaulting; merge strategy) and k8s.io/apiextensions-apiserver
pkg/apiserver/schema/validation.go and pkg/apis/apiextensions/validation/validation.go (messages)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.apiserver.errors import (
    Cause,
    forbidden_field,
    invalid_value,
    required,
    unsupported_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcluster.apiserver.schema import Schema

_INT_OR_STRING = "x-kubernetes-int-or-string"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_TYPES = ("object", "array", "string", "integer", "number", "boolean")
_LIST_TYPES = ("atomic", "set", "map")
_JUNCTORS = ("allOf", "anyOf", "oneOf")
# These carry meaning of their own, so they must not depend on which branch of a junctor holds.
_OUTSIDE_ONLY = ("description", "type", "default", "additionalProperties", "nullable", "title")
# OpenAPI knows them; definitions must not use them.
_NEVER = ("$ref", "definitions", "dependencies", "id", "patternProperties")
_NAMES = {"name", "generateName"}


def structural_causes(schema: Schema, path: str) -> list[Cause]:
    """Return why a schema is not structural; empty when it is.

    Args:
        schema: of a whole object.
        path: of the schema in its definition.
    """
    causes: list[Cause] = []
    if schema.get("type") != "object":
        causes.append(invalid_value(f"{path}.type", schema.get("type"), "must be object"))
        return causes
    metadata = (schema.get("properties") or {}).get("metadata")
    if isinstance(metadata, dict):
        strange = set(metadata.get("properties") or {}) - _NAMES
        if strange or set(metadata) - {"type", "properties", "description"}:
            why = "must not specify anything other than name and generateName, but metadata is"
            field = f"{path}.properties[metadata]"
            causes.append(forbidden_field(field, f"{why} implicitly specified"))
    return [*causes, *_node(schema, path)]


def _node(node: Any, path: str) -> Iterator[Cause]:
    """Check a node outside of junctors, and everything below it."""
    if not isinstance(node, dict):
        yield invalid_value(path, node, "must be a schema, which is an object")
        return
    yield from (forbidden_field(f"{path}.{key}", f"{key} is not supported")
                for key in _NEVER if key in node)  # fmt: skip
    yield from _type(node, path)
    yield from _members(node, path)
    yield from _list(node, path)
    for at, branch in _branches(node, path):
        yield from _branch(branch, node, at)
    for at, child in _children(node, path):
        yield from _node(child, at)


def _type(node: Schema, path: str) -> Iterator[Cause]:
    kind = node.get("type")
    if node.get(_INT_OR_STRING):
        if kind is not None:
            why = f"must be empty if {_INT_OR_STRING} is true"
            yield invalid_value(f"{path}.type", kind, why)
    elif kind is None:
        if not node.get(_PRESERVE):
            yield required(f"{path}.type", "must not be empty for specified object fields")
    elif kind not in _TYPES:
        yield unsupported_value(f"{path}.type", kind, _TYPES)
    if node.get(_PRESERVE) is False:
        yield invalid_value(f"{path}.{_PRESERVE}", False, "must be true or undefined")
    if node.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden_field(f"{path}.uniqueItems", why)


def _members(node: Schema, path: str) -> Iterator[Cause]:
    extra = node.get("additionalProperties")
    if extra is not None and node.get("properties"):
        why = "additionalProperties and properties are mutual exclusive"
        yield forbidden_field(f"{path}.additionalProperties", why)
    if extra is False:
        why = "additionalProperties cannot be set to false"
        yield forbidden_field(f"{path}.additionalProperties", why)
    if node.get("type") == "array" and not isinstance(node.get("items"), dict):
        yield required(f"{path}.items", "must be specified")


def _list(node: Schema, path: str) -> Iterator[Cause]:
    kind, keys = node.get("x-kubernetes-list-type"), node.get("x-kubernetes-list-map-keys")
    if kind is not None and kind not in _LIST_TYPES:
        yield unsupported_value(f"{path}.x-kubernetes-list-type", kind, _LIST_TYPES)
    if kind is not None and node.get("type") != "array":
        why = "must be array if x-kubernetes-list-type is specified"
        yield invalid_value(f"{path}.type", node.get("type"), why)
    if kind != "map":
        return
    if not keys:
        why = "must not be empty if x-kubernetes-list-type is map"
        yield required(f"{path}.x-kubernetes-list-map-keys", why)
        return
    items = node.get("items") or {}
    for number, key in enumerate(keys):
        declared = (items.get("properties") or {}).get(key)
        if declared is None:
            why = "entries must all be names of item properties"
            yield invalid_value(f"{path}.x-kubernetes-list-map-keys[{number}]", key, why)
        elif key not in (items.get("required") or ()) and "default" not in declared:
            why = (
                "this property is in x-kubernetes-list-map-keys, "
                "so it must have a default or be a required property"
            )
            yield required(f"{path}.items.properties[{key}].default", why)


def _branch(branch: Any, outside: Schema, path: str) -> Iterator[Cause]:
    """Check a branch of a junctor: only about values, and of fields that are declared outside."""
    if not isinstance(branch, dict):
        yield invalid_value(path, branch, "must be a schema, which is an object")
        return
    for key in _OUTSIDE_ONLY:
        # int-or-string is the one type that the documentation itself writes as a junctor.
        if key in branch and not (key == "type" and outside.get(_INT_OR_STRING)):
            yield forbidden_field(f"{path}.{key}", "must be empty to be structural")
    declared = outside.get("properties") or {}
    for name, child in (branch.get("properties") or {}).items():
        if name in declared:
            yield from _branch(child, declared[name], f"{path}.properties[{name}]")
        else:
            field = f"{path.rpartition('.')[0]}.properties[{name}]"
            yield required(field, f"because it is defined in {path}.properties[{name}]")
    if isinstance(branch.get("items"), dict):
        yield from _branch(branch["items"], outside.get("items") or {}, f"{path}.items")
    for at, inner in _branches(branch, path):
        yield from _branch(inner, outside, at)


def _branches(node: Schema, path: str) -> Iterator[tuple[str, Any]]:
    for junctor in _JUNCTORS:
        for number, branch in enumerate(node.get(junctor) or ()):
            yield f"{path}.{junctor}[{number}]", branch
    if "not" in node:
        yield f"{path}.not", node["not"]


def _children(node: Schema, path: str) -> Iterator[tuple[str, Any]]:
    properties = node.get("properties")
    for name, child in properties.items() if isinstance(properties, dict) else ():
        yield f"{path}.properties[{name}]", child
    if isinstance(node.get("additionalProperties"), dict):
        yield f"{path}.additionalProperties", node["additionalProperties"]
    if isinstance(node.get("items"), dict):
        yield f"{path}.items", node["items"]
