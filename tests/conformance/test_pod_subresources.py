"""Verb x subresource of pods and of their accounts: binding, eviction, log, token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, invalid, matrix
from tests.conformance.client import pod

if TYPE_CHECKING:
    from tests.conformance.client import Answer, Json, Namespace

NODE = "conformance-no-such-node"
OTHER_UID = "11111111-2222-3333-4444-555555555555"


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
