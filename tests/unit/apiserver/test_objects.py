"""Names, labels, paths, deletion and history: the rules that every object is under."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcluster.apiserver import metadata
from localcluster.apiserver.builtin import PODS, builtin_resources
from localcluster.apiserver.deletion import DeleteOptions, is_over, mark, parse_options
from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.requests import parse_target
from localcluster.apiserver.resources import Registry, version_priority
from localcluster.apiserver.store import Store
from localcluster.apiserver.tokens import Claims, sign, verify

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
REGISTRY = Registry(builtin_resources())
KEY = b"k" * 32


@pytest.mark.parametrize(
    ("name", "is_label", "is_subdomain"),
    [
        ("a", True, True),
        ("a-1", True, True),
        ("1a", True, True),
        ("a.b", False, True),
        ("a..b", False, False),
        ("-a", False, False),
        ("a-", False, False),
        ("A", False, False),
        ("a_b", False, False),
        ("a\n", False, False),
        ("é", False, False),
        ("a" * 63, True, True),
        ("a" * 64, False, True),
        ("a" * 254, False, False),
    ],
)
def test_names_are_dns_names(name: str, is_label: bool, is_subdomain: bool) -> None:
    assert (not metadata.label_causes(name), not metadata.subdomain_causes(name)) == (
        is_label,
        is_subdomain,
    )


@pytest.mark.parametrize(
    ("meta", "fields"),
    [
        pytest.param({"labels": {"a.b/c": "x", "d": ""}}, [], id="good-labels"),
        pytest.param({"labels": {"a": "not legal"}}, ["metadata.labels"], id="value"),
        pytest.param({"labels": {"a": "x" * 64}}, ["metadata.labels"], id="long-value"),
        pytest.param({"labels": {"/a": "x"}}, ["metadata.labels"], id="empty-prefix"),
        pytest.param({"labels": {"A.b/c": "x"}}, ["metadata.labels"], id="bad-prefix"),
        pytest.param({"labels": {"a": 1}}, ["metadata.labels"], id="number"),
        pytest.param({"annotations": {"a": "any thing"}}, [], id="annotation"),
        pytest.param({"annotations": {"a b": ""}}, ["metadata.annotations"], id="annotation-key"),
        pytest.param({"annotations": {"a": "x" * 262_144}}, ["metadata.annotations"], id="size"),
        pytest.param({"finalizers": "a"}, ["metadata.finalizers"], id="finalizers"),
        pytest.param(
            {"ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "a"}]},
            ["metadata.ownerReferences.uid"],
            id="owner-without-uid",
        ),
    ],
)
def test_metadata_is_validated(meta: Any, fields: list[str]) -> None:
    assert [cause.field for cause in metadata.causes(meta)] == fields


def test_metadata_loses_what_is_unknown_empty_or_not_stored() -> None:
    meta = {"name": "a", "labels": {}, "selfLink": "x", "managedFields": [1], "colour": "red"}
    assert metadata.complete(meta) == ["metadata.colour"]
    assert meta == {"name": "a"}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("api/v1/namespaces", ("namespaces", "", "", "")),
        ("api/v1/namespaces/a", ("namespaces", "", "a", "")),
        ("api/v1/namespaces/a/status", ("namespaces", "", "a", "status")),
        ("api/v1/namespaces/a/pods", ("pods", "a", "", "")),
        ("api/v1/pods", ("pods", "", "", "")),
        ("api/v1/namespaces/a/pods/b/log", ("pods", "a", "b", "log")),
        ("apis/apps/v1/namespaces/a/controllerrevisions/b", ("controllerrevisions", "a", "b", "")),
        ("api/v1/nodes/n/status", ("nodes", "", "n", "status")),
    ],
)
def test_paths_name_resources(path: str, target: tuple[str, ...]) -> None:
    found = parse_target(REGISTRY, path.split("/"))
    assert (found.resource.plural, found.namespace, found.name, found.subresource) == target


@pytest.mark.parametrize(
    "path",
    ["api/v1", "api/v2/pods", "api/v1/pods/a", "api/v1/namespaces/a/nodes", "api/v1/nodes/a/log"],
)
def test_other_paths_are_not_found(path: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_target(REGISTRY, path.split("/"))
    assert caught.value.code == 404


def test_versions_are_sorted_by_stability_then_number() -> None:
    shuffled = ["v1alpha1", "v2", "v1beta1", "v10", "v1beta2", "foo", "v1"]
    ordered = ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]
    assert sorted(shuffled, key=version_priority, reverse=True) == ordered


def pod(*, node: str = "n", phase: str = "Running", **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "game", "uid": "u", "resourceVersion": "1", **meta},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 30},
        "status": {"phase": phase},
    }


MARKED = {"deletionTimestamp": "2026-11-22T12:00:30Z", "deletionGracePeriodSeconds": 30}


@pytest.mark.parametrize(
    ("before", "options", "changes"),
    [
        pytest.param(pod(), DeleteOptions(), MARKED, id="own-grace"),
        pytest.param(
            pod(),
            DeleteOptions(grace_seconds=5),
            {"deletionTimestamp": "2026-11-22T12:00:05Z", "deletionGracePeriodSeconds": 5},
            id="asked-grace",
        ),
        pytest.param(pod(), DeleteOptions(grace_seconds=0), None, id="at-once"),
        pytest.param(pod(node=""), DeleteOptions(), None, id="without-node"),
        pytest.param(pod(phase="Failed"), DeleteOptions(), None, id="ended"),
        pytest.param(pod(**MARKED), DeleteOptions(grace_seconds=60), {}, id="never-longer"),
        pytest.param(pod(**MARKED), DeleteOptions(grace_seconds=0), None, id="confirmed"),
        pytest.param(
            pod(finalizers=["a"]),
            DeleteOptions(grace_seconds=0),
            {"deletionTimestamp": "2026-11-22T12:00:00Z", "deletionGracePeriodSeconds": 0},
            id="finalizer",
        ),
        pytest.param(
            pod(generation=3),
            DeleteOptions(propagation="Foreground"),
            {**MARKED, "generation": 4, "finalizers": ["foregroundDeletion"]},
            id="foreground",
        ),
        pytest.param(
            pod(finalizers=["orphan"]), DeleteOptions(propagation="Background"), MARKED, id="back"
        ),
    ],
)
def test_a_deletion_marks_or_removes(
    before: dict[str, Any], options: DeleteOptions, changes: dict[str, Any] | None
) -> None:
    resource = REGISTRY.of_collection(PODS)
    assert resource is not None
    after = mark(resource, before, options, NOW)
    if changes is None:
        assert after is None
        return
    kept = dict(before["metadata"])
    if options.propagation == "Background":
        del kept["finalizers"]
    assert after == {**before, "metadata": {**kept, **changes}}
    assert not is_over(resource, after)


@pytest.mark.parametrize(
    ("body", "query", "options"),
    [
        ({}, {}, DeleteOptions()),
        ({}, {"gracePeriodSeconds": "7"}, DeleteOptions(grace_seconds=7)),
        ({"gracePeriodSeconds": 0}, {"gracePeriodSeconds": "7"}, DeleteOptions(grace_seconds=0)),
        ({"orphanDependents": True}, {}, DeleteOptions(propagation="Orphan")),
        ({"dryRun": ["All"]}, {}, DeleteOptions(dry_run=True)),
        ({"preconditions": {"uid": "u"}}, {}, DeleteOptions(uid="u")),
    ],
)
def test_delete_options_are_read(body: Any, query: Any, options: DeleteOptions) -> None:
    assert parse_options(body, query) == options


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], 400),
        ({"gracePeriodSeconds": "soon"}, 400),
        ({"dryRun": ["Some"]}, 422),
        ({"propagationPolicy": "Sideways"}, 422),
    ],
)
def test_bad_delete_options_are_refused(body: Any, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        parse_options(body, {})
    assert caught.value.code == code


def test_history_replays_or_says_that_it_cannot() -> None:
    store = Store(first_version=100, history_events=3)
    for number in range(5):
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "n": number}
        store.put(("", "configmaps"), ("default", "a"), obj)
    collection = store.collection(("", "configmaps"))
    assert [event.stored.object["n"] for event in collection.since(102)] == [2, 3, 4]
    assert [event.type for event in collection.since(104)] == ["MODIFIED"]
    assert collection.since(105) == []
    with pytest.raises(ApiError, match=r"too old resource version: 101 \(102\)"):
        collection.since(101)


CLAIMS = Claims("default", "robot", "uid", ("gamekeeper",), int(NOW.timestamp()) + 600, ("p", "u"))


def test_a_token_says_what_was_signed_until_it_expires() -> None:
    token = sign(CLAIMS, KEY, NOW)
    assert verify(token, KEY, NOW) == CLAIMS
    assert verify(token, KEY, NOW + timedelta(seconds=599)) == CLAIMS
    assert verify(token, KEY, NOW + timedelta(seconds=600)) is None


def test_a_token_that_was_changed_or_signed_by_another_says_nothing() -> None:
    header, payload, signature = sign(CLAIMS, KEY, NOW).split(".")
    other = sign(CLAIMS, b"o" * 32, NOW)
    forged = [
        f"{header}.{payload[:-2]}xx.{signature}",
        f"{header}.{payload}.{signature[::-1]}",
        f"{header}.{payload}.",
        f"{header}.{payload}.*é*",
        other,
        "",
        ".",
    ]
    assert [verify(token, KEY, NOW) for token in forged] == [None] * len(forged)
