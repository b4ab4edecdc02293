"""Verb x subresource: status, scale, and what does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, accepted, invalid, matrix, rows
from tests.conformance.client import make, pod

if TYPE_CHECKING:
    from tests.conformance.client import Json, Namespace

OTHER_UID = "11111111-2222-3333-4444-555555555555"


async def _specimen(ns: Namespace) -> Json:
    return await ns.create("specimens", "game", {"spec": {"replicas": 2}})


def _changed(obj: Json, **fields: Any) -> Json:
    return {**obj, **fields}


async def test_a_status_given_at_creation_is_dropped(namespace: Namespace) -> None:
    made = await namespace.create("specimens", "game", {"spec": {}, "status": {"phase": "Ready"}})
    assert "status" not in made, sources.CRD_STATUS


async def test_an_update_keeps_the_status(namespace: Namespace) -> None:
    made = await _specimen(namespace)
    status = {"status": {"phase": "Ready"}}
    made = (await namespace.patch("merge", "specimens", "game/status", status)).ok()
    wanted = _changed(made, status={"phase": "Lost"}, spec={"replicas": 3})
    updated = (await namespace.put("specimens", "game", wanted)).ok()
    assert (updated["status"], updated["spec"]["replicas"]) == (
        {"phase": "Ready"},
        3,
    ), sources.CRD_STATUS


@pytest.mark.parametrize("verb", ["update", "merge", "json"])
async def test_a_status_write_changes_nothing_else(namespace: Namespace, verb: str) -> None:
    made = await _specimen(namespace)
    labels, spec, status = {"a": "b"}, {"replicas": 9}, {"phase": "Ready"}
    if verb == "update":
        wanted = _changed(
            made, spec=spec, status=status, metadata={**made["metadata"], "labels": labels}
        )
        answer = await namespace.put("specimens", "game/status", wanted)
    elif verb == "merge":
        body: Any = {"metadata": {"labels": labels}, "spec": spec, "status": status}
        answer = await namespace.patch("merge", "specimens", "game/status", body)
    else:
        body = [
            {"op": "add", "path": f"/{path}", "value": value}
            for path, value in (("spec", spec), ("status", status), ("metadata/labels", labels))
        ]
        answer = await namespace.patch("json", "specimens", "game/status", body)
    written = answer.ok()
    assert (written["status"], written["spec"], written["metadata"].get("labels")) == (
        status,
        made["spec"],
        None,
    ), sources.CRD_STATUS
    assert written["metadata"]["generation"] == 1, sources.CRD_STATUS


async def test_a_pods_status_write_may_change_labels_but_not_the_spec(
    namespace: Namespace,
) -> None:
    (await namespace.post("pods", pod())).ok()
    change = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"activeDeadlineSeconds": 5},
        "status": {"phase": "Running"},
    }
    written = (await namespace.patch("merge", "pods", "game/status", change)).ok()
    assert (
        written["metadata"].get("labels"),
        written["spec"].get("activeDeadlineSeconds"),
        written["status"]["phase"],
    ) == ({"a": "b"}, None, "Running"), sources.POD_STRATEGY


STATUS_WRITES: dict[tuple[str, ...], Expected] = {
    ("update", "stale-version"): Expected(409, "Conflict", sources.RESOURCE_VERSIONS),
    ("update", "wrong-uid"): Expected(409, "Conflict", sources.PRECONDITIONS),
    ("update", "missing"): Expected(404, "NotFound", sources.STORE),
    ("merge", "missing"): Expected(404, "NotFound", sources.STORE),
    ("merge", "bad-status"): invalid(sources.CRD_STATUS, ("Invalid", "status.replicas")),
    ("create", "existing"): Expected(405, "MethodNotAllowed", sources.CUSTOM_HANDLER),
    ("delete", "existing"): Expected(405, "MethodNotAllowed", sources.CUSTOM_HANDLER),
}


@pytest.mark.parametrize(("verb", "what", "expected"), matrix(STATUS_WRITES))
async def test_a_status_write_is_refused(
    namespace: Namespace, verb: str, what: str, expected: Expected
) -> None:
    made = await _specimen(namespace)
    name = "absent/status" if what == "missing" else "game/status"
    if verb in ("create", "delete"):
        method = {"create": "POST", "delete": "DELETE"}[verb]
        path = namespace.path("specimens", name)
        expected.check(await namespace.cluster.request(method, path, made))
        return
    if verb == "merge":
        bad = {"status": {"replicas": -1 if what == "bad-status" else 1}}
        expected.check(await namespace.patch("merge", "specimens", name, bad))
        return
    metadata = dict(made["metadata"])
    if what == "stale-version":
        await namespace.patch("merge", "specimens", "game", {"spec": {"replicas": 3}})
    elif what == "wrong-uid":
        metadata["uid"] = OTHER_UID
    else:
        del metadata["uid"]
        metadata["name"] = "absent"
    wanted = _changed(made, metadata=metadata, status={"phase": "Ready"})
    expected.check(await namespace.put("specimens", name, wanted))


async def test_scale_shows_wanted_and_actual_replicas_and_the_selector(
    namespace: Namespace,
) -> None:
    made = await _specimen(namespace)
    status = {"status": {"replicas": 1, "labelSelector": "app=game"}}
    made = (await namespace.patch("merge", "specimens", "game/status", status)).ok()
    scale = (await namespace.get("specimens", "game/scale")).ok()
    metadata = scale["metadata"]
    assert (scale["kind"], scale["apiVersion"], scale["spec"], scale["status"]) == (
        "Scale",
        "autoscaling/v1",
        {"replicas": 2},
        {"replicas": 1, "selector": "app=game"},
    ), sources.CRD_SCALE
    assert {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")} == {
        key: made["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")
    }, sources.CRD_SCALE


@dataclass(frozen=True)
class Scaling:
    """A write of `game/scale`.

    Args:
        id: words.
        verb: update, or a patch type.
        body: of a patch; for an update, the replicas.
        expected: the answer.
        replicas: of the object afterwards.
    """

    id: str
    verb: str
    body: Any
    expected: Expected
    replicas: int


SCALINGS = (
    Scaling("update", "update", 5, accepted(sources.CRD_SCALE), 5),
    Scaling("merge", "merge", {"spec": {"replicas": 5}}, accepted(sources.CRD_SCALE), 5),
    Scaling(
        "json",
        "json",
        [{"op": "replace", "path": "/spec/replicas", "value": 0}],
        accepted(sources.CRD_SCALE),
        0,
    ),
    Scaling(
        "strategic",
        "strategic",
        {"spec": {"replicas": 5}},
        Expected(415, "UnsupportedMediaType", sources.CUSTOM_HANDLER),
        2,
    ),
    Scaling("negative", "update", -1, Expected(422, "Invalid", sources.CRD_SCALE), 2),
    # The rule is in the schema of the object, not in Scale.
    Scaling("above-the-maximum", "update", 101, Expected(422, "Invalid", sources.CRD_SCALE), 2),
)


@pytest.mark.parametrize("case", rows(SCALINGS))
async def test_a_scale_write_changes_the_replicas_of_the_spec(
    namespace: Namespace, case: Scaling
) -> None:
    await _specimen(namespace)
    if case.verb == "update":
        scale = (await namespace.get("specimens", "game/scale")).ok()
        wanted = {**scale, "spec": {"replicas": case.body}}
        answer = await namespace.put("specimens", "game/scale", wanted)
    else:
        answer = await namespace.patch(case.verb, "specimens", "game/scale", case.body)
    case.expected.check(answer)
    after = (await namespace.get("specimens", "game")).ok()
    changed = 1 if case.replicas == 2 else 2
    assert (after["spec"]["replicas"], after["metadata"]["generation"]) == (
        case.replicas,
        changed,
    ), case.expected.source


async def test_a_scale_write_decided_on_an_older_version_is_a_conflict(
    namespace: Namespace,
) -> None:
    await _specimen(namespace)
    scale = (await namespace.get("specimens", "game/scale")).ok()
    await namespace.patch("merge", "specimens", "game", {"spec": {"replicas": 3}})
    answer = await namespace.put("specimens", "game/scale", {**scale, "spec": {"replicas": 4}})
    Expected(409, "Conflict", sources.RESOURCE_VERSIONS).check(answer)


ABSENT: dict[tuple[str, ...], Expected] = {
    (plural, subresource): Expected(404, "NotFound", source)
    for plural, subresource, source in (
        ("specimens", "scale", sources.CRD_SCALE),
        ("specimens", "status", sources.CRD_STATUS),
        ("pods", "status", sources.POD_API),
        ("pods", "log", sources.POD_API),
    )
}


@pytest.mark.parametrize(("plural", "subresource", "expected"), matrix(ABSENT))
async def test_a_subresource_of_a_missing_object_is_not_found(
    namespace: Namespace, plural: str, subresource: str, expected: Expected
) -> None:
    expected.check(await namespace.get(plural, f"absent/{subresource}"))


@pytest.mark.parametrize(
    ("plural", "subresource"),
    [("configmaps", "status"), ("configmaps", "scale"), ("specimens", "log"), ("pods", "nothing")],
)
async def test_a_subresource_that_the_kind_lacks_is_not_found(
    namespace: Namespace, plural: str, subresource: str
) -> None:
    assert (await namespace.get(plural, f"game/{subresource}")).code == 404, sources.INSTALLER


async def test_an_object_made_of_a_scale_is_refused(namespace: Namespace) -> None:
    await _specimen(namespace)
    answer = await namespace.put("specimens", "game/scale", make("specimens", "game"))
    assert answer.code == 400, f"{sources.CUSTOM_HANDLER}\n{answer.body}"
