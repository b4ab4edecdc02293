"""Verb x subresource: status, scale, binding, eviction, logs, tokens, and what does not exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, accepted, invalid, matrix, rows
from tests.conformance.client import make, pod

if TYPE_CHECKING:
    from tests.conformance.client import Answer, Json, Namespace

NODE = "conformance-no-such-node"
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


def _binding(name: str = "game", uid: str | None = None) -> Json:
    metadata = {"name": name} | ({"uid": uid} if uid else {})
    target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
    return {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}


async def _bind(ns: Namespace, binding: Json) -> Answer:
    path = ns.path("pods", binding["metadata"]["name"], "binding")
    return await ns.cluster.request("POST", path, binding)


async def test_a_binding_assigns_a_pod_to_a_node_once(namespace: Namespace) -> None:
    (await namespace.post("pods", pod())).ok()
    answer = await _bind(namespace, _binding())
    assert (answer.code, answer.body["status"]) == (201, "Success"), sources.POD_STORAGE
    bound = (await namespace.get("pods", "game")).ok()
    conditions = {c["type"]: c["status"] for c in bound["status"]["conditions"]}
    assert (bound["spec"]["nodeName"], conditions["PodScheduled"]) == (
        NODE,
        "True",
    ), sources.POD_STORAGE
    again = await _bind(namespace, _binding())
    Expected(409, "Conflict", sources.POD_STORAGE).check(again)


BINDINGS: dict[tuple[str, ...], Expected] = {
    ("missing",): Expected(404, "NotFound", sources.POD_STORAGE),
    ("wrong-uid",): Expected(409, "Conflict", sources.POD_STORAGE),
}


@pytest.mark.parametrize(("what", "expected"), matrix(BINDINGS))
async def test_a_binding_of_another_pod_is_refused(
    namespace: Namespace, what: str, expected: Expected
) -> None:
    (await namespace.post("pods", pod())).ok()
    binding = _binding("absent") if what == "missing" else _binding(uid=OTHER_UID)
    expected.check(await _bind(namespace, binding))


async def _evict(ns: Namespace, name: str, options: Json | None = None) -> Answer:
    body: Json = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    if options is not None:
        body["deleteOptions"] = options
    return await ns.cluster.request("POST", ns.path("pods", name, "eviction"), body)


async def test_an_eviction_without_a_budget_deletes_the_pod(namespace: Namespace) -> None:
    (await namespace.post("pods", pod())).ok()
    answer = await _evict(namespace, "game")
    assert (answer.code, answer.body["status"]) == (201, "Success"), sources.EVICTION
    assert (await namespace.get("pods", "game")).code == 404, sources.EVICTION


EVICTIONS: dict[tuple[str, ...], Expected] = {
    ("missing",): Expected(404, "NotFound", sources.EVICTION),
    ("wrong-uid",): Expected(409, "Conflict", sources.EVICTION_STORAGE),
    ("budget",): Expected(
        429, "TooManyRequests", sources.EVICTION, frozenset({("DisruptionBudget", "")})
    ),
}


@pytest.mark.parametrize(("what", "expected"), matrix(EVICTIONS))
async def test_an_eviction_is_refused(namespace: Namespace, what: str, expected: Expected) -> None:
    labels = {"app": "game"}
    (await namespace.post("pods", pod(metadata={"labels": labels}, nodeName=NODE))).ok()
    if what == "budget":
        running = {"status": {"phase": "Running"}}
        (await namespace.patch("merge", "pods", "game/status", running)).ok()
        spec = {"minAvailable": 1, "selector": {"matchLabels": labels}}
        await namespace.create("poddisruptionbudgets", "game", {"spec": spec})
    options = {"preconditions": {"uid": OTHER_UID}} if what == "wrong-uid" else None
    name = "absent" if what == "missing" else "game"
    expected.check(await _evict(namespace, name, options))


async def test_the_log_of_a_pod_without_a_node_is_empty(namespace: Namespace) -> None:
    (await namespace.post("pods", pod())).ok()
    answer = await namespace.get("pods", "game/log")
    assert (answer.code, answer.body) == (204, ""), sources.POD_API


LOGS: dict[tuple[str, ...], dict[str, str]] = {
    ("unknown-container",): {"container": "other"},
    ("no-container-named",): {},
    ("negative-tail",): {"container": "main", "tailLines": "-1"},
}
LOG_REFUSALS: dict[tuple[str, ...], Expected] = {
    ("unknown-container",): Expected(400, "BadRequest", sources.POD_API),
    ("no-container-named",): Expected(400, "BadRequest", sources.POD_API),
    ("negative-tail",): invalid(sources.CORE_VALIDATION, ("Invalid", "tailLines")),
}


@pytest.mark.parametrize(("what", "expected"), matrix(LOG_REFUSALS))
async def test_a_log_request_is_refused(
    namespace: Namespace, what: str, expected: Expected
) -> None:
    containers = [{"name": name, "image": "game"} for name in ("main", "side")]
    (await namespace.post("pods", pod(containers=containers))).ok()
    expected.check(await namespace.get("pods", "game/log", **LOGS[(what,)]))


async def _token(ns: Namespace, account: str, spec: Json) -> Answer:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = ns.path("serviceaccounts", account, "token")
    return await ns.cluster.request("POST", path, body)


async def test_a_token_is_valid_for_its_audience_and_names_its_pod(namespace: Namespace) -> None:
    made = (await namespace.post("pods", pod())).ok()
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "game", "uid": made["metadata"]["uid"]}
    spec = {"audiences": ["game"], "expirationSeconds": 600, "boundObjectRef": reference}
    answer = await _token(namespace, "default", spec)
    assert answer.code == 201, answer.body
    token = answer.body["status"]["token"]
    verdicts = {}
    for audience in ("game", "other"):
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        verdicts[audience] = (await namespace.cluster.request("POST", path, review)).ok()["status"]
    status = verdicts["game"]
    assert (status["authenticated"], status["audiences"], status["user"]["username"]) == (
        True,
        ["game"],
        f"system:serviceaccount:{namespace.name}:default",
    ), sources.TOKEN_REVIEWS
    extra = status["user"]["extra"]
    assert (
        extra["authentication.kubernetes.io/pod-name"],
        extra["authentication.kubernetes.io/pod-uid"],
    ) == (["game"], [made["metadata"]["uid"]]), sources.TOKEN_REVIEWS
    assert verdicts["other"].get("authenticated", False) is False, sources.TOKEN_REVIEWS


TOKENS: dict[tuple[str, ...], Expected] = {
    ("missing-account",): Expected(404, "NotFound", sources.TOKEN_STORAGE),
    ("missing-pod",): Expected(404, "NotFound", sources.TOKEN_STORAGE),
    ("wrong-pod-uid",): Expected(409, "Conflict", sources.TOKEN_STORAGE),
    ("short",): invalid(sources.TOKEN_VALIDATION, ("Invalid", "spec.expirationSeconds")),
    ("endless",): invalid(sources.TOKEN_VALIDATION, ("Invalid", "spec.expirationSeconds")),
}


@pytest.mark.parametrize(("what", "expected"), matrix(TOKENS))
async def test_a_token_request_is_refused(
    namespace: Namespace, what: str, expected: Expected
) -> None:
    (await namespace.post("pods", pod())).ok()
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "game"}
    specs: dict[str, Json] = {
        "missing-account": {},
        "missing-pod": {"boundObjectRef": {**reference, "name": "absent"}},
        "wrong-pod-uid": {"boundObjectRef": {**reference, "uid": OTHER_UID}},
        "short": {"expirationSeconds": 599},
        "endless": {"expirationSeconds": (1 << 32) + 1},
    }
    account = "absent" if what == "missing-account" else "default"
    expected.check(await _token(namespace, account, {"audiences": ["game"], **specs[what]}))


async def test_an_object_made_of_a_scale_is_refused(namespace: Namespace) -> None:
    await _specimen(namespace)
    answer = await namespace.put("specimens", "game/scale", make("specimens", "game"))
    assert answer.code == 400, f"{sources.CUSTOM_HANDLER}\n{answer.body}"
