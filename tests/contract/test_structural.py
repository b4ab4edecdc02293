"""The checker of structural schemas finds what an API server refuses."""

import pytest

from tests.contract.structural import violations

TEXT = {"type": "string"}


def root(**properties):
    return {"type": "object", "properties": properties}


ITEMS = {"type": "object", "properties": {"name": TEXT}}
MAP = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": ITEMS,
}


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        pytest.param(root(a=TEXT), [], id="good"),
        pytest.param(
            {"properties": {}},
            [".: the root must have the type object", ": a type is missing"],
            id="root",
        ),
        pytest.param(root(a={}), [".a: a type is missing"], id="no type"),
        pytest.param(root(a={"x-kubernetes-preserve-unknown-fields": True}), [], id="anything"),
        pytest.param(root(a={"x-kubernetes-int-or-string": True}), [], id="int or string"),
        pytest.param(
            root(a=TEXT | {"x-kubernetes-int-or-string": True}),
            [".a: x-kubernetes-int-or-string and a type exclude each other"],
            id="int or string with a type",
        ),
        pytest.param(root(a={"$ref": "#/b"} | TEXT), [".a: $ref is not allowed"], id="reference"),
        pytest.param(
            root(a={"type": "array"}), [".a: an array must say what its items are"], id="array"
        ),
        pytest.param(
            root(a={"type": "array", "items": {}}), [".a[]: a type is missing"], id="items"
        ),
        pytest.param(
            root(a={"type": "array", "items": TEXT, "uniqueItems": True}),
            [".a: uniqueItems must not be true"],
            id="unique items",
        ),
        pytest.param(
            root(a=root() | {"additionalProperties": TEXT}),
            [".a: properties and additionalProperties exclude each other"],
            id="both kinds of members",
        ),
        pytest.param(
            root(a={"type": "object", "additionalProperties": {}}),
            [".a.*: a type is missing"],
            id="additional members",
        ),
        pytest.param(
            root() | {"required": ["a"]}, [".a: is required and not declared"], id="required"
        ),
        pytest.param(
            root(a=TEXT) | {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            [".oneOf[1].b: is not declared outside"],
            id="an arm requires what nobody declares",
        ),
        pytest.param(
            root(a=TEXT) | {"anyOf": [{"properties": {"a": TEXT}}]},
            [".anyOf[0].a: type belongs outside"],
            id="a type in an arm",
        ),
        pytest.param(
            root(a=TEXT) | {"not": {"properties": {"b": {"maxLength": 1}}}},
            [".not.b: is not declared outside"],
            id="not",
        ),
        pytest.param(
            root(metadata=root(labels={"type": "object"})),
            [".metadata.labels: only name and generateName may be restricted"],
            id="metadata",
        ),
        pytest.param(root(metadata=root(name=TEXT)), [], id="metadata.name"),
        pytest.param(
            root(a=MAP),
            [".a[].name: a key of a list map must be required or have a default"],
            id="key of a list map",
        ),
        pytest.param(root(a=MAP | {"items": ITEMS | {"required": ["name"]}}), [], id="list map"),
    ],
)
def test_violations(schema, found):
    assert violations(schema) == found
