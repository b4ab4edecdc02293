"""Structural schemas: pruning, defaulting, and the words of refusals."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from localcluster.apiserver.schema import default, prune
from localcluster.apiserver.validation import Validator


def spec_schema(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object whose `spec` has these properties."""
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.mark.parametrize(
    ("schema", "spec", "kept", "removed"),
    [
        pytest.param({"a": {}}, {"a": 1, "b": 2}, {"a": 1}, ["spec.b"], id="unknown"),
        pytest.param(
            {"l": {"type": "array", "items": {"properties": {"a": {}}}}},
            {"l": [{"a": 1, "b": 2}, {"c": 3}]},
            {"l": [{"a": 1}, {}]},
            ["spec.l[0].b", "spec.l[1].c"],
            id="in-a-list",
        ),
        pytest.param(
            {"m": {"additionalProperties": {"properties": {"a": {}}}}},
            {"m": {"any": {"a": 1, "b": 2}}},
            {"m": {"any": {"a": 1}}},
            ["spec.m.any.b"],
            id="map",
        ),
        pytest.param({"o": OPEN}, {"o": {"x": {"y": 1}}}, {"o": {"x": {"y": 1}}}, [], id="open"),
        pytest.param(
            {"o": {**OPEN, "properties": {"in": {"properties": {"a": {}}}}}},
            {"o": {"x": 1, "in": {"a": 1, "b": 2}}},
            {"o": {"x": 1, "in": {"a": 1}}},
            ["spec.o.in.b"],
            id="declared-inside-open",
        ),
        pytest.param(
            {"t": {"x-kubernetes-embedded-resource": True, "properties": {"spec": OPEN}}},
            {"t": {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"a": 1}, "b": 2}},
            {"t": {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"a": 1}}},
            ["spec.t.b"],
            id="embedded",
        ),
        pytest.param({"a": {"properties": {}}}, {"a": "text"}, {"a": "text"}, [], id="wrong-type"),
    ],
)
def test_what_the_schema_does_not_name_is_pruned(
    schema: Any, spec: Any, kept: Any, removed: list[str]
) -> None:
    obj = {"apiVersion": "v1", "kind": "Room", "metadata": {"name": "a"}, "spec": spec}
    expected = {**obj, "spec": kept}
    assert prune(spec_schema(**schema), obj) == removed
    assert obj == expected


@pytest.mark.parametrize(
    ("schema", "spec", "filled"),
    [
        pytest.param({"a": {"default": 1}}, {}, {"a": 1}, id="absent"),
        pytest.param({"a": {"default": 1}}, {"a": 0}, {"a": 0}, id="present"),
        pytest.param({"a": {"default": 1}}, {"a": None}, {"a": 1}, id="null"),
        pytest.param(
            {"a": {"default": 1, "nullable": True}}, {"a": None}, {"a": None}, id="null-is-allowed"
        ),
        pytest.param(
            {"a": {"default": {}, "properties": {"b": {"default": 2}}}},
            {},
            {"a": {"b": 2}},
            id="deep",
        ),
        pytest.param({"a": {"properties": {"b": {"default": 2}}}}, {}, {}, id="no-parent"),
        pytest.param(
            {"l": {"items": {"properties": {"b": {"default": 2}}}}},
            {"l": [{}, {"b": 1}]},
            {"l": [{"b": 2}, {"b": 1}]},
            id="list",
        ),
        pytest.param(
            {"m": {"additionalProperties": {"properties": {"b": {"default": 2}}}}},
            {"m": {"x": {}}},
            {"m": {"x": {"b": 2}}},
            id="map",
        ),
    ],
)
def test_absent_fields_get_their_default(schema: Any, spec: Any, filled: Any) -> None:
    obj = {"spec": spec}
    default(spec_schema(**schema), obj)
    assert obj == {"spec": filled}


def test_objects_do_not_share_a_default() -> None:
    schema = spec_schema(a={"default": {"list": []}})
    one: dict[str, Any] = {"spec": {}}
    two = copy.deepcopy(one)
    default(schema, one)
    default(schema, two)
    one["spec"]["a"]["list"].append(1)
    assert two == {"spec": {"a": {"list": []}}}


INVALID, TYPE = "FieldValueInvalid", "FieldValueTypeInvalid"


