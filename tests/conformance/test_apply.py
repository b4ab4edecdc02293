"""Server-side apply: who owns which field, and who may change it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, invalid
from tests.conformance.client import make

if TYPE_CHECKING:
    from tests.conformance.client import Answer, Json, Namespace


async def apply(
    ns: Namespace, plural: str, fields: Json, manager: str = "one", **query: str
) -> Answer:
    """Apply `game` of a kind with these fields."""
    body = json.dumps(make(plural, "game", fields)).encode()
    return await ns.patch("apply", plural, "game", body, fieldManager=manager, **query)


def owners(obj: Json) -> dict[tuple[str, str, str], Any]:
    """Return the fields by manager, operation and subresource."""
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): entry["fieldsV1"]
        for entry in obj["metadata"].get("managedFields", [])
    }


async def test_apply_creates_what_is_missing_and_then_changes_it(namespace: Namespace) -> None:
    first = await apply(namespace, "configmaps", {"data": {"a": "1"}})
    second = await apply(namespace, "configmaps", {"data": {"a": "2"}})
    assert (first.code, second.code, second.body["data"]) == (201, 200, {"a": "2"}), sources.APPLY


async def test_apply_records_the_fields_of_its_manager(namespace: Namespace) -> None:
    applied = (await apply(namespace, "configmaps", {"data": {"a": "1"}})).ok()
    (entry,) = applied["metadata"]["managedFields"]
    assert {key: value for key, value in entry.items() if key != "time"} == {
        "manager": "one",
        "operation": "Apply",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:a": {}}},
    }, sources.APPLY


async def test_other_writes_are_recorded_as_updates(namespace: Namespace) -> None:
    body = make("specimens", "game", {"spec": {"word": "abc"}})
    (await namespace.post("specimens", body, fieldManager="maker")).ok()
    status = {"status": {"phase": "Ready"}}
    written = (
        await namespace.patch("merge", "specimens", "game/status", status, fieldManager="teller")
    ).ok()
    found = owners(written)
    assert found[("teller", "Update", "status")] == {"f:status": {".": {}, "f:phase": {}}}, (
        sources.APPLY
    )
    assert "f:word" in found[("maker", "Update", "")]["f:spec"], sources.APPLY


async def test_a_field_of_another_manager_is_a_conflict_that_force_settles(
    namespace: Namespace,
) -> None:
    (await apply(namespace, "configmaps", {"data": {"a": "1", "b": "1"}}, "one")).ok()
    refused = await apply(namespace, "configmaps", {"data": {"a": "2"}}, "two")
    conflict = frozenset({("FieldManagerConflict", ".data.a")})
    Expected(409, "Conflict", sources.APPLY, conflict).check(refused)
    forced = (await apply(namespace, "configmaps", {"data": {"a": "2"}}, "two", force="true")).ok()
    assert forced["data"] == {"a": "2", "b": "1"}, sources.APPLY
    assert owners(forced) == {
        ("one", "Apply", ""): {"f:data": {"f:b": {}}},
        ("two", "Apply", ""): {"f:data": {"f:a": {}}},
    }, sources.APPLY


async def test_managers_who_want_the_same_value_share_the_field(namespace: Namespace) -> None:
    (await apply(namespace, "configmaps", {"data": {"a": "1"}}, "one")).ok()
    (await apply(namespace, "configmaps", {"data": {"a": "1"}}, "two")).ok()
    left = (await apply(namespace, "configmaps", {}, "one")).ok()
    assert left["data"] == {"a": "1"}, sources.APPLY
    left = (await apply(namespace, "configmaps", {}, "two")).ok()
    assert left.get("data") is None, sources.APPLY


async def test_what_a_manager_no_longer_applies_is_removed(namespace: Namespace) -> None:
    (await apply(namespace, "configmaps", {"data": {"a": "1", "b": "2"}})).ok()
    applied = (await apply(namespace, "configmaps", {"data": {"b": "2"}})).ok()
    assert applied["data"] == {"b": "2"}, sources.APPLY


async def test_an_applied_list_of_a_map_merges_by_its_key(namespace: Namespace) -> None:
    (await apply(namespace, "specimens", {"spec": {"entries": [{"name": "a"}]}}, "one")).ok()
    second: Json = {"spec": {"entries": [{"name": "b", "value": 2}]}}
    applied = (await apply(namespace, "specimens", second, "two")).ok()
    assert sorted((e["name"], e["value"]) for e in applied["spec"]["entries"]) == [
        ("a", 1),
        ("b", 2),
    ], sources.APPLY
    applied = (await apply(namespace, "specimens", {"spec": {"entries": []}}, "one")).ok()
    assert [e["name"] for e in applied["spec"]["entries"]] == ["b"], sources.APPLY


async def test_an_applied_set_is_the_union_of_its_managers(namespace: Namespace) -> None:
    (await apply(namespace, "specimens", {"spec": {"tags": ["a"]}}, "one")).ok()
    applied = (await apply(namespace, "specimens", {"spec": {"tags": ["b"]}}, "two")).ok()
    assert sorted(applied["spec"]["tags"]) == ["a", "b"], sources.APPLY


async def test_an_update_takes_a_field_from_the_one_who_applied_it(namespace: Namespace) -> None:
    (await apply(namespace, "configmaps", {"data": {"a": "1"}}, "one")).ok()
    change = {"data": {"a": "2"}}
    (await namespace.patch("merge", "configmaps", "game", change, fieldManager="two")).ok()
    refused = await apply(namespace, "configmaps", {"data": {"a": "1"}}, "one")
    conflict = frozenset({("FieldManagerConflict", ".data.a")})
    Expected(409, "Conflict", sources.APPLY, conflict).check(refused)


async def test_applying_the_same_again_writes_nothing(namespace: Namespace) -> None:
    versions = [
        (await apply(namespace, "configmaps", {"data": {"a": "1"}})).ok()["metadata"][
            "resourceVersion"
        ]
        for _ in range(2)
    ]
    assert versions[0] == versions[1], sources.APPLY


async def test_apply_without_a_manager_is_refused(namespace: Namespace) -> None:
    path = namespace.path("configmaps", "game")
    headers = {"Content-Type": "application/apply-patch+yaml"}
    body = json.dumps(make("configmaps", "game")).encode()
    answer = await namespace.cluster.request("PATCH", path, body, headers=headers)
    invalid(sources.OPTIONS_VALIDATION, ("Required", "fieldManager")).check(answer)


async def test_force_is_for_apply_only(namespace: Namespace) -> None:
    await namespace.create("configmaps", "game")
    answer = await namespace.patch("merge", "configmaps", "game", {}, force="true")
    invalid(sources.OPTIONS_VALIDATION, ("Forbidden", "force")).check(answer)


@pytest.mark.parametrize("plural", ["configmaps", "specimens"])
async def test_managed_fields_cannot_be_applied(namespace: Namespace, plural: str) -> None:
    entry = {"manager": "one", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    answer = await apply(namespace, plural, {"metadata": {"managedFields": [entry]}})
    Expected(400, "BadRequest", sources.APPLY).check(answer)


async def test_a_dry_run_of_apply_stores_nothing(namespace: Namespace) -> None:
    answer = await apply(namespace, "configmaps", {"data": {"a": "1"}}, dryRun="All")
    assert answer.code == 201, f"{sources.DRY_RUN}\n{answer.body}"
    assert (await namespace.get("configmaps", "game")).code == 404, sources.DRY_RUN
