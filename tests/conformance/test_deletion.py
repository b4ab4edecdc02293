"""Deletion x result: grace periods, propagation, finalizers, collections and namespaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, accepted, invalid, matrix, rows
from tests.conformance.client import make, pod, until

if TYPE_CHECKING:
    from tests.conformance.client import Json, Namespace

# No kubelet confirms the end of a pod that is on this node, so it stays until its grace is 0.
NODE = "conformance-no-such-node"
OTHER_UID = "11111111-2222-3333-4444-555555555555"


@dataclass(frozen=True)
class Grace:
    """A pod that is deleted one or more times.

    Args:
        id: words.
        source: of the rule.
        asked: gracePeriodSeconds of each delete; None for none.
        left: deletionGracePeriodSeconds after each; None when the pod is gone.
        node: whether the pod has one.
    """

    id: str
    source: str
    asked: tuple[int | None, ...]
    left: tuple[int | None, ...]
    node: bool = True


GRACES = (
    Grace("default", sources.POD_TERMINATION, (None,), (20,)),
    Grace("zero", sources.POD_TERMINATION, (0,), (None,)),
    Grace("shorter", sources.POD_TERMINATION, (5,), (5,)),
    Grace("longer", sources.DELETE_OPTIONS, (60,), (60,)),
    # A negative grace means the shortest wait that still lets the kubelet act.
    Grace("negative", sources.REST_DELETE, (-1,), (1,)),
    Grace("second-shortens", sources.REST_DELETE, (None, 5), (20, 5)),
    Grace("second-never-lengthens", sources.REST_DELETE, (None, 60), (20, 20)),
    Grace("second-default-changes-nothing", sources.REST_DELETE, (5, None), (5, 5)),
    Grace("second-forces", sources.POD_TERMINATION, (None, 0), (20, None)),
    Grace("no-node-default", sources.POD_STRATEGY, (None,), (None,), node=False),
    Grace("no-node-long", sources.POD_STRATEGY, (60,), (None,), node=False),
)


@pytest.mark.parametrize("case", rows(GRACES))
async def test_a_pod_waits_for_its_grace_period(namespace: Namespace, case: Grace) -> None:
    spec = {"terminationGracePeriodSeconds": 20} | ({"nodeName": NODE} if case.node else {})
    (await namespace.post("pods", pod(**spec))).ok()
    left: list[int | None] = []
    for seconds in case.asked:
        options = {} if seconds is None else {"gracePeriodSeconds": seconds}
        answer = await namespace.delete("pods", "game", options)
        assert (answer.code, answer.body["kind"]) == (200, "Pod"), sources.POD_API
        found = await namespace.get("pods", "game")
        metadata = found.body["metadata"] if found.code == 200 else {}
        assert bool(metadata) == ("deletionTimestamp" in metadata), case.source
        left.append(metadata.get("deletionGracePeriodSeconds"))
    assert tuple(left) == case.left, case.source


async def test_a_pod_that_ended_is_deleted_at_once(namespace: Namespace) -> None:
    (await namespace.post("pods", pod(nodeName=NODE))).ok()
    status = {"status": {"phase": "Succeeded"}}
    (await namespace.patch("merge", "pods", "game/status", status)).ok()
    (await namespace.delete("pods", "game")).ok()
    assert (await namespace.get("pods", "game")).code == 404, sources.POD_STRATEGY


ANSWERS: dict[tuple[str, ...], str] = {
    ("configmaps",): "Status",
    ("secrets",): "Status",
    ("specimens",): "Status",
    ("poddisruptionbudgets",): "Status",
    ("pods",): "Pod",
    ("services",): "Service",
    ("serviceaccounts",): "ServiceAccount",
}


@pytest.mark.parametrize(("plural", "kind"), [(key[0], kind) for key, kind in ANSWERS.items()])
async def test_a_delete_answers_with_a_status_or_the_last_state(
    namespace: Namespace, plural: str, kind: str
) -> None:
    fields = {"spec": {"ports": [{"port": 80}]}} if plural == "services" else {}
    body = pod() if plural == "pods" else make(plural, "game", fields)
    made = (await namespace.post(plural, body)).ok()
    answer = await namespace.delete(plural, "game")
    source = sources.POD_API if kind != "Status" else sources.CONFIG_MAP_API
    assert (answer.code, answer.body["kind"]) == (200, kind), source
    if kind == "Status":
        details = answer.body["details"]
        assert (answer.body["status"], details["name"], details["kind"], details["uid"]) == (
            "Success",
            "game",
            plural,
            made["metadata"]["uid"],
        ), source


def _owned_by(*owners: Json, block: bool | None = None) -> Json:
    references = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **({} if block is None else {"blockOwnerDeletion": block}),
        }
        for owner in owners
    ]
    return {"metadata": {"ownerReferences": references}}


@pytest.mark.parametrize("policy", [None, "Background", "Foreground"])
async def test_dependents_go_with_their_owner(namespace: Namespace, policy: str | None) -> None:
    owner = await namespace.create("configmaps", "owner")
    await namespace.create("configmaps", "dependent", _owned_by(owner, block=True))
    options = {} if policy is None else {"propagationPolicy": policy}
    (await namespace.delete("configmaps", "owner", options)).ok()
    if policy != "Foreground":
        assert (await namespace.get("configmaps", "owner")).code == 404, sources.GARBAGE
    await namespace.gone("configmaps", "dependent")
    await namespace.gone("configmaps", "owner")


async def test_a_foreground_owner_waits_for_its_blocking_dependents(namespace: Namespace) -> None:
    owner = await namespace.create("configmaps", "owner")
    fields = _owned_by(owner, block=True)
    fields["metadata"]["finalizers"] = ["example.com/hold"]
    await namespace.create("configmaps", "dependent", fields)
    marked = (
        await namespace.delete("configmaps", "owner", {"propagationPolicy": "Foreground"})
    ).ok()
    assert (marked["metadata"]["finalizers"], "deletionTimestamp" in marked["metadata"]) == (
        ["foregroundDeletion"],
        True,
    ), sources.GARBAGE

    async def dependent_is_marked() -> bool:
        found = (await namespace.get("configmaps", "dependent")).ok()
        return "deletionTimestamp" in found["metadata"]

    await until(dependent_is_marked)
    assert (await namespace.get("configmaps", "owner")).code == 200, sources.GARBAGE
    await namespace.patch("merge", "configmaps", "dependent", {"metadata": {"finalizers": None}})
    await namespace.gone("configmaps", "owner")


async def test_a_foreground_owner_does_not_wait_for_dependents_that_do_not_block(
    namespace: Namespace,
) -> None:
    owner = await namespace.create("configmaps", "owner")
    fields = _owned_by(owner, block=False)
    fields["metadata"]["finalizers"] = ["example.com/hold"]
    await namespace.create("configmaps", "dependent", fields)
    (await namespace.delete("configmaps", "owner", {"propagationPolicy": "Foreground"})).ok()
    await namespace.gone("configmaps", "owner")
    assert (await namespace.get("configmaps", "dependent")).code == 200, sources.GARBAGE


async def test_an_orphaned_dependent_stays_and_forgets_its_owner(namespace: Namespace) -> None:
    owner = await namespace.create("configmaps", "owner")
    await namespace.create("configmaps", "dependent", _owned_by(owner))
    (await namespace.delete("configmaps", "owner", {"propagationPolicy": "Orphan"})).ok()
    await namespace.gone("configmaps", "owner")
    left = (await namespace.get("configmaps", "dependent")).ok()["metadata"]
    assert ("ownerReferences" in left, "deletionTimestamp" in left) == (
        False,
        False,
    ), sources.GARBAGE


async def test_a_dependent_of_an_absent_owner_goes(namespace: Namespace) -> None:
    absent = {"metadata": {"name": "absent", "uid": OTHER_UID}}
    await namespace.create("configmaps", "dependent", _owned_by(absent))
    await namespace.gone("configmaps", "dependent")
    assert (await namespace.get("configmaps", "dependent")).code == 404, sources.GARBAGE


async def test_a_dependent_of_an_owner_with_another_uid_goes(namespace: Namespace) -> None:
    owner = await namespace.create("configmaps", "owner")
    recreated = {"metadata": {**owner["metadata"], "uid": OTHER_UID}}
    await namespace.create("configmaps", "dependent", _owned_by(recreated))
    await namespace.gone("configmaps", "dependent")
    assert (await namespace.get("configmaps", "owner")).code == 200, sources.GARBAGE


async def test_a_dependent_of_two_owners_stays_with_the_other_one(namespace: Namespace) -> None:
    owners = [await namespace.create("configmaps", name) for name in ("one", "two")]
    await namespace.create("configmaps", "dependent", _owned_by(*owners))
    (await namespace.delete("configmaps", "one")).ok()

    async def references() -> bool:
        left = (await namespace.get("configmaps", "dependent")).ok()["metadata"]
        return [reference["name"] for reference in left["ownerReferences"]] == ["two"]

    await until(references)
    assert (await namespace.get("configmaps", "two")).code == 200, sources.GARBAGE


@pytest.mark.parametrize("plural", ["configmaps", "specimens"])
async def test_a_finalizer_holds_an_object_until_it_is_removed(
    namespace: Namespace, plural: str
) -> None:
    fields = {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}
    await namespace.create(plural, "game", fields)
    marked = (await namespace.delete(plural, "game")).ok()
    assert (marked["kind"] != "Status", "deletionTimestamp" in marked["metadata"]) == (
        True,
        True,
    ), sources.FINALIZERS
    again = (await namespace.delete(plural, "game")).ok()
    assert again["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    for finalizers in (["example.com/b"], None):
        assert (await namespace.get(plural, "game")).code == 200, sources.FINALIZERS
        change = {"metadata": {"finalizers": finalizers}}
        (await namespace.patch("merge", plural, "game", change)).ok()
    assert (await namespace.get(plural, "game")).code == 404, sources.FINALIZERS


async def test_a_marked_object_takes_no_new_finalizer(namespace: Namespace) -> None:
    await namespace.create("specimens", "game", {"metadata": {"finalizers": ["example.com/a"]}})
    await namespace.delete("specimens", "game")
    change = {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}
    answer = await namespace.patch("merge", "specimens", "game", change)
    invalid(sources.FINALIZERS, ("Forbidden", "metadata.finalizers")).check(answer)


async def test_a_deletion_mark_cannot_be_taken_back(namespace: Namespace) -> None:
    await namespace.create("configmaps", "game", {"metadata": {"finalizers": ["example.com/a"]}})
    await namespace.delete("configmaps", "game")
    change = {"metadata": {"deletionTimestamp": None, "deletionGracePeriodSeconds": None}}
    left = (await namespace.patch("merge", "configmaps", "game", change)).ok()
    assert "deletionTimestamp" in left["metadata"], sources.REST_UPDATE


OPTIONS: dict[tuple[str, ...], tuple[Json, Expected]] = {
    ("unknown-propagation",): (
        {"propagationPolicy": "Sideways"},
        invalid(sources.OPTIONS_VALIDATION, ("NotSupported", "propagationPolicy")),
    ),
    ("two-propagations",): (
        {"propagationPolicy": "Background", "orphanDependents": True},
        invalid(sources.OPTIONS_VALIDATION, ("Invalid", "propagationPolicy")),
    ),
    ("unknown-dry-run",): (
        {"dryRun": ["Some"]},
        invalid(sources.OPTIONS_VALIDATION, ("NotSupported", "dryRun")),
    ),
    ("grace-of-words",): (
        {"gracePeriodSeconds": "soon"},
        Expected(400, "BadRequest", sources.DELETE_OPTIONS),
    ),
    ("dry-run",): ({"dryRun": ["All"]}, accepted(sources.DRY_RUN)),
}


@pytest.mark.parametrize(
    ("options", "expected"), [pytest.param(*row, id=key[0]) for key, row in OPTIONS.items()]
)
async def test_options_that_delete_nothing(
    namespace: Namespace, options: Json, expected: Expected
) -> None:
    await namespace.create("configmaps", "game")
    expected.check(await namespace.delete("configmaps", "game", options))
    assert (await namespace.get("configmaps", "game")).code == 200, expected.source


COLLECTIONS: dict[tuple[str, ...], dict[str, str]] = {
    ("labelled",): {"labelSelector": "group=x"},
    ("named",): {"fieldSelector": "metadata.name=a"},
    ("dry-run",): {"dryRun": "All", "labelSelector": "group"},
}
LEFT = {"labelled": {"b", "c"}, "named": {"b", "c"}, "dry-run": {"a", "b", "c"}}


@pytest.mark.parametrize("what", [key[0] for key in COLLECTIONS])
@pytest.mark.parametrize("plural", ["secrets", "specimens"])
async def test_a_collection_is_deleted_as_it_is_selected(
    namespace: Namespace, plural: str, what: str
) -> None:
    for name, group in (("a", "x"), ("b", "y"), ("c", "y")):
        await namespace.create(plural, name, {"metadata": {"labels": {"group": group}}})
    path = namespace.path(plural)
    accepted(sources.API_CONCEPTS).check(
        await namespace.cluster.delete(path, **COLLECTIONS[(what,)])
    )
    assert set(await namespace.names(plural)) == LEFT[what], sources.API_CONCEPTS


async def test_a_namespace_ends_when_what_it_holds_is_gone(namespace: Namespace) -> None:
    fields = {"metadata": {"finalizers": ["example.com/hold"]}}
    await namespace.create("configmaps", "held", fields)
    await namespace.create("specimens", "game")
    path = f"/api/v1/namespaces/{namespace.name}"
    marked = (await namespace.cluster.delete(path)).ok()
    assert (marked["status"]["phase"], "deletionTimestamp" in marked["metadata"]) == (
        "Terminating",
        True,
    ), sources.NAMESPACES
    refused = await namespace.post("configmaps", make("configmaps", "late"))
    Expected(
        403,
        "Forbidden",
        sources.LIFECYCLE,
        frozenset({("NamespaceTerminating", "metadata.namespace")}),
    ).check(refused)
    await namespace.gone("specimens", "game")
    assert (await namespace.cluster.get(path)).code == 200, sources.NAMESPACES
    await namespace.patch("merge", "configmaps", "held", {"metadata": {"finalizers": None}})

    async def ended() -> bool:
        return (await namespace.cluster.get(path)).code == 404

    await until(ended)


NAMESPACE_DELETES: dict[tuple[str, ...], Expected] = {
    ("default",): Expected(403, "Forbidden", sources.LIFECYCLE),
    ("kube-system",): Expected(403, "Forbidden", sources.LIFECYCLE),
    ("conformance-absent",): Expected(404, "NotFound", sources.STORE),
}


@pytest.mark.parametrize(("name", "expected"), matrix(NAMESPACE_DELETES))
async def test_a_namespace_is_not_deleted(
    namespace: Namespace, name: str, expected: Expected
) -> None:
    # A dry run, so that a server that gets this wrong is not destroyed by the test.
    path = f"/api/v1/namespaces/{name}"
    expected.check(await namespace.cluster.delete(path, dryRun="All"))
