"""Definitions of custom resources x accepted or refused. Dry runs: nothing is ever defined."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import rows
from tests.conformance.client import GROUP

if TYPE_CHECKING:
    from tests.conformance.client import Answer, Cluster, Json

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
VERSION = "spec.versions[0]"
# The internal form of a definition hoists what all its versions share to the top, and errors name
# the fields of that form.
SCHEMA = "spec.validation.openAPIV3Schema"


def _definition(spec: Json | None = None) -> Json:
    """Return a definition whose objects have this schema as their spec."""
    schema = {"type": "object", "properties": {"spec": spec or {"type": "object"}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"drafts.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "drafts", "singular": "draft", "kind": "Draft"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


async def _create(cluster: Cluster, definition: Json) -> Answer:
    return await cluster.request("POST", PATH, definition, query={"dryRun": "All"})


@dataclass(frozen=True)
class Draft:
    """The schema of a spec.

    Args:
        id: words.
        source: of the rule.
        spec: the schema.
        causes: reason (without `FieldValue`) and field below the spec's schema; none if accepted.
    """

    id: str
    source: str
    spec: Json
    causes: tuple[tuple[str, str], ...] = ()


def _object(**properties: Any) -> Json:
    return {"type": "object", "properties": properties}


def _ruled(rule: str, **more: Any) -> Json:
    rules = [{"rule": rule, "message": "no", **more}]
    return _object(a={"type": "string", "maxLength": 9, "x-kubernetes-validations": rules})


RULE = "properties[a].x-kubernetes-validations[0]"
DRAFTS = (
    Draft("plain", sources.CRD_STRUCTURAL, _object(a={"type": "string"})),
    Draft("any-type-preserved", sources.CRD_STRUCTURAL,
          _object(a={"x-kubernetes-preserve-unknown-fields": True})),
    Draft("rule", sources.CRD_CEL, _ruled("self.startsWith('a')")),
    Draft("default", sources.CRD_DEFAULTING, _object(a={"type": "string", "default": "b"})),
    Draft("no-type", sources.CRD_STRUCTURAL, _object(a={"description": "typeless"}),
          (("Required", "properties[a].type"),)),
    Draft("type-inside-one-of", sources.CRD_STRUCTURAL,
          {"type": "object", "oneOf": [{"properties": {"a": {"type": "string"}}}]},
          (("Required", "properties[a]"),)),
    Draft("default-out-of-bounds", sources.CRD_DEFAULTING,
          _object(a={"type": "integer", "minimum": 5, "default": 1}),
          (("Invalid", "properties[a].default"),)),
    Draft("rule-syntax", sources.CRD_CEL, _ruled("self ="), (("Invalid", f"{RULE}.rule"),)),
    Draft("rule-of-unknown-field", sources.CRD_CEL, _ruled("self.other == 1"),
          (("Invalid", f"{RULE}.rule"),)),
    Draft("rule-that-is-no-condition", sources.CRD_CEL, _ruled("self + 'a'"),
          (("Invalid", f"{RULE}.rule"),)),
    Draft("rule-of-an-unknown-reason", sources.CRD_CEL,
          _ruled("self == 'a'", reason="Because"), (("NotSupported", f"{RULE}.reason"),)),
    Draft("map-without-keys", sources.CRD_LIST_TYPES,
          _object(a={"type": "array", "x-kubernetes-list-type": "map",
                     "items": _object(b={"type": "string"})}),
          (("Required", "properties[a].x-kubernetes-list-map-keys"),)),
    Draft("unknown-list-type", sources.CRD_LIST_TYPES,
          _object(a={"type": "array", "x-kubernetes-list-type": "bag",
                     "items": {"type": "string"}}),
          (("NotSupported", "properties[a].x-kubernetes-list-type"),)),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(DRAFTS))
async def test_a_schema_is_accepted_or_refused_with_the_place(
    cluster: Cluster, case: Draft
) -> None:
    answer = await _create(cluster, _definition(case.spec))
    where = f"by {case.source}\n{answer.body}"
    if not case.causes:
        assert answer.code == 201, where
        return
    assert answer.outcome == (422, "Invalid"), where
    prefix = f"{SCHEMA}.properties[spec]"
    expected = {(f"FieldValue{why}", f"{prefix}.{field}") for why, field in case.causes}
    assert expected <= answer.causes, where


def _changed(**changes: Any) -> Json:
    definition = deepcopy(_definition())
    for path, value in changes.items():
        *parents, last = path.split("__")
        node: Any = definition
        for step in parents:
            node = node[int(step) if step.isdigit() else step]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return definition


@dataclass(frozen=True)
class Definition:
    """A definition with one thing changed, and the cause that has to be among those named."""

    id: str
    body: Json
    cause: tuple[str, str]


SECOND = {"name": "v2", "served": True, "storage": True,
          "schema": {"openAPIV3Schema": {"type": "object"}}}  # fmt: skip
DEFINITIONS = (
    Definition("name", _changed(metadata__name=f"others.{GROUP}"), ("Invalid", "metadata.name")),
    Definition("scope", _changed(spec__scope="Galaxy"), ("NotSupported", "spec.scope")),
    Definition("no-group", _changed(spec__group=""), ("Required", "spec.group")),
    Definition("no-kind", _changed(spec__names__kind=""), ("Required", "spec.names.kind")),
    Definition(
        "no-schema", _changed(spec__versions__0__schema=None),
        ("Required", f"{VERSION}.schema.openAPIV3Schema"),
    ),
    Definition(
        "no-storage-version", _changed(spec__versions__0__storage=False),
        ("Invalid", "spec.versions"),
    ),
    Definition(
        "two-storage-versions",
        _changed(spec__versions=[_definition()["spec"]["versions"][0], SECOND]),
        ("Invalid", "spec.versions"),
    ),
    Definition(
        "column-path",
        _changed(spec__versions__0__additionalPrinterColumns=[
            {"name": "A", "type": "string", "jsonPath": "spec.a["}
        ]),
        ("Invalid", "spec.additionalPrinterColumns[0].JSONPath"),
    ),
    Definition(
        "column-type",
        _changed(spec__versions__0__additionalPrinterColumns=[
            {"name": "A", "type": "blob", "jsonPath": ".spec.a"}
        ]),
        ("Invalid", "spec.additionalPrinterColumns[0].type"),
    ),
    Definition(
        "scale-path",
        _changed(spec__versions__0__subresources={
            "scale": {"specReplicasPath": ".status.replicas",
                      "statusReplicasPath": ".status.replicas"}
        }),
        ("Invalid", "spec.subresources.scale.specReplicasPath"),
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(DEFINITIONS))
async def test_a_definition_that_contradicts_itself_is_refused(
    cluster: Cluster, case: Definition
) -> None:
    answer = await _create(cluster, case.body)
    where = f"by {sources.CRD_VALIDATION_SOURCE}\n{answer.body}"
    assert answer.outcome == (422, "Invalid"), where
    assert (f"FieldValue{case.cause[0]}", case.cause[1]) in answer.causes, where


async def test_a_served_definition_is_established(cluster: Cluster) -> None:
    answer = await cluster.get(f"{PATH}/specimens.{GROUP}")
    conditions = {c["type"]: c["status"] for c in answer.ok()["status"]["conditions"]}
    assert (conditions["Established"], conditions["NamesAccepted"]) == ("True", "True"), sources.CRD
    assert answer.body["status"]["storedVersions"] == ["v1"], sources.CRD


async def test_discovery_lists_the_resource_and_its_subresources(cluster: Cluster) -> None:
    listed = (await cluster.get(f"/apis/{GROUP}/v1")).ok()
    found = {resource["name"]: resource for resource in listed["resources"]}
    assert set(found) == {"specimens", "specimens/status", "specimens/scale"}, sources.CRD
    own = found["specimens"]
    assert (own["kind"], own["singularName"], own["namespaced"], own["shortNames"]) == (
        "Specimen",
        "specimen",
        True,
        ["spm"],
    ), sources.CRD
    assert set(own["verbs"]) == {
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    }, sources.CRD
    assert set(found["specimens/scale"]["verbs"]) == {"get", "patch", "update"}, sources.CRD_SCALE
