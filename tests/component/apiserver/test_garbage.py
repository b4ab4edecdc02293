"""Owner references, namespaces and definitions: what a deletion takes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.component.apiserver.conftest import Api

pytestmark = pytest.mark.component

CONFIG = "/api/v1/namespaces/default/configmaps"
ROOMS = "/apis/test.gamekeeper.dev/v1/namespaces/default/rooms"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def create(api: Api, name: str, *owners: Any, block: bool = False, **metadata: Any) -> Any:
    references = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": block,
        }
        for owner in owners
    ]
    meta = {"name": name, "ownerReferences": references, **metadata}
    return await api.ok("POST", CONFIG, {"metadata": meta})


async def names(api: Api) -> list[str]:
    return [item["metadata"]["name"] for item in (await api.ok("GET", CONFIG))["items"]]


async def test_dependents_follow_their_owner_to_any_depth(api: Api) -> None:
    owner = await create(api, "owner")
    child = await create(api, "child", owner)
    await create(api, "grandchild", child)
    await create(api, "stranger")
    await api.ok("DELETE", f"{CONFIG}/owner")
    assert await names(api) == ["stranger"]


async def test_a_dependent_stays_while_one_owner_lives(api: Api) -> None:
    one, two = await create(api, "one"), await create(api, "two")
    await create(api, "child", one, two)
    await api.ok("DELETE", f"{CONFIG}/one")
    child = await api.ok("GET", f"{CONFIG}/child")
    assert [r["name"] for r in child["metadata"]["ownerReferences"]] == ["two"]
    await api.ok("DELETE", f"{CONFIG}/two")
    assert await names(api) == []


async def test_an_owner_is_meant_by_uid_not_by_name(api: Api) -> None:
    first = await create(api, "owner")
    await api.ok("DELETE", f"{CONFIG}/owner")
    await create(api, "owner")
    await create(api, "child", first)
    assert await names(api) == ["owner"]


async def test_orphans_forget_their_owner(api: Api) -> None:
    owner = await create(api, "owner")
    await create(api, "child", owner)
    await api.ok("DELETE", f"{CONFIG}/owner?propagationPolicy=Orphan")
    assert await names(api) == ["child"]
    child = await api.ok("GET", f"{CONFIG}/child")
    assert "ownerReferences" not in child["metadata"]


async def test_foreground_waits_for_what_blocks(api: Api) -> None:
    owner = await create(api, "owner")
    await create(api, "held", owner, block=True, finalizers=["test.gamekeeper.dev/hold"])
    await create(api, "free", owner)
    marked = await api.ok("DELETE", f"{CONFIG}/owner?propagationPolicy=Foreground")
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert await names(api) == ["held", "owner"]
    await api.patch(f"{CONFIG}/held", {"metadata": {"finalizers": None}})
    assert await names(api) == []


async def test_foreground_without_dependents_ends_at_once(api: Api) -> None:
    await create(api, "owner")
    await api.ok("DELETE", f"{CONFIG}/owner?propagationPolicy=Foreground")
    assert await names(api) == []


async def test_a_namespace_ends_when_its_last_object_has_gone(api: Api) -> None:
    await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "games"}})
    inside = CONFIG.replace("default", "games")
    metadata = {"name": "held", "finalizers": ["test.gamekeeper.dev/hold"]}
    await api.ok("POST", inside, {"metadata": metadata})
    await api.ok("DELETE", "/api/v1/namespaces/games")
    namespace = await api.ok("GET", "/api/v1/namespaces/games")
    assert namespace["status"]["phase"] == "Terminating"
    status, answer = await api.request("POST", inside, {"metadata": {"name": "late"}})
    assert (status, answer["reason"]) == (403, "Forbidden")
    await api.patch(f"{inside}/held", {"metadata": {"finalizers": None}})
    assert (await api.request("GET", "/api/v1/namespaces/games"))[0] == 404


async def test_a_deleted_definition_takes_its_objects_and_its_paths(api: Api) -> None:
    room = {
        "apiVersion": "test.gamekeeper.dev/v1",
        "kind": "Room",
        "metadata": {"name": "lobby", "finalizers": ["test.gamekeeper.dev/hold"]},
        "spec": {"replicas": 1},
    }
    await api.ok("POST", ROOMS, room)
    name = "rooms.test.gamekeeper.dev"
    await api.ok("DELETE", f"{DEFINITIONS}/{name}")
    lobby = await api.ok("GET", f"{ROOMS}/lobby")
    assert "deletionTimestamp" in lobby["metadata"]
    await api.patch(f"{ROOMS}/lobby", {"metadata": {"finalizers": None}})
    assert (await api.request("GET", f"{DEFINITIONS}/{name}"))[0] == 404
    assert (await api.request("GET", ROOMS))[0] == 404


async def test_a_changed_definition_is_served_at_once(api: Api) -> None:
    path = f"{DEFINITIONS}/rooms.test.gamekeeper.dev"
    field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/replicas/minimum"
    status, definition = await api.patch(
        path, [{"op": "replace", "path": field, "value": 5}], "json"
    )
    assert (status, definition["metadata"]["generation"]) == (200, 2)
    room = {"apiVersion": "test.gamekeeper.dev/v1", "kind": "Room", "metadata": {"name": "small"}}
    status, answer = await api.request("POST", ROOMS, {**room, "spec": {"replicas": 1}})
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "spec.replicas")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"metadata": {"name": "other.dev"}}, "metadata.name", id="name"),
        pytest.param({"spec": None}, "spec", id="no-spec"),
        pytest.param({"spec": {"versions": []}}, "spec.versions", id="no-version"),
        pytest.param(
            {"spec": {"versions": [{"name": "v1", "served": True, "storage": True}]}},
            "spec.versions[0].schema.openAPIV3Schema",
            id="no-schema",
        ),
        pytest.param({"spec": {"scope": "Galaxy"}}, "spec.scope", id="scope"),
    ],
)
async def test_a_bad_definition_is_refused(api: Api, change: Any, field: str) -> None:
    stored = await api.ok("GET", f"{DEFINITIONS}/rooms.test.gamekeeper.dev")
    spec = {**stored["spec"], "group": "other.dev"}
    spec["names"] = {"plural": "doors", "kind": "Door"}
    metadata = change.get("metadata", {"name": "doors.other.dev"})
    if "spec" in change:
        spec = None if change["spec"] is None else {**spec, **change["spec"]}
    body = {"metadata": metadata, "spec": spec}
    status, answer = await api.request("POST", DEFINITIONS, body)
    assert (status, [cause["field"] for cause in answer["details"]["causes"]]) == (422, [field])
