"""Error kind x body: what a refused request says to the program that sent it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, rows
from tests.conformance.client import GROUP, SPECIMEN, make, pod

if TYPE_CHECKING:
    from tests.conformance.client import Cluster, Json, Namespace

CONFIG = {"name": "game", "kind": "configmaps"}
CUSTOM = {"name": "game", "group": GROUP, "kind": "specimens"}


@dataclass(frozen=True)
class Error:
    """A refused request on the object `game`, which exists.

    Args:
        id: words.
        source: of the rule.
        code: HTTP status.
        reason: of the Status.
        method: of the request.
        plural: kind.
        name: in the path; empty for the collection.
        body: of the request.
        headers: of the request.
        details: name, group and kind in the Status, where they are promised.
    """

    id: str
    source: str
    code: int
    reason: str
    method: str
    plural: str
    name: str = ""
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    details: Json = field(default_factory=dict)


STALE = {"metadata": {"resourceVersion": "1"}}
MERGE = {"Content-Type": "application/merge-patch+json"}
ERRORS = (
    Error("not-found", sources.API_ERRORS, 404, "NotFound", "GET", "configmaps", "absent",
          details={"name": "absent", "kind": "configmaps"}),
    Error("not-found-custom", sources.API_ERRORS, 404, "NotFound", "GET", "specimens", "absent",
          details={**CUSTOM, "name": "absent"}),
    Error("already-exists", sources.API_ERRORS, 409, "AlreadyExists", "POST", "configmaps",
          body=make("configmaps", "game"), details=CONFIG),
    Error("already-exists-custom", sources.API_ERRORS, 409, "AlreadyExists", "POST", "specimens",
          body=make("specimens", "game"), details=CUSTOM),
    Error("conflict", sources.API_ERRORS, 409, "Conflict", "PATCH", "configmaps", "game",
          body=STALE, headers=MERGE, details=CONFIG),
    Error("conflict-custom", sources.API_ERRORS, 409, "Conflict", "PATCH", "specimens", "game",
          body=STALE, headers=MERGE, details=CUSTOM),
    Error("invalid-kind-is-the-kind", sources.API_ERRORS, 422, "Invalid", "POST", "specimens",
          body=make("specimens", "new", {"spec": {"mode": "Ajar"}}),
          details={"name": "new", "group": GROUP, "kind": "Specimen"}),
    Error("body-is-not-json", sources.HANDLER_CREATE, 400, "BadRequest", "POST", "configmaps",
          body=b"{"),
    Error("body-is-not-json-custom", sources.HANDLER_CREATE, 400, "BadRequest", "POST",
          "specimens", body=b"{"),
    Error("body-of-another-kind", sources.HANDLER_CREATE, 400, "BadRequest", "POST", "configmaps",
          body={**make("configmaps", "new"), "kind": "Secret"}),
    Error("body-of-another-version", sources.HANDLER_CREATE, 400, "BadRequest", "POST",
          "specimens", body={**make("specimens", "new"), "apiVersion": f"{GROUP}/v2"}),
    Error("field-of-another-type", sources.HANDLER_CREATE, 400, "BadRequest", "POST",
          "configmaps", body=make("configmaps", "new", {"data": {"a": 1}})),
    Error("pod-field-of-another-type", sources.HANDLER_CREATE, 400, "BadRequest", "POST", "pods",
          body=pod("new", hostNetwork="yes")),
    Error("label-of-another-type", sources.HANDLER_CREATE, 400, "BadRequest", "POST", "specimens",
          body=make("specimens", "new", {"metadata": {"labels": {"a": 1}}})),
    Error("update-of-a-collection", sources.INSTALLER, 405, "MethodNotAllowed", "PUT",
          "configmaps", body=make("configmaps", "game")),
    Error("create-at-a-name", sources.INSTALLER, 405, "MethodNotAllowed", "POST", "configmaps",
          "game", body=make("configmaps", "game")),
    Error("text-as-body", sources.NEGOTIATION, 415, "UnsupportedMediaType", "POST", "configmaps",
          body=b"hello", headers={"Content-Type": "text/plain"}),
    Error("patch-of-no-type", sources.PATCHES, 415, "UnsupportedMediaType", "PATCH", "specimens",
          "game", body={}),
    Error("text-wanted", sources.NEGOTIATION, 406, "NotAcceptable", "GET", "configmaps", "game",
          headers={"Accept": "text/html"}),
    Error("text-wanted-custom", sources.NEGOTIATION, 406, "NotAcceptable", "GET", "specimens",
          "game", headers={"Accept": "text/html"}),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(ERRORS))
async def test_a_refusal_is_a_status_that_says_why(namespace: Namespace, case: Error) -> None:
    await namespace.create(case.plural if case.plural != "pods" else "configmaps", "game")
    path = namespace.path(case.plural, *([case.name] if case.name else []))
    answer = await namespace.cluster.request(case.method, path, case.body, headers=case.headers)
    where = f"by {case.source}\n{answer.body}"
    assert answer.outcome == (case.code, case.reason), where
    status = {key: answer.body[key] for key in ("kind", "apiVersion", "status", "code")}
    assert status == {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": case.code,
    }, where
    details = answer.body.get("details", {})
    assert {key: details.get(key) for key in case.details} == case.details, where


@dataclass(frozen=True)
class Bad:
    """An object that is refused as invalid.

    Args:
        id: words.
        plural: kind.
        body: the object.
        causes: reason (without `FieldValue`) and field of each cause.
    """

    id: str
    plural: str
    body: Json
    causes: frozenset[tuple[str, str]]
    source: str = sources.CORE_VALIDATION


def _bad(name: str, plural: str, body: Json, *causes: tuple[str, str]) -> Bad:
    return Bad(name, plural, body, frozenset(causes))


def _config(**metadata: Any) -> Json:
    return make("configmaps", "game") | {"metadata": {"name": "game", **metadata}}


def _containers(*containers: Json) -> Json:
    return pod(containers=list(containers))


MAIN = {"name": "main", "image": "game"}
BAD = (
    _bad("name", "configmaps", _config(name="A_b"), ("Invalid", "metadata.name")),
    _bad("long-name", "configmaps", _config(name="a" * 254), ("Invalid", "metadata.name")),
    _bad("label-key", "configmaps", _config(labels={"a b": "c"}), ("Invalid", "metadata.labels")),
    _bad("label-value", "configmaps", _config(labels={"a": "-"}), ("Invalid", "metadata.labels")),
    _bad("label-length", "configmaps", _config(labels={"a": "b" * 64}),
         ("Invalid", "metadata.labels")),
    _bad("annotation-key", "configmaps", _config(annotations={"/a": "b"}),
         ("Invalid", "metadata.annotations")),
    _bad("annotation-size", "configmaps", _config(annotations={"a": "b" * 262144}),
         ("TooLong", "metadata.annotations")),
    _bad("finalizer", "configmaps", _config(finalizers=["no slash"]),
         ("Invalid", "metadata.finalizers")),
    _bad("owner-without-uid", "configmaps",
         _config(ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "a"}]),
         ("Invalid", "metadata.ownerReferences.uid")),
    _bad("two-controllers", "configmaps",
         _config(ownerReferences=[
             {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": uid, "controller": True}
             for uid in ("1", "2")
         ]),
         ("Invalid", "metadata.ownerReferences")),
    _bad("config-key", "configmaps", make("configmaps", "game", {"data": {"a b": "c"}}),
         ("Invalid", "data[a b]")),
    _bad("no-containers", "pods", pod(containers=[]), ("Required", "spec.containers")),
    _bad("container-name", "pods", _containers({"name": "A b", "image": "game"}),
         ("Invalid", "spec.containers[0].name")),
    _bad("container-without-name", "pods", _containers({"image": "game"}),
         ("Required", "spec.containers[0].name")),
    _bad("container-without-image", "pods", _containers({"name": "main"}),
         ("Required", "spec.containers[0].image")),
    _bad("container-twice", "pods", _containers(MAIN, MAIN),
         ("Duplicate", "spec.containers[1].name")),
    _bad("restart-policy", "pods", pod(restartPolicy="Sometimes"),
         ("NotSupported", "spec.restartPolicy")),
    _bad("two-faults", "pods",
         _containers({"name": "main"}, {"name": "main", "image": "game"}),
         ("Required", "spec.containers[0].image"), ("Duplicate", "spec.containers[1].name")),
    _bad("custom-name", "specimens",
         make("specimens", "game") | {"metadata": {"name": "A_b"}}, ("Invalid", "metadata.name")),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(BAD))
async def test_an_invalid_object_names_every_field_that_is_wrong(
    namespace: Namespace, case: Bad
) -> None:
    answer = await namespace.post(case.plural, case.body)
    where = f"by {case.source}\n{answer.body}"
    assert answer.outcome == (422, "Invalid"), where
    assert answer.causes == {(f"FieldValue{why}", name) for why, name in case.causes}, where


async def test_a_namespaces_name_is_a_label(cluster: Cluster) -> None:
    body = {"metadata": {"name": "a.b"}}
    answer = await cluster.request("POST", "/api/v1/namespaces", body, query={"dryRun": "All"})
    assert (answer.outcome, answer.causes) == (
        (422, "Invalid"),
        {("FieldValueInvalid", "metadata.name")},
    ), sources.NAMES


async def test_a_token_that_nobody_issued_is_unauthorized(stranger: Cluster) -> None:
    answer = await stranger.request(
        "GET", "/api/v1/namespaces", headers={"Authorization": "Bearer nobody-issued-this"}
    )
    Expected(401, "Unauthorized", sources.AUTHENTICATION).check(answer)
    assert answer.body["kind"] == "Status", sources.AUTHENTICATION


async def test_an_account_without_a_role_is_forbidden(
    namespace: Namespace, stranger: Cluster
) -> None:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = namespace.path("serviceaccounts", "default", "token")
    issued = (await namespace.cluster.request("POST", path, request)).ok()
    headers = {"Authorization": f"Bearer {issued['status']['token']}"}
    path = namespace.path("configmaps")
    answer = await stranger.request("GET", path, headers=headers)
    Expected(403, "Forbidden", sources.RBAC).check(answer)
    assert answer.body["details"] == {"kind": "configmaps"}, sources.RBAC
    user = f'User "system:serviceaccount:{namespace.name}:default"'
    assert user in answer.body["message"], sources.RBAC


@pytest.mark.parametrize(
    "path",
    ["/else/where", "/apis/absent.example.com/v1/things", f"/apis/{SPECIMEN}/absents"],
)
async def test_a_path_that_is_not_served_is_not_found(cluster: Cluster, path: str) -> None:
    assert (await cluster.get(path)).code == 404, sources.API_CONCEPTS
