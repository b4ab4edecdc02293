"""Patch type x kind: what is accepted, what null means, how lists merge, what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, accepted, invalid, matrix, rows
from tests.conformance.client import make, pod

if TYPE_CHECKING:
    from tests.conformance.client import Json, Namespace

UNSUPPORTED = Expected(415, "UnsupportedMediaType", sources.PATCHES)
OTHER_UID = "11111111-2222-3333-4444-555555555555"

ACCEPTED: dict[tuple[str, ...], Expected] = {
    **{
        (form, plural): accepted(sources.PATCHES)
        for form in ("json", "merge", "strategic", "apply")
        for plural in ("configmaps", "pods", "specimens")
    },
    ("strategic", "specimens"): UNSUPPORTED,
    ("application/json", "configmaps"): UNSUPPORTED,
    ("application/json", "specimens"): UNSUPPORTED,
    ("text/plain", "pods"): UNSUPPORTED,
}


async def _start(ns: Namespace, plural: str, fields: Json | None = None) -> Json:
    body = pod() if plural == "pods" else make(plural, "game", fields)
    return dict((await ns.post(plural, body)).ok())


@pytest.mark.parametrize(("form", "plural", "expected"), matrix(ACCEPTED))
async def test_a_kind_takes_its_patch_types(
    namespace: Namespace, form: str, plural: str, expected: Expected
) -> None:
    await _start(namespace, plural)
    labels = {"metadata": {"labels": {"patched": "yes"}}}
    body: Any = labels
    if form == "json":
        body = [{"op": "add", "path": "/metadata/labels", "value": {"patched": "yes"}}]
    elif form == "apply":
        body = json.dumps(make(plural, "game", labels)).encode()
    answer = await namespace.patch(form, plural, "game", body)
    expected.check(answer)
    if expected.code == 200:
        assert answer.body["metadata"]["labels"] == {"patched": "yes"}, expected.source


@dataclass(frozen=True)
class Effect:
    """A patch that is accepted.

    Args:
        id: words.
        source: of the rule.
        form: patch type.
        plural: kind.
        fields: of the object before.
        body: the patch.
        after: these top-level fields of the object, after it.
    """

    id: str
    source: str
    form: str
    plural: str
    fields: Json
    body: Any
    after: Json


# What every specimen with a spec has.
DEFAULTS = {"mode": "Open", "filled": {"port": 80}, "nullableDefault": "given"}
TWO = {"data": {"a": "1", "b": "2"}}
EFFECTS = (
    Effect(
        "merge-null-removes-configmaps", sources.MERGE_PATCH, "merge", "configmaps",
        TWO, {"data": {"a": None}}, {"data": {"b": "2"}},
    ),
    Effect(
        "merge-null-removes-specimens", sources.MERGE_PATCH, "merge", "specimens",
        {"spec": {"word": "abc", "flag": True}}, {"spec": {"word": None}},
        {"spec": {"flag": True, **DEFAULTS}},
    ),
    Effect(
        "merge-null-brings-the-default-back", sources.CRD_DEFAULTING, "merge", "specimens",
        {"spec": {"mode": "Closed"}}, {"spec": {"mode": None}},
        {"spec": DEFAULTS},
    ),
    Effect(
        "merge-null-of-an-absent-key-is-nothing", sources.MERGE_PATCH, "merge", "configmaps",
        TWO, {"data": {"c": None}}, TWO,
    ),
    Effect(
        "strategic-null-removes", sources.STRATEGIC, "strategic", "configmaps",
        TWO, {"data": {"a": None}}, {"data": {"b": "2"}},
    ),
    Effect(
        "strategic-replace-directive", sources.STRATEGIC_DIRECTIVES, "strategic", "configmaps",
        TWO, {"data": {"$patch": "replace", "c": "3"}}, {"data": {"c": "3"}},
    ),
    Effect(
        "json-remove", sources.JSON_PATCH, "json", "configmaps",
        TWO, [{"op": "remove", "path": "/data/a"}], {"data": {"b": "2"}},
    ),
    Effect(
        "json-test-then-replace", sources.JSON_PATCH, "json", "configmaps",
        TWO,
        [
            {"op": "test", "path": "/data/a", "value": "1"},
            {"op": "replace", "path": "/data/a", "value": "3"},
        ],
        {"data": {"a": "3", "b": "2"}},
    ),
    Effect(
        "json-move-and-copy", sources.JSON_PATCH, "json", "configmaps",
        TWO,
        [
            {"op": "move", "from": "/data/a", "path": "/data/c"},
            {"op": "copy", "from": "/data/b", "path": "/data/d"},
        ],
        {"data": {"b": "2", "c": "1", "d": "2"}},
    ),
    Effect(
        "json-escaped-key", sources.JSON_PATCH, "json", "configmaps",
        {"metadata": {"annotations": {"x/y": "1"}}, "data": {"a": "1"}},
        [{"op": "add", "path": "/metadata/annotations/x~1z", "value": "2"},
         {"op": "copy", "from": "/metadata/annotations/x~1z", "path": "/data/a"}],
        {"data": {"a": "2"}},
    ),
    Effect(
        "json-append", sources.JSON_PATCH, "json", "specimens",
        {"spec": {"tags": ["a"]}}, [{"op": "add", "path": "/spec/tags/-", "value": "b"}],
        {"spec": {"tags": ["a", "b"], **DEFAULTS}},
    ),
    Effect(
        "merge-replaces-lists", sources.MERGE_PATCH, "merge", "specimens",
        {"spec": {"entries": [{"name": "a"}, {"name": "b"}]}},
        {"spec": {"entries": [{"name": "c"}]}},
        {"spec": {"entries": [{"name": "c", "value": 1}], **DEFAULTS}},
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(EFFECTS))
async def test_a_patch_does_what_its_type_says(namespace: Namespace, case: Effect) -> None:
    await _start(namespace, case.plural, case.fields)
    patched = (await namespace.patch(case.form, case.plural, "game", case.body)).ok()
    assert {key: patched.get(key) for key in case.after} == case.after, case.source


CONTAINERS = [{"name": "main", "image": "game"}, {"name": "side", "image": "side"}]


async def test_a_strategic_patch_merges_containers_by_name(namespace: Namespace) -> None:
    (await namespace.post("pods", pod(containers=CONTAINERS))).ok()
    body = {"spec": {"containers": [{"name": "side", "image": "side:2"}]}}
    patched = (await namespace.patch("strategic", "pods", "game", body)).ok()
    images = {c["name"]: c["image"] for c in patched["spec"]["containers"]}
    assert images == {"main": "game", "side": "side:2"}, sources.STRATEGIC


async def test_a_merge_patch_of_containers_replaces_the_list(namespace: Namespace) -> None:
    (await namespace.post("pods", pod(containers=CONTAINERS))).ok()
    body = {"spec": {"containers": [{"name": "side", "image": "side:2"}]}}
    answer = await namespace.patch("merge", "pods", "game", body)
    assert answer.outcome == (422, "Invalid"), f"{sources.MERGE_PATCH}\n{answer.body}"


async def test_a_strategic_patch_adds_and_deletes_finalizers(namespace: Namespace) -> None:
    finalizers = ["example.com/a", "example.com/b"]
    await _start(namespace, "configmaps", {"metadata": {"finalizers": finalizers}})
    body = {
        "metadata": {
            "finalizers": ["example.com/c"],
            "$deleteFromPrimitiveList/finalizers": ["example.com/a"],
        }
    }
    patched = (await namespace.patch("strategic", "configmaps", "game", body)).ok()
    assert set(patched["metadata"]["finalizers"]) == {
        "example.com/b",
        "example.com/c",
    }, sources.STRATEGIC_DIRECTIVES


async def test_a_strategic_delete_directive_removes_one_element(namespace: Namespace) -> None:
    (await namespace.post("pods", pod(nodeName="conformance-no-such-node"))).ok()
    conditions = [{"type": kind, "status": "True"} for kind in ("A", "B")]
    body: Json = {"status": {"conditions": conditions}}
    (await namespace.patch("strategic", "pods", "game/status", body)).ok()
    body = {"status": {"conditions": [{"type": "A", "$patch": "delete"}]}}
    patched = (await namespace.patch("strategic", "pods", "game/status", body)).ok()
    kinds = {c["type"] for c in patched["status"]["conditions"]}
    assert ("A" in kinds, "B" in kinds) == (False, True), sources.STRATEGIC_DIRECTIVES


@dataclass(frozen=True)
class Refusal:
    """A patch that is refused, for a kind."""

    id: str
    form: str
    plural: str
    body: Any
    expected: Expected


BAD_REQUEST = Expected(400, "BadRequest", sources.HANDLER_PATCH)
NOT_APPLICABLE = Expected(422, "Invalid", sources.HANDLER_PATCH)
REFUSALS = (
    *(
        Refusal(f"bad-json-{form}-{plural}", form, plural, b"{", BAD_REQUEST)
        for plural, forms in (
            ("configmaps", ("json", "merge", "strategic", "apply")),
            ("specimens", ("json", "merge", "apply")),
        )
        for form in forms
    ),
    *(
        Refusal(f"{name}-{plural}", "json", plural, [operation], NOT_APPLICABLE)
        for plural in ("configmaps", "pods", "specimens")
        for name, operation in (
            ("failed-test", {"op": "test", "path": "/metadata/name", "value": "other"}),
            ("test-of-absent", {"op": "test", "path": "/metadata/labels/a", "value": "b"}),
            ("remove-of-absent", {"op": "remove", "path": "/metadata/labels"}),
            ("replace-of-absent", {"op": "replace", "path": "/absent/field", "value": 1}),
        )
    ),
    Refusal("json-object", "json", "configmaps", {"data": {}}, BAD_REQUEST),
    Refusal("merge-array", "merge", "configmaps", [], BAD_REQUEST),
    Refusal("strategic-array", "strategic", "configmaps", [], BAD_REQUEST),
    Refusal(
        "merge-wrong-type", "merge", "configmaps", {"data": {"a": 1}},
        invalid(sources.HANDLER_PATCH, ("Invalid", "patch")),
    ),
    Refusal(
        "strategic-wrong-type", "strategic", "configmaps", {"data": {"a": 1}},
        invalid(sources.HANDLER_PATCH, ("Invalid", "patch")),
    ),
    *(
        Refusal(
            f"name-{plural}", "merge", plural, {"metadata": {"name": "other"}},
            Expected(400, "BadRequest", sources.HANDLER_PATCH),
        )
        for plural in ("configmaps", "pods", "specimens")
    ),
    Refusal(
        "namespace-configmaps", "merge", "configmaps", {"metadata": {"namespace": "kube-public"}},
        Expected(400, "BadRequest", sources.HANDLER_PATCH),
    ),
    *(
        Refusal(
            f"uid-{plural}", "merge", plural, {"metadata": {"uid": OTHER_UID}},
            invalid(sources.META_VALIDATION, ("Invalid", "metadata.uid")),
        )
        for plural in ("configmaps", "pods", "specimens")
    ),
    Refusal(
        "pod-spec", "strategic", "pods", {"spec": {"hostname": "other"}},
        invalid(sources.POD_UPDATES, ("Forbidden", "spec")),
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", rows(REFUSALS))
async def test_a_patch_is_refused(namespace: Namespace, case: Refusal) -> None:
    before = await _start(namespace, case.plural)
    answer = await namespace.patch(case.form, case.plural, "game", case.body)
    case.expected.check(answer)
    after = (await namespace.get(case.plural, "game")).ok()
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_creation_time_cannot_be_changed(namespace: Namespace) -> None:
    before = await _start(namespace, "configmaps")
    body = {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}}
    after = (await namespace.patch("merge", "configmaps", "game", body)).ok()
    assert after["metadata"]["creationTimestamp"] == before["metadata"]["creationTimestamp"], (
        sources.REST_UPDATE
    )


@pytest.mark.parametrize("image", ["game:2"])
async def test_the_image_of_a_pod_may_change(namespace: Namespace, image: str) -> None:
    await _start(namespace, "pods")
    body = [{"op": "replace", "path": "/spec/containers/0/image", "value": image}]
    patched = (await namespace.patch("json", "pods", "game", body)).ok()
    assert patched["spec"]["containers"][0]["image"] == image, sources.POD_UPDATES
