"""Tables and metadata-only answers: other representations of the same objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.client import TABLE, pod

if TYPE_CHECKING:
    from tests.conformance.client import Json, Namespace

PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


async def _as(ns: Namespace, form: str, *path: str, **query: str) -> Any:
    headers = {"Accept": form}
    answer = await ns.cluster.request("GET", ns.path(*path), query=query, headers=headers)
    return answer.ok()


async def test_the_columns_of_a_custom_resource_are_those_it_declares(
    namespace: Namespace,
) -> None:
    table = await _as(namespace, TABLE, "specimens")
    columns = [
        (column["name"], column["type"], column["priority"])
        for column in table["columnDefinitions"]
    ]
    assert (table["kind"], table["apiVersion"], columns) == (
        "Table",
        "meta.k8s.io/v1",
        [
            ("Name", "string", 0),
            ("Replicas", "integer", 0),
            ("Mode", "string", 0),
            ("Current", "integer", 0),
            ("Word", "string", 1),
            ("Age", "date", 0),
        ],
    ), sources.CRD_COLUMNS
    assert table["columnDefinitions"][0]["format"] == "name", sources.TABLES


async def test_the_cells_of_a_row_have_the_types_of_their_columns(namespace: Namespace) -> None:
    await namespace.create("specimens", "full", {"spec": {"replicas": 3, "word": "abc"}})
    await namespace.create("specimens", "sparse", {"spec": {}})
    table = await _as(namespace, TABLE, "specimens")
    assert [row["cells"][:5] for row in table["rows"]] == [
        ["full", 3, "Open", None, "abc"],
        ["sparse", None, "Open", None, None],
    ], sources.CRD_COLUMNS


@pytest.mark.parametrize(
    ("include", "kind"),
    [
        pytest.param("", "PartialObjectMetadata", id="default"),
        pytest.param("Metadata", "PartialObjectMetadata", id="metadata"),
        pytest.param("Object", "Specimen", id="object"),
        pytest.param("None", None, id="none"),
    ],
)
async def test_a_row_carries_as_much_of_the_object_as_asked(
    namespace: Namespace, include: str, kind: str | None
) -> None:
    await namespace.create("specimens", "game", {"spec": {"word": "abc"}})
    query = {"includeObject": include} if include else {}
    (row,) = (await _as(namespace, TABLE, "specimens", **query))["rows"]
    carried: Json = row.get("object") or {}
    assert (carried.get("kind"), "spec" in carried) == (kind, kind == "Specimen"), sources.TABLES
    if kind is not None:
        assert carried["metadata"]["name"] == "game", sources.TABLES


async def test_one_object_is_a_table_of_one_row(namespace: Namespace) -> None:
    made = await namespace.create("specimens", "game")
    table = await _as(namespace, TABLE, "specimens", "game")
    assert [row["cells"][0] for row in table["rows"]] == ["game"], sources.TABLES
    assert table["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_the_columns_of_pods_are_those_of_kubectl(namespace: Namespace) -> None:
    (await namespace.post("pods", pod())).ok()
    table = await _as(namespace, TABLE, "pods")
    columns = [(column["name"], column["priority"] > 0) for column in table["columnDefinitions"]]
    assert columns == [
        ("Name", False),
        ("Ready", False),
        ("Status", False),
        ("Restarts", False),
        ("Age", False),
        ("IP", True),
        ("Node", True),
        ("Nominated Node", True),
        ("Readiness Gates", True),
    ], sources.POD_PRINTER
    (row,) = table["rows"]
    assert row["cells"][:3] == ["game", "0/1", "Pending"], sources.POD_PRINTER


async def test_a_page_of_a_table_has_a_continue_token(namespace: Namespace) -> None:
    for name in ("a", "b"):
        await namespace.create("specimens", name)
    table = await _as(namespace, TABLE, "specimens", limit="1")
    assert (len(table["rows"]), bool(table["metadata"]["continue"])) == (1, True), sources.TABLES


@pytest.mark.parametrize("plural", ["secrets", "specimens"])
async def test_a_list_can_be_reduced_to_metadata(namespace: Namespace, plural: str) -> None:
    await namespace.create(plural, "game", {"metadata": {"labels": {"a": "b"}}})
    listed = await _as(namespace, PARTIAL_LIST, plural)
    (item,) = listed["items"]
    assert (listed["kind"], listed["apiVersion"]) == (
        "PartialObjectMetadataList",
        "meta.k8s.io/v1",
    ), sources.METADATA_ONLY
    assert (item["kind"], item["metadata"]["labels"], set(item)) == (
        "PartialObjectMetadata",
        {"a": "b"},
        {"kind", "apiVersion", "metadata"},
    ), sources.METADATA_ONLY


async def test_an_object_can_be_reduced_to_metadata(namespace: Namespace) -> None:
    await namespace.create("specimens", "game", {"spec": {"word": "abc"}})
    got = await _as(namespace, PARTIAL, "specimens", "game")
    assert (got["kind"], got["apiVersion"], got["metadata"]["name"], "spec" in got) == (
        "PartialObjectMetadata",
        "meta.k8s.io/v1",
        "game",
        False,
    ), sources.METADATA_ONLY


async def test_a_client_that_reads_both_gets_what_it_names_first(namespace: Namespace) -> None:
    accepted = f"{TABLE},application/json"
    assert (await _as(namespace, accepted, "configmaps"))["kind"] == "Table", sources.TABLES