@pytest.mark.parametrize(
    ("schema", "value", "cause"),
    [
        pytest.param(
            {"type": "integer", "minimum": 0},
            -1,
            (INVALID, "Invalid value: -1: spec.x in body should be greater than or equal to 0"),
            id="minimum",
        ),
        pytest.param(
            {"type": "integer", "maximum": 5},
            6,
            (INVALID, "Invalid value: 6: spec.x in body should be less than or equal to 5"),
            id="maximum",
        ),
        pytest.param(
            {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
            0,
            (INVALID, "Invalid value: 0: spec.x in body should be greater than 0"),
            id="exclusive-minimum",
        ),
        pytest.param(
            {"type": "integer", "format": "int32"},
            1 << 31,
            (
                INVALID,
                "Invalid value: 2147483648: "
                "spec.x in body should be less than or equal to 2147483647",
            ),
            id="int32",
        ),
        pytest.param(
            {"type": "integer"},
            "3",
            (TYPE, 'Invalid value: "string": spec.x in body must be of type integer: "string"'),
            id="type",
        ),
        pytest.param(
            {"type": "integer"},
            True,
            (TYPE, 'Invalid value: "boolean": spec.x in body must be of type integer: "boolean"'),
            id="boolean-is-no-integer",
        ),
        pytest.param(
            {"type": "string"},
            None,
            (TYPE, 'Invalid value: "null": spec.x in body must be of type string: "null"'),
            id="null",
        ),
        pytest.param(
            {"x-kubernetes-int-or-string": True},
            [],
            (
                TYPE,
                'Invalid value: "array": spec.x in body must be of type integer,string: "array"',
            ),
            id="int-or-string",
        ),
        pytest.param(
            {"type": "string", "enum": ["a", "b"]},
            "c",
            ("FieldValueNotSupported", 'Unsupported value: "c": supported values: "a", "b"'),
            id="enum",
        ),
        pytest.param(
            {"type": "string", "pattern": "^a+$"},
            "b",
            (INVALID, "Invalid value: \"b\": spec.x in body should match '^a+$'"),
            id="pattern",
        ),
        pytest.param(
            {"type": "string", "minLength": 2},
            "b",
            (INVALID, 'Invalid value: "b": spec.x in body should be at least 2 chars long'),
            id="min-length",
        ),
        pytest.param(
            {"type": "string", "maxLength": 2},
            "abc",
            ("FieldValueTooLong", "Too long: may not be more than 2 bytes"),
            id="max-length",
        ),
        pytest.param(
            {"type": "array", "maxItems": 1},
            [1, 2],
            ("FieldValueTooMany", "Too many: 2: must have at most 1 items"),
            id="max-items",
        ),
        pytest.param(
            {"type": "array", "minItems": 1},
            [],
            (INVALID, "Invalid value: []: spec.x in body should have at least 1 items"),
            id="min-items",
        ),
        pytest.param(
            {"type": "string", "format": "date-time"},
            "soon",
            (
                TYPE,
                'Invalid value: "soon": spec.x in body must be of type date-time: "soon"',
            ),
            id="format",
        ),
        pytest.param(
            {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
            "a",
            (INVALID, 'Invalid value: "": "spec.x" must validate at least one schema (anyOf)'),
            id="any-of",
        ),
        pytest.param(
            {"not": {"type": "string"}},
            "a",
            (INVALID, 'Invalid value: "": "spec.x" must not validate the schema (not)'),
            id="not",
        ),
    ],
)
def test_a_bad_value_is_refused_in_the_real_server_s_words(
    schema: Any, value: Any, cause: tuple[str, str]
) -> None:
    (found,) = Validator(spec_schema(x=schema)).causes({"spec": {"x": value}})
    assert (found.type, found.field, found.message) == (cause[0], "spec.x", cause[1])


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param({"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+%$"}, 3, id="int"),
        pytest.param({"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+%$"}, "3%", id="str"),
        pytest.param({"type": "string", "nullable": True, "enum": ["a"]}, None, id="nullable"),
        pytest.param({"type": "string", "format": "unknown-format"}, "x", id="unknown-format"),
        pytest.param(
            {"type": "array", "items": {}, "x-kubernetes-list-type": "atomic"}, [1, 1], id="atomic"
        ),
    ],
)
def test_a_good_value_passes(schema: Any, value: Any) -> None:
    assert Validator(spec_schema(x=schema)).causes({"spec": {"x": value}}) == []


@pytest.mark.parametrize(
    ("schema", "value", "fields"),
    [
        pytest.param(
            {"x-kubernetes-list-type": "set"},
            ["a", "b", "a", "a"],
            ["spec.x[2]", "spec.x[3]"],
            id="set",
        ),
        pytest.param(
            {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"]},
            [{"name": "a", "port": 1}, {"name": "a", "port": 2}, {"name": "a", "port": 1}],
            ["spec.x[2]"],
            id="map",
        ),
        pytest.param(
            {
                "items": {
                    "type": "object",
                    "properties": {"in": {"type": "array", "x-kubernetes-list-type": "set"}},
                }
            },
            [{"in": [1, 1]}],
            ["spec.x[0].in[1]"],
            id="nested",
        ),
    ],
)
def test_repeated_elements_are_duplicates(schema: Any, value: Any, fields: list[str]) -> None:
    causes = Validator(spec_schema(x={"type": "array", **schema})).causes({"spec": {"x": value}})
    assert [(c.type, c.field) for c in causes] == [("FieldValueDuplicate", f) for f in fields]


def test_a_missing_field_is_required_under_its_own_path() -> None:
    schema = spec_schema(x={"type": "object", "required": ["name"]})
    (cause,) = Validator(schema).causes({"spec": {"x": {}}})
    assert (cause.type, str(cause)) == ("FieldValueRequired", "spec.x.name: Required value")
