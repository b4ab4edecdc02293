"""Validation against a structural schema, reported in the words of the real API server. Pure.

The JSON-schema library finds what is wrong; this module translates the schema into plain JSON
Schema first and each finding into a `Cause` afterwards. What JSON Schema cannot say is checked
after it: lists that are sets or maps here, the CEL rules in cel_rules.py.

Source: k8s.io/apiextensions-apiserver pkg/apiserver/validation (causes) and go-openapi/errors
(messages).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import jsonschema_rs

from localcluster.apiserver import cel_rules
from localcluster.apiserver.errors import (
    Cause,
    duplicate,
    invalid_value,
    required,
    shown,
    unsupported_value,
)
from localcluster.apiserver.objects import Object, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from localcluster.apiserver.schema import Schema

# Keywords that mean the same in JSON Schema draft 4, whose exclusiveMinimum is a flag as in OpenAPI
# 3.0.
_SAME_KEYWORDS = frozenset(
    {
        "type",
        "format",
        "enum",
        "required",
        "pattern",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
    }
)
Sentence: TypeAlias = "Callable[[Any, object], str]"
"""Kind of an error and the bad value -> what the value should be."""

_INT32 = (-(2**31), 2**31 - 1)


# Findings after which rules would see values of the wrong shape.
_BLOCKING = frozenset(
    {"FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"}
)
_RULES_SKIPPED = Cause(
    "FieldValueInvalid",
    "<nil>",
    'Invalid value: "null": some validation rules were not checked because the object was '
    "invalid; correct the existing errors to complete validation",
)


class Validator:
    """A structural schema and its rules, compiled once per served version.

    Args:
        schema: structural.
        path: of the schema in its definition, for `rule_causes`.

    Attributes:
        rule_causes: what is wrong with rules that do not compile.

    Raises:
        ValueError: something in the schema that the library cannot compile.
    """

    def __init__(self, schema: Schema, path: str = "openAPIV3Schema") -> None:
        self._schema = schema
        self._rules, self.rule_causes = cel_rules.compile_rules(schema, path)
        # RegexOptions is the linear-time engine: the dialect of Go's RE2, without look-around.
        self._compiled = jsonschema_rs.Draft4Validator(
            plain(schema),
            validate_formats=True,
            ignore_unknown_formats=True,
            pattern_options=jsonschema_rs.RegexOptions(),
        )

    def causes(self, obj: Object, old: Object | None = None) -> list[Cause]:
        """Return everything wrong with `obj`, or with the change from `old`; empty when valid."""
        found = [_cause(error) for error in self._compiled.iter_errors(obj)]
        found += _list_causes(self._schema, obj, "")
        if self._rules is not None:
            if any(cause.type in _BLOCKING for cause in found):
                found.append(_RULES_SKIPPED)
            else:
                before = cel_rules.ABSENT if old is None else old
                found += cel_rules.check(self._rules, obj, before)
        return list(dict.fromkeys(found))


def plain(schema: Schema) -> dict[str, Any]:
    """Return a structural schema as JSON Schema draft 4: no extensions, no defaults."""
    result: dict[str, Any] = {k: v for k, v in schema.items() if k in _SAME_KEYWORDS}
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    if schema.get("format") == "int32" and result.get("type") == "integer":
        result["minimum"] = max(_INT32[0], result.get("minimum", _INT32[0]))
        result["maximum"] = min(_INT32[1], result.get("maximum", _INT32[1]))
    if schema.get("nullable") and "type" in result:
        types = result["type"] if isinstance(result["type"], list) else [result["type"]]
        result["type"] = [*types, "null"]
        if "enum" in result:
            result["enum"] = [*result["enum"], None]
    if "properties" in schema:
        result["properties"] = {k: plain(v) for k, v in schema["properties"].items()}
    for key in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(key), dict):
            result[key] = plain(schema[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in schema:
            result[key] = [plain(branch) for branch in schema[key]]
    return result


def field_path(steps: list[str | int]) -> str:
    """Return a JSON pointer's steps as Kubernetes writes paths: `spec.serviceQualities[0].exec`."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


