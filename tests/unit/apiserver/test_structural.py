"""Which schemas a definition may have."""

from typing import Any

import pytest

from localcluster.apiserver.structural import structural_causes
from shared.crds import custom_resource_definitions

TEXT = {"type": "string"}
X = "s.properties[x]"


def with_x(node: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": node}}


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        pytest.param({"type": "string"}, ["s.type"], id="root is no object"),
        pytest.param(with_x({}), [f"{X}.type"], id="no type"),
        pytest.param(with_x({"type": "text"}), [f"{X}.type"], id="unknown type"),
        pytest.param(with_x("string"), [X], id="no schema"),
        pytest.param(with_x({"$ref": "#/a", "type": "string"}), [f"{X}.$ref"], id="reference"),
        pytest.param(
            with_x({"type": "string", "x-kubernetes-int-or-string": True}),
            [f"{X}.type"], id="int-or-string with a type",
        ),
        pytest.param(
            with_x({"type": "object", "x-kubernetes-preserve-unknown-fields": False}),
            [f"{X}.x-kubernetes-preserve-unknown-fields"], id="preserve false",
        ),
        pytest.param(
            with_x({"type": "array", "items": TEXT, "uniqueItems": True}),
            [f"{X}.uniqueItems"], id="unique items",
        ),
        pytest.param(with_x({"type": "array"}), [f"{X}.items"], id="array without items"),
        pytest.param(
            with_x({"type": "object", "properties": {"y": TEXT}, "additionalProperties": TEXT}),
            [f"{X}.additionalProperties"], id="properties and a map",
        ),
        pytest.param(
            with_x({"type": "object", "additionalProperties": False}),
            [f"{X}.additionalProperties"], id="no more properties",
        ),
        pytest.param(
            with_x({"type": "object", "additionalProperties": {}}),
            [f"{X}.additionalProperties.type"], id="map values without type",
        ),
        pytest.param(
            {"type": "object", "oneOf": [{"properties": {"x": {"minLength": 1}}}]},
            ["s.properties[x]"], id="a branch about an undeclared field",
        ),
        pytest.param(
            {**with_x(TEXT), "anyOf": [{"properties": {"x": {"type": "string"}}}]},
            ["s.anyOf[0].properties[x].type"], id="a type in a branch",
        ),
        pytest.param(
            {**with_x(TEXT), "not": {"description": "no"}},
            ["s.not.description"], id="a description in a branch",
        ),
        pytest.param(
            with_x({"type": "string", "x-kubernetes-list-type": "set"}),
            [f"{X}.type"], id="a list type on no list",
        ),
        pytest.param(
            with_x({"type": "array", "items": TEXT, "x-kubernetes-list-type": "bag"}),
            [f"{X}.x-kubernetes-list-type"], id="unknown list type",
        ),
        pytest.param(
            with_x({"type": "array", "items": TEXT, "x-kubernetes-list-type": "map"}),
            [f"{X}.x-kubernetes-list-map-keys"], id="a map list without keys",
        ),
        pytest.param(
            with_x(
                {
                    "type": "array",
                    "items": with_x(TEXT),
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["x", "y"],
                }
            ),
            [f"{X}.items.properties[x].default", f"{X}.x-kubernetes-list-map-keys[1]"],
            id="keys that may be absent or are unknown",
        ),
        pytest.param(
            {"type": "object", "properties": {"metadata": {"type": "object", "properties": {
                "labels": {"type": "object"}}}}},
            ["s.properties[metadata]"], id="metadata beyond the name",
        ),
    ],
)  # fmt: skip
def test_a_schema_that_is_not_structural(schema: dict[str, Any], fields: list[str]) -> None:
    assert [cause.field for cause in structural_causes(schema, "s")] == fields


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(with_x(TEXT), id="typed"),
        pytest.param(with_x({"x-kubernetes-preserve-unknown-fields": True}), id="anything"),
        pytest.param(
            with_x(
                {
                    "x-kubernetes-int-or-string": True,
                    "anyOf": [{"type": "integer"}, {"type": "string"}],
                }
            ),
            id="int-or-string as documented",
        ),
        *(
            pytest.param(
                definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
                id=definition["metadata"]["name"],
            )
            for definition in custom_resource_definitions()
        ),
    ],
)
def test_a_structural_schema(schema: dict[str, Any]) -> None:
    assert structural_causes(schema, "s") == []
