"""The verbs over HTTP: conflicts, patches, subresources, deletion, lists."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.component.apiserver.conftest import Api

pytestmark = pytest.mark.component

ROOMS = "/apis/test.gamekeeper.dev/v1/namespaces/default/rooms"
PODS = "/api/v1/namespaces/default/pods"
CONFIG = "/api/v1/namespaces/default/configmaps"


def room(name: str = "lobby", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "test.gamekeeper.dev/v1",
        "kind": "Room",
        "metadata": {"name": name},
        "spec": {"replicas": 1, **spec},
    }


def pod(name: str = "game", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "game:1"}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}


async def test_create_sets_what_only_the_server_knows(api: Api) -> None:
    given = room()
    given["metadata"] |= {
        "uid": "mine",
        "generation": 7,
        "deletionTimestamp": "2020-01-01T00:00:00Z",
    }
    given["status"] = {"replicas": 9}
    made = await api.ok("POST", ROOMS, given)
    metadata = made["metadata"]
    assert metadata.keys() == {
        *("name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion"),
        "managedFields",
    }
    assert (metadata["generation"], metadata["namespace"]) == (1, "default")
    assert metadata["uid"] != "mine"
    assert made["spec"] == {"replicas": 1, "mode": "Open"}
    assert "status" not in made


async def test_generate_name_makes_different_legal_names(api: Api) -> None:
    given = pod()
    given["metadata"] = {"generateName": "game-"}
    names = {(await api.ok("POST", PODS, given))["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("game-") and len(name) == 10 for name in names)


@pytest.mark.parametrize(
    ("path", "body", "code", "reason", "message"),
    [
        pytest.param(
            ROOMS, b"{", 400, "BadRequest",
            "the body of the request is not JSON: Input data was truncated", id="no-json",
        ),
        pytest.param(
            ROOMS, [], 400, "BadRequest",
            "the body of the request is not a JSON object", id="no-object",
        ),
        pytest.param(
            ROOMS, {**room(), "kind": "Lobby"}, 400, "BadRequest",
            "the kind in the data (Lobby) does not match the expected kind (Room)", id="kind",
        ),
        pytest.param(
            ROOMS.replace("default", "absent"), room(), 404, "NotFound",
            'namespaces "absent" not found', id="no-namespace",
        ),
        pytest.param(
            PODS, {"metadata": {"name": "Game"}, "spec": {}}, 422, "Invalid", None, id="name",
        ),
        pytest.param(
            PODS, {"metadata": {"name": "game"}, "spec": {"containers": []}}, 422, "Invalid",
            'Pod "game" is invalid: spec.containers: Required value', id="no-container",
        ),
        pytest.param(
            PODS, pod(serviceAccountName="nobody"), 403, "Forbidden",
            'pods "game" is forbidden: error looking up service account default/nobody: '
            'serviceaccount "nobody" not found', id="no-account",
        ),
        pytest.param(
            CONFIG, {"metadata": {"name": "a"}, "data": {"x": 1}}, 422, "Invalid",
            'ConfigMap "a" is invalid: data.x: Invalid value: 1: '
            "must be a string; put quotes around it", id="number-in-configmap",
        ),
    ],
)  # fmt: skip
async def test_a_bad_creation_is_refused(
    api: Api, path: str, body: Any, code: int, reason: str, message: str | None
) -> None:
    status, answer = await api.request("POST", path, body)
    assert (status, answer["kind"], answer["code"], answer["reason"]) == (
        *(code, "Status", code, reason),
    )
    assert message in (None, answer["message"])


async def test_an_illegal_label_value_is_named(api: Api) -> None:
    given = room()
    given["metadata"]["labels"] = {"state": "not legal"}
    status, answer = await api.request("POST", ROOMS, given)
    assert (status, [cause["field"] for cause in answer["details"]["causes"]]) == (
        *(422, ["metadata.labels"]),
    )


async def test_a_second_creation_already_exists(api: Api) -> None:
    await api.ok("POST", ROOMS, room())
    status, answer = await api.request("POST", ROOMS, room())
    assert (status, answer) == (
        409,
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'rooms.test.gamekeeper.dev "lobby" already exists',
            "reason": "AlreadyExists",
            "details": {"name": "lobby", "group": "test.gamekeeper.dev", "kind": "rooms"},
            "code": 409,
        },
    )


async def test_invalid_fields_come_as_causes(api: Api) -> None:
    status, answer = await api.request(
        "POST", ROOMS, room(replicas="x", mode="Ajar", qualities=[{"name": "a"}, {"name": "a"}])
    )
    assert status == 422
    assert answer["details"]["kind"] == "Room"
    assert {(cause["field"], cause["reason"]) for cause in answer["details"]["causes"]} == {
        ("spec.replicas", "FieldValueTypeInvalid"),
        ("spec.mode", "FieldValueNotSupported"),
        ("spec.qualities[0]", "FieldValueInvalid"),
        ("spec.qualities[1]", "FieldValueInvalid"),
        ("spec.qualities[1]", "FieldValueDuplicate"),
    }


async def test_a_stale_put_conflicts(api: Api) -> None:
    first = await api.ok("POST", ROOMS, room())
    second = await api.ok("PUT", f"{ROOMS}/lobby", {**first, "spec": {"replicas": 2}})
    status, answer = await api.request("PUT", f"{ROOMS}/lobby", {**first, "spec": {"replicas": 3}})
    assert (status, answer["reason"]) == (409, "Conflict")
    assert answer["message"] == (
        'Operation cannot be fulfilled on rooms.test.gamekeeper.dev "lobby": '
        "the object has been modified; "
        "please apply your changes to the latest version and try again"
    )
    assert await api.ok("GET", f"{ROOMS}/lobby") == second


async def test_a_put_of_a_custom_resource_names_its_version(api: Api) -> None:
    await api.ok("POST", ROOMS, room())
    status, answer = await api.request("PUT", f"{ROOMS}/lobby", room(replicas=2))
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")


async def test_a_write_that_changes_nothing_is_no_write(api: Api) -> None:
    made = await api.ok("POST", ROOMS, room())
    assert await api.ok("PUT", f"{ROOMS}/lobby", made) == made
    assert await api.patch(f"{ROOMS}/lobby", {"spec": {"replicas": 1}}) == (200, made)


async def test_generation_counts_the_specification_alone(api: Api) -> None:
    await api.ok("POST", ROOMS, room())
    generations = []
    for path, patch in (
        ("/lobby", {"metadata": {"labels": {"a": "b"}}}),
        ("/lobby/status", {"status": {"replicas": 1}}),
        ("/lobby", {"spec": {"replicas": 2}}),
    ):
        _, answer = await api.patch(f"{ROOMS}{path}", patch)
        generations.append(answer["metadata"]["generation"])
    assert generations == [1, 1, 2]


async def test_status_and_the_rest_are_written_apart(api: Api) -> None:
    await api.ok("POST", ROOMS, room())
    change = {
        "spec": {"replicas": 5},
        "status": {"replicas": 4},
        "metadata": {"labels": {"a": "b"}},
    }
    _, by_status = await api.patch(f"{ROOMS}/lobby/status", change)
    assert (by_status["spec"]["replicas"], by_status["status"]) == (1, {"replicas": 4})
    assert "labels" not in by_status["metadata"]
    _, by_object = await api.patch(f"{ROOMS}/lobby", {"spec": {"replicas": 5}, "status": None})
    assert (by_object["spec"]["replicas"], by_object["status"]) == (5, {"replicas": 4})


async def test_patches_carry_preconditions(api: Api) -> None:
    made = await api.ok("POST", ROOMS, room())
    stale = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 2}}
    other = {"metadata": {"uid": "another"}, "spec": {"replicas": 2}}
    answers = [await api.patch(f"{ROOMS}/lobby", patch) for patch in (stale, other)]
    assert [(code, answer["reason"]) for code, answer in answers] == [
        (409, "Conflict"),
        (422, "Invalid"),
    ]
    assert await api.ok("GET", f"{ROOMS}/lobby") == made


async def test_a_json_patch_with_a_failed_test_is_invalid(api: Api) -> None:
    made = await api.ok("POST", ROOMS, room())
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]},
        {"op": "test", "path": "/spec/mode", "value": "Closed"},
        {"op": "add", "path": "/spec/note", "value": "claimed"},
    ]
    status, answer = await api.patch(f"{ROOMS}/lobby", patch, "json")
    assert (status, answer["reason"]) == (422, "Invalid")
    patch[1]["value"] = "Open"
    status, answer = await api.patch(f"{ROOMS}/lobby", patch, "json")
    assert (status, answer["spec"]["note"]) == (200, "claimed")


async def test_a_strategic_patch_of_a_custom_resource_is_unsupported(api: Api) -> None:
    await api.ok("POST", ROOMS, room())
    status, answer = await api.patch(f"{ROOMS}/lobby", {"spec": {}}, "strategic")
    assert (status, answer["reason"]) == (415, "UnsupportedMediaType")


async def test_dry_run_answers_as_if_and_stores_nothing(api: Api) -> None:
    made = await api.ok("POST", f"{ROOMS}?dryRun=All", room())
    assert made["spec"] == {"replicas": 1, "mode": "Open"}
    assert (await api.request("GET", f"{ROOMS}/lobby"))[0] == 404
    stored = await api.ok("POST", ROOMS, room())
    _, patched = await api.patch(f"{ROOMS}/lobby?dryRun=All", {"spec": {"replicas": 8}})
    assert patched["spec"]["replicas"] == 8
    await api.ok("DELETE", f"{ROOMS}/lobby?dryRun=All")
    assert await api.ok("GET", f"{ROOMS}/lobby") == stored


async def test_scale_reads_and_writes_replicas(api: Api) -> None:
    made = await api.ok("POST", ROOMS, room())
    await api.patch(f"{ROOMS}/lobby/status", {"status": {"replicas": 1, "labelSelector": "a=b"}})
    scale = await api.ok("GET", f"{ROOMS}/lobby/scale")
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        *("Scale", {"replicas": 1}, {"replicas": 1, "selector": "a=b"}),
    )
    stale = {**scale, "metadata": {**scale["metadata"], "resourceVersion": "1"}}
    assert (await api.request("PUT", f"{ROOMS}/lobby/scale", stale))[0] == 409
    status, answer = await api.patch(f"{ROOMS}/lobby/scale", {"spec": {"replicas": -1}})
    assert (status, answer["details"]["causes"][0]["field"]) == (422, "spec.replicas")
    _, scale = await api.patch(f"{ROOMS}/lobby/scale", {"spec": {"replicas": 6}})
    assert scale["spec"] == {"replicas": 6}
    after = await api.ok("GET", f"{ROOMS}/lobby")
    assert after["spec"]["replicas"] == 6
    assert after["metadata"]["uid"] == made["metadata"]["uid"]


async def test_lists_come_in_pages_that_share_a_version(api: Api) -> None:
    for number in range(5):
        await api.ok("POST", CONFIG, {"metadata": {"name": f"map-{number}"}})
    first = await api.ok("GET", f"{CONFIG}?limit=2")
    await api.ok("POST", CONFIG, {"metadata": {"name": "map-2-new"}})
    cursor = first["metadata"]["continue"]
    second = await api.ok("GET", CONFIG, params={"limit": "9", "continue": cursor})
    assert first["metadata"]["remainingItemCount"] == 3
    assert [item["metadata"]["name"] for item in first["items"] + second["items"]] == [
        *("map-0", "map-1", "map-2", "map-3", "map-4"),
    ]
    assert second["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        pytest.param("labelSelector=a==b==c", "unable to parse requirement", id="label"),
        pytest.param("fieldSelector=spec.x=1", "field label not supported: spec.x", id="field"),
        pytest.param("limit=many", "limit: 'many' is not a whole number", id="limit"),
        pytest.param("continue=x", "continue key is not valid", id="continue"),
        pytest.param("watch=1&resourceVersion=x", "resourceVersion: 'x'", id="version"),
    ],
)
async def test_a_bad_list_option_is_named(api: Api, query: str, message: str) -> None:
    status, answer = await api.request("GET", f"{ROOMS}?{query}")
    assert (status, answer["reason"]) == (400, "BadRequest")
    assert answer["message"].startswith(message)


async def test_field_selectors_reach_the_status_of_pods(api: Api) -> None:
    await api.ok("POST", PODS, pod("one", nodeName="n1"))
    await api.ok("POST", PODS, pod("two"))
    query = "fieldSelector=spec.nodeName=n1,status.phase!=Failed"
    listed = await api.ok("GET", f"/api/v1/pods?{query}")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["one"]


async def test_deletion_honours_its_preconditions(api: Api) -> None:
    made = await api.ok("POST", PODS, pod())
    options = {"preconditions": {"uid": "another"}}
    assert (await api.request("DELETE", f"{PODS}/game", options))[0] == 409
    options = {"preconditions": {"uid": made["metadata"]["uid"]}}
    assert (await api.request("DELETE", f"{PODS}/game", options))[0] == 200
    assert (await api.request("GET", f"{PODS}/game"))[0] == 404


async def test_a_bound_pod_is_marked_and_a_second_delete_only_shortens_its_grace(api: Api) -> None:
    await api.ok("POST", PODS, pod(nodeName="n1", terminationGracePeriodSeconds=20))
    graces = []
    for options in ({}, {"gracePeriodSeconds": 60}, {"gracePeriodSeconds": 5}):
        marked = await api.ok("DELETE", f"{PODS}/game", options)
        graces.append(marked["metadata"]["deletionGracePeriodSeconds"])
    assert graces == [20, 20, 5]
    await api.ok("DELETE", f"{PODS}/game", {"gracePeriodSeconds": 0})
    assert (await api.request("GET", f"{PODS}/game"))[0] == 404


async def test_finalizers_hold_an_object_until_the_last_is_removed(api: Api) -> None:
    given = room()
    given["metadata"]["finalizers"] = ["test.gamekeeper.dev/a", "test.gamekeeper.dev/b"]
    await api.ok("POST", ROOMS, given)
    marked = await api.ok("DELETE", f"{ROOMS}/lobby")
    assert (marked["metadata"]["generation"], "deletionTimestamp" in marked["metadata"]) == (
        2,
        True,
    )
    more = {"metadata": {"finalizers": [*given["metadata"]["finalizers"], "test.gamekeeper.dev/c"]}}
    assert (await api.patch(f"{ROOMS}/lobby", more))[0] == 422
    fewer = {"metadata": {"finalizers": ["test.gamekeeper.dev/b"]}}
    assert (await api.patch(f"{ROOMS}/lobby", fewer))[0] == 200
    assert (await api.patch(f"{ROOMS}/lobby", {"metadata": {"finalizers": None}}))[0] == 200
    assert (await api.request("GET", f"{ROOMS}/lobby"))[0] == 404


async def test_deletecollection_deletes_what_is_selected(api: Api) -> None:
    for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
        metadata = {"name": name, "labels": {"group": label}}
        await api.ok("POST", CONFIG, {"metadata": metadata})
    await api.ok("DELETE", f"{CONFIG}?labelSelector=group=x")
    left = await api.ok("GET", CONFIG)
    assert [item["metadata"]["name"] for item in left["items"]] == ["b"]


async def test_binding_assigns_a_node_once(api: Api) -> None:
    await api.ok("POST", PODS, pod())
    binding = {"metadata": {"name": "game"}, "target": {"kind": "Node", "name": "n1"}}
    await api.ok("POST", f"{PODS}/game/binding", binding)
    bound = await api.ok("GET", f"{PODS}/game")
    assert bound["spec"]["nodeName"] == "n1"
    conditions = [(c["type"], c["status"]) for c in bound["status"]["conditions"]]
    assert conditions == [("PodScheduled", "True")]
    assert (await api.request("POST", f"{PODS}/game/binding", binding))[0] == 409


async def test_status_patches_merge_conditions_by_type(api: Api) -> None:
    await api.ok("POST", PODS, pod())
    for kind in ("Ready", "Initialized", "Ready"):
        patch = {"status": {"conditions": [{"type": kind, "status": "True"}]}}
        await api.patch(f"{PODS}/game/status", patch, "strategic")
    stored = await api.ok("GET", f"{PODS}/game")
    assert [c["type"] for c in stored["status"]["conditions"]] == ["Ready", "Initialized"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/apis/test.gamekeeper.dev/v1/doors", id="resource"),
        pytest.param("GET", "/apis/absent.dev/v1", id="group"),
        pytest.param("GET", f"{ROOMS}/lobby/log", id="subresource"),
        pytest.param("GET", "/else/where", id="path"),
    ],
)
async def test_what_is_not_served_is_not_found(api: Api, method: str, path: str) -> None:
    status, answer = await api.request(method, path)
    assert (status, answer["reason"]) == (404, "NotFound")


async def test_a_body_above_the_limit_is_refused(api: Api) -> None:
    status, answer = await api.request("POST", CONFIG, io.BytesIO(b"x" * (4 << 20)))
    assert (status, answer["reason"]) == (413, "RequestEntityTooLarge")