def _cause(error: jsonschema_rs.ValidationError) -> Cause:
    path = field_path(error.instance_path)
    # Each keyword's kind has attributes of its own, which the library's types leave out.
    kind: Any = error.kind
    name = kind.name
    if name == "required":
        missing = kind.property
        return required(f"{path}.{missing}" if path else str(missing))
    if name == "type":
        return _type_cause(path, kind.types, error.instance)
    if name == "enum":
        options = [option for option in kind.options if option is not None]
        return unsupported_value(path, error.instance, options)
    if name == "maxLength":
        return Cause(
            "FieldValueTooLong", path, f"Too long: may not be more than {kind.limit} bytes"
        )
    if name == "format":
        # To the real server a format is a finer type.
        why = f"{path} in body must be of type {kind.format}: {shown(error.instance)}"
        return Cause(
            "FieldValueTypeInvalid", path, f"Invalid value: {shown(error.instance)}: {why}"
        )
    if name in ("maxItems", "maxProperties"):
        count, limit = _length(error.instance), kind.limit
        return Cause(
            "FieldValueTooMany", path, f"Too many: {count}: must have at most {limit} items"
        )
    if name in _COMPOSED:
        sentence = _COMPOSED[name]
        if isinstance(kind, jsonschema_rs.ValidationErrorKind.OneOfMultipleValid):
            sentence = _SEVERAL_VALID.format(sum(not errors for errors in kind.context))
        # The real server does not print the value here: it may be a whole object.
        return invalid_value(path, "", f'"{path}" {sentence}')
    words = _SENTENCES.get(name)
    if words is None:
        return invalid_value(path, error.instance, f"{path} in body: {error.message}")
    return invalid_value(path, error.instance, f"{path} in body {words(kind, error.instance)}")


def _length(value: object) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _type_cause(path: str, types: list[str], value: object) -> Cause:
    wanted = ",".join(name for name in types if name != "null")
    actual = _type_name(value)
    return Cause(
        "FieldValueTypeInvalid",
        path,
        f'Invalid value: "{actual}": {path} in body must be of type {wanted}: "{actual}"',
    )


_COMPOSED = {
    "oneOf": "must validate one and only one schema (oneOf). Found none valid",
    "anyOf": "must validate at least one schema (anyOf)",
    "not": "must not validate the schema (not)",
}
# The library names this as it names the case of none.
_SEVERAL_VALID = "must validate one and only one schema (oneOf). Found {} valid alternatives"


def _bound(words: str, exclusive_words: str) -> Sentence:
    # In draft 4 an exclusive bound comes under the same keyword; the value tells which it was.
    def sentence(kind: Any, value: object) -> str:
        return f"should be {exclusive_words if value == kind.limit else words} {kind.limit}"

    return sentence


_SENTENCES: dict[str, Sentence] = {
    "minimum": _bound("greater than or equal to", "greater than"),
    "maximum": _bound("less than or equal to", "less than"),
    "exclusiveMinimum": _bound("greater than", "greater than"),
    "exclusiveMaximum": _bound("less than", "less than"),
    "multipleOf": lambda kind, _: f"should be a multiple of {kind.multiple_of}",
    "minLength": lambda kind, _: f"should be at least {kind.limit} chars long",
    "pattern": lambda kind, _: f"should match '{kind.pattern}'",
    "minItems": lambda kind, _: f"should have at least {kind.limit} items",
    "uniqueItems": lambda _kind, _value: "shouldn't contain duplicates",
    "minProperties": lambda kind, _: f"should have at least {kind.limit} properties",
}


def _type_name(value: object) -> str:
    # bool is an int in Python, so it is asked first.
    for kind, name in (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    ):
        if isinstance(value, kind):
            return name
    return "null"


def _list_causes(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    """Yield repeated elements of lists declared as sets or maps, at every depth."""
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for name, child in value.items():
            declared = properties.get(name, extra)
            if isinstance(declared, dict):
                yield from _list_causes(declared, child, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        items = schema.get("items")
        seen: set[bytes] = set()
        for index, item in enumerate(value):
            identity = _identity(schema, item)
            if identity is not None:
                encoded = encode(identity)
                if encoded in seen:
                    yield duplicate(f"{path}[{index}]", identity)
                seen.add(encoded)
            if isinstance(items, dict):
                yield from _list_causes(items, item, f"{path}[{index}]")


def _identity(schema: Schema, item: Any) -> Any:
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        return item
    if kind == "map" and isinstance(item, dict):
        return {key: item.get(key) for key in schema.get("x-kubernetes-list-map-keys") or []}
    return None
