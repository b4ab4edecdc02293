"""How a CEL rule sees an object: only what the schema declares, in CEL's types. Pure.

Unknown fields that a schema preserves are invisible to rules, field names that are no CEL names are
escaped, and numbers, times, durations and bytes get the type the schema gives them. NB: lists that
are sets or maps compare in order here, where the real server ignores their order.

Source: https://kubernetes.io/docs/reference/using-api/cel/#escaping and
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

import cel

from localcluster.apiserver.objects import parse_time

if TYPE_CHECKING:
    from localcluster.apiserver.schema import Schema

_KEYWORDS = frozenset(
    {
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for",
        "function", "if", "import", "let", "loop", "package", "namespace", "return",
    }
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Two underscores first, or they would escape the escapes.
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))

_TEXT: Schema = {"type": "string"}
_ROOT_PROPERTIES: dict[str, Schema] = {
    "apiVersion": _TEXT,
    "kind": _TEXT,
    "metadata": {"type": "object", "properties": {"name": _TEXT, "generateName": _TEXT}},
}


def root_schema(schema: Schema) -> Schema:
    """Return the schema of a whole object as rules at its root see it: of metadata, its names."""
    return {**schema, "properties": {**(schema.get("properties") or {}), **_ROOT_PROPERTIES}}


def view(schema: Schema, value: Any) -> Any:
    """Return `value` as a rule on a node with this schema sees it."""
    if isinstance(value, dict):
        properties = schema.get("properties")
        extra = schema.get("additionalProperties")
        if isinstance(properties, dict):
            return {
                escaped(name): view(properties[name], item)
                for name, item in value.items()
                if name in properties and escaped(name)
            }
        if isinstance(extra, dict):
            return {name: view(extra, item) for name, item in value.items()}
        return {}
    if isinstance(value, list):
        items = schema.get("items")
        return [view(items, item) for item in value] if isinstance(items, dict) else []
    return _scalar(schema, value)


def escaped(name: str) -> str:
    """Return the name under which rules reach a property; empty when they cannot."""
    if name in _KEYWORDS:
        return f"__{name}__"
    for character, escape in _ESCAPES:
        name = name.replace(character, escape)
    return name if _NAME.fullmatch(name) else ""


def sample(schema: Schema) -> Any:
    """Return a value that fits a schema's types, with every declared field present.

    Its content means nothing; it is for finding out of what type an expression is.
    """
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties")
        extra = schema.get("additionalProperties")
        if isinstance(properties, dict):
            return {name: sample(child) for name, child in properties.items()}
        return {"a": sample(extra)} if isinstance(extra, dict) else {}
    if kind == "array":
        return [sample(schema.get("items") or {})]
    if schema.get("format") in _SAMPLE_TEXTS:
        return _SAMPLE_TEXTS[schema["format"]]
    return {"integer": 1, "number": 1.0, "boolean": True}.get(str(kind), "a")


def is_dynamic(schema: Schema) -> bool:
    """Return whether a value of no fixed type, such as an int-or-string, is at or below a node."""
    if "type" not in schema:
        return True
    children = [*(schema.get("properties") or {}).values()]
    children += [schema.get("items"), schema.get("additionalProperties")]
    return any(is_dynamic(child) for child in children if isinstance(child, dict))


_SAMPLE_TEXTS = {"date-time": "2000-01-01T00:00:00Z", "duration": "1s", "byte": "YQ=="}
_DURATION = cel.compile("duration(text)")


def _scalar(schema: Schema, value: Any) -> Any:
    if schema.get("type") == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return value
    try:
        match schema.get("format"):
            case "date-time":
                return parse_time(value) or value
            case "duration":
                return _DURATION.execute({"text": value})
            case "byte":
                return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, RuntimeError):
        # Not of its format: validation says so, and a rule sees the text.
        return value
    return value
