"""Verb x precondition: what a write, decided on some state, does when that state is another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, accepted, invalid, matrix
from tests.conformance.client import GROUP, make

if TYPE_CHECKING:
    from tests.conformance.client import Answer, Cluster, Json, Namespace

OTHER_UID = "11111111-2222-3333-4444-555555555555"
CONFLICT = Expected(409, "Conflict", sources.PRECONDITIONS)
STALE = Expected(409, "Conflict", sources.RESOURCE_VERSIONS)
MISSING = Expected(404, "NotFound", sources.STORE)
IMMUTABLE_UID = invalid(sources.META_VALIDATION, ("Invalid", "metadata.uid"))
NO_VERSION = invalid(sources.CUSTOM_STRATEGY, ("Invalid", "metadata.resourceVersion"))
UPDATED = accepted(sources.STORE)
PATCHED = accepted(sources.PATCHES)
CREATED_BY_APPLY = accepted(sources.APPLY, 201)

WRITES: dict[tuple[str, ...], Expected] = {
    ("update", "configmaps", "none"): UPDATED,
    ("update", "configmaps", "right-uid"): UPDATED,
    ("update", "configmaps", "wrong-uid"): CONFLICT,
    ("update", "configmaps", "right-version"): UPDATED,
    ("update", "configmaps", "stale-version"): STALE,
    ("update", "configmaps", "empty-version"): UPDATED,
    ("update", "configmaps", "missing"): MISSING,
    # The precondition is checked against the object that is not there, before its absence is.
    ("update", "configmaps", "missing-with-uid"): CONFLICT,
    ("update", "specimens", "none"): NO_VERSION,
    ("update", "specimens", "right-uid-and-version"): UPDATED,
    ("update", "specimens", "wrong-uid"): CONFLICT,
    ("update", "specimens", "right-version"): UPDATED,
    ("update", "specimens", "stale-version"): STALE,
    ("update", "specimens", "empty-version"): NO_VERSION,
    ("update", "specimens", "missing"): MISSING,
    ("update", "specimens", "missing-with-uid"): CONFLICT,
    **{
        (verb, plural, precondition): expected
        for plural, verbs in (
            ("configmaps", ("json", "merge", "strategic", "apply")),
            ("specimens", ("json", "merge", "apply")),
        )
        for verb in verbs
        for precondition, expected in (
            ("none", PATCHED),
            ("right-uid", PATCHED),
            ("wrong-uid", IMMUTABLE_UID),
            ("right-version", PATCHED),
            ("stale-version", STALE),
            ("missing", CREATED_BY_APPLY if verb == "apply" else MISSING),
        )
    },
    ("merge", "configmaps", "empty-version"): PATCHED,
    ("merge", "specimens", "empty-version"): NO_VERSION,
    ("merge", "configmaps", "missing-with-uid"): MISSING,
    ("apply", "configmaps", "missing-with-uid"): Expected(409, "Conflict", sources.HANDLER_PATCH),
    **{
        ("delete", plural, precondition): expected
        for plural in ("configmaps", "specimens")
        for precondition, expected in (
            ("none", accepted(sources.DELETE_OPTIONS)),
            ("right-uid", accepted(sources.DELETE_OPTIONS)),
            ("wrong-uid", Expected(409, "Conflict", sources.DELETE_OPTIONS)),
            ("empty-uid", Expected(409, "Conflict", sources.REST_DELETE)),
            ("right-version", accepted(sources.DELETE_OPTIONS)),
            ("stale-version", Expected(409, "Conflict", sources.DELETE_OPTIONS)),
            ("missing", MISSING),
            ("missing-with-uid", MISSING),
        )
    },
}


@pytest.mark.parametrize(("verb", "plural", "precondition", "expected"), matrix(WRITES))
async def test_a_write_is_refused_unless_its_precondition_holds(
    namespace: Namespace, verb: str, plural: str, precondition: str, expected: Expected
) -> None:
    first = await namespace.create(plural, "game")
    change = {"metadata": {"labels": {"change": "first"}}}
    second = (await namespace.patch("merge", plural, "game", change)).ok()
    metadata = _metadata(precondition, first["metadata"], second["metadata"])
    name = "absent" if precondition.startswith("missing") else "game"
    expected.check(await _write(namespace, verb, plural, name, metadata))


def _metadata(precondition: str, first: Json, second: Json) -> Json:
    conditions = {
        "right-uid": {"uid": second["uid"]},
        "wrong-uid": {"uid": OTHER_UID},
        "empty-uid": {"uid": ""},
        "missing-with-uid": {"uid": second["uid"]},
        "right-version": {"resourceVersion": second["resourceVersion"]},
        "stale-version": {"resourceVersion": first["resourceVersion"]},
        "empty-version": {"resourceVersion": ""},
        "right-uid-and-version": {
            "uid": second["uid"],
            "resourceVersion": second["resourceVersion"],
        },
    }
    return conditions.get(precondition, {})


async def _write(ns: Namespace, verb: str, plural: str, name: str, metadata: Json) -> Answer:
    labelled = {"labels": {"change": "second"}, **metadata}
    if verb == "delete":
        return await ns.delete(plural, name, {"preconditions": metadata})
    if verb == "update":
        return await ns.put(plural, name, make(plural, name, {"metadata": labelled}))
    body: Any = {"metadata": labelled}
    if verb == "json":
        body = [
            {"op": "replace", "path": f"/metadata/{field}", "value": value}
            for field, value in labelled.items()
        ]
    elif verb == "apply":
        body = make(plural, name, {"metadata": labelled})
        return await ns.patch(verb, plural, name, json.dumps(body).encode(), force="true")
    return await ns.patch(verb, plural, name, body)


GETS: dict[tuple[str, ...], Expected] = {
    ("present", "0"): accepted(sources.LIST_VERSIONS),
    ("present", "current"): accepted(sources.LIST_VERSIONS),
    ("present", "future"): Expected(
        504, "Timeout", sources.LIST_VERSIONS, frozenset({("ResourceVersionTooLarge", "")})
    ),
    ("absent", "0"): Expected(404, "NotFound", sources.LIST_VERSIONS),
    ("absent", "unset"): Expected(404, "NotFound", sources.LIST_VERSIONS),
}


@pytest.mark.parametrize(("name", "version", "expected"), matrix(GETS))
async def test_a_get_may_ask_for_a_state_at_least_this_new(
    namespace: Namespace, name: str, version: str, expected: Expected
) -> None:
    made = await namespace.create("configmaps", "present")
    current = made["metadata"]["resourceVersion"]
    queries = {
        "0": {"resourceVersion": "0"},
        "current": {"resourceVersion": current},
        "future": {"resourceVersion": str(int(current) + 10_000_000)},
        "unset": {},
    }
    # The name is created an instant ago, and "0" may be answered from any cache.
    if version == "0" and name == "present":
        await namespace.get("configmaps", name, resourceVersion=current)
    expected.check(await namespace.get("configmaps", name, **queries[version]))


CREATES: dict[tuple[str, ...], Expected] = {
    ("configmaps", "new-name"): accepted(sources.API_CONCEPTS, 201),
    ("specimens", "new-name"): accepted(sources.API_CONCEPTS, 201),
    ("configmaps", "taken-name"): Expected(409, "AlreadyExists", sources.NAMES),
    ("specimens", "taken-name"): Expected(409, "AlreadyExists", sources.NAMES),
    # No mistake of the client that this layer foresees: it comes back as an unnamed error.
    ("configmaps", "version"): Expected(500, None, sources.ETCD_STORE),
    ("specimens", "version"): Expected(500, None, sources.ETCD_STORE),
    ("configmaps", "uid"): accepted(sources.REST_CREATE, 201),
    ("configmaps", "no-name"): invalid(sources.META_VALIDATION, ("Required", "metadata.name")),
    ("specimens", "no-name"): invalid(sources.META_VALIDATION, ("Required", "metadata.name")),
    ("configmaps", "other-namespace"): Expected(400, "BadRequest", sources.REST_CREATE),
}


@pytest.mark.parametrize(("plural", "what", "expected"), matrix(CREATES))
async def test_a_create_needs_a_free_name_and_no_version(
    namespace: Namespace, plural: str, what: str, expected: Expected
) -> None:
    taken = await namespace.create(plural, "taken")
    metadata: dict[str, Json] = {
        "new-name": {"name": "new"},
        "taken-name": {"name": "taken"},
        "version": {"name": "new", "resourceVersion": taken["metadata"]["resourceVersion"]},
        "uid": {"name": "new", "uid": taken["metadata"]["uid"]},
        "no-name": {},
        "other-namespace": {"name": "new", "namespace": "kube-public"},
    }
    body = make(plural, "new") | {"metadata": metadata[what]}
    answer = await namespace.post(plural, body)
    expected.check(answer)
    if what == "uid":
        assert answer.body["metadata"]["uid"] != taken["metadata"]["uid"]


async def test_a_create_in_an_absent_namespace_names_the_namespace(cluster: Cluster) -> None:
    path = f"/apis/{GROUP}/v1/namespaces/conformance-absent/specimens"
    answer = await cluster.request("POST", path, make("specimens", "game"))
    Expected(404, "NotFound", sources.LIFECYCLE).check(answer)
    assert answer.body["details"] == {"name": "conformance-absent", "kind": "namespaces"}


async def test_a_generated_name_has_the_prefix_and_five_characters(namespace: Namespace) -> None:
    body = make("configmaps", "") | {"metadata": {"generateName": "game-"}}
    names = {(await namespace.post("configmaps", body)).ok()["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5, sources.GENERATED_NAMES
    assert {(name[:5], len(name)) for name in names} == {("game-", 10)}, sources.GENERATED_NAMES


async def test_an_update_whose_name_is_not_the_one_in_the_path_is_refused(
    namespace: Namespace,
) -> None:
    await namespace.create("configmaps", "game")
    answer = await namespace.put("configmaps", "game", make("configmaps", "other"))
    Expected(400, "BadRequest", sources.HANDLER_REST).check(answer)
