"""Server-side apply as a function: field sets, merging, conflicts, what goes when it is left out.

Source of the rules: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.apiserver.builtin import builtin_resources
from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.fieldsets import (
    compare,
    duplicate,
    fields_of,
    from_fields_v1,
    text,
    to_fields_v1,
)
from localcluster.apiserver.ownership import Manager, owned_fields, prior, schema_of, updated
from localcluster.apiserver.server_side_apply import applied, configuration, created, parse

POD = next(each for each in builtin_resources() if each.kind == "Pod")
CONFIG_MAP = next(each for each in builtin_resources() if each.kind == "ConfigMap")
NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
SCHEMA: dict[str, Any] = {
    "properties": {
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic"},
        "list": {"type": "array"},
        "set": {"type": "array", "x-kubernetes-list-type": "set"},
        "keyed": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {
                "properties": {"port": {}, "protocol": {"default": "TCP"}, "text": {}},
            },
        },
    }
}


def pod(**main: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "game"},
        "spec": {"containers": [{"name": "main", "image": "game:1", **main}]},
    }


def config_map(manager_labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    obj: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    if manager_labels:
        obj["metadata"]["labels"] = manager_labels
    return {**obj, "data": data} if data else obj


def apply(
    live: dict[str, Any] | None, config: dict[str, Any], who: str, now: str = NOW, **options: Any
) -> dict[str, Any]:
    """Return the object after `who` applied `config`, with its managedFields."""
    manager = Manager(who, "Apply", "v1")
    force = options.get("force", False)
    wanted = configuration(CONFIG_MAP, config, manager, now, force=force)
    if live is None:
        merged, fields = config, created(wanted)
    else:
        merged, fields = applied(CONFIG_MAP, live, wanted)
    return {**merged, "metadata": {**merged["metadata"], "managedFields": fields}}


def update(live: dict[str, Any], new: dict[str, Any], who: str) -> dict[str, Any]:
    """Return the object after `who` replaced it, with its managedFields."""
    managers = prior(live["metadata"], new["metadata"], "")
    fields = updated(CONFIG_MAP, managers, live, new, (Manager(who, "Update", "v1"), LATER))
    return {**new, "metadata": {**new["metadata"], "managedFields": fields}}


def owners(obj: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fieldsV1 of each manager."""
    return {e["manager"]: e["fieldsV1"] for e in obj["metadata"]["managedFields"]}


@pytest.mark.parametrize(
    ("value", "applied_fields", "created_fields"),
    [
        pytest.param(
            {"map": {"a": 1}}, {"f:map": {"f:a": {}}}, {"f:map": {".": {}, "f:a": {}}}, id="map"
        ),
        pytest.param({"map": {}}, {"f:map": {}}, {"f:map": {}}, id="empty-map"),
        pytest.param({"whole": {"a": 1}}, {"f:whole": {}}, {"f:whole": {}}, id="atomic-map"),
        pytest.param({"list": [1, 2]}, {"f:list": {}}, {"f:list": {}}, id="atomic-list"),
        pytest.param(
            {"set": ["a", 2]},
            {"f:set": {'v:"a"': {}, "v:2": {}}},
            {"f:set": {".": {}, 'v:"a"': {}, "v:2": {}}},
            id="set",
        ),
        pytest.param(
            {"keyed": [{"port": 1, "text": "x"}]},
            {
                "f:keyed": {
                    'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:text": {}},
                }
            },
            {
                "f:keyed": {
                    ".": {},
                    'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:text": {}},
                }
            },
            id="list-with-keys-and-a-default-key",
        ),
        pytest.param(
            {"free": {"deep": [{"a": 1}]}},
            {"f:free": {"f:deep": {}}},
            {"f:free": {".": {}, "f:deep": {}}},
            id="unknown-fields-are-maps-and-whole-lists",
        ),
    ],
)
def test_fields_are_counted_as_the_schema_says(
    value: dict[str, Any], applied_fields: dict[str, Any], created_fields: dict[str, Any]
) -> None:
    assert to_fields_v1(fields_of(SCHEMA, value)) == applied_fields
    assert to_fields_v1(fields_of(SCHEMA, value, containers=True)) == created_fields


def test_a_path_reads_as_in_messages() -> None:
    (path,) = fields_of(SCHEMA, {"set": ["a"]})
    assert text(path) == '.set[="a"]'
    paths = fields_of(SCHEMA, {"keyed": [{"port": 1, "text": "x"}]})
    assert sorted(map(text, paths)) == [
        '.keyed[port=1,protocol="TCP"]',
        '.keyed[port=1,protocol="TCP"].port',
        '.keyed[port=1,protocol="TCP"].text',
    ]


def test_an_item_given_twice_is_found() -> None:
    twice = {"keyed": [{"port": 1}, {"port": 1, "protocol": "TCP"}]}
    found = duplicate(SCHEMA, twice)
    assert found is not None
    assert text(found) == '.keyed[port=1,protocol="TCP"]'
    assert duplicate(SCHEMA, {"keyed": [{"port": 1}, {"port": 2}]}) is None


VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.fixed_dictionaries(
    {},
    optional={
        "map": st.dictionaries(st.sampled_from("ab"), st.integers(0, 2), max_size=2),
        "set": st.lists(st.sampled_from("abc"), unique=True, max_size=3),
        "keyed": st.lists(
            st.builds(lambda p, t: {"port": p, "text": t}, st.integers(0, 2), VALUES),
            unique_by=lambda item: item["port"],
            max_size=3,
        ),
        "free": VALUES,
    },
)


@given(OBJECTS)
def test_fields_v1_is_read_back_as_the_same_set(value: dict[str, Any]) -> None:
    fields = fields_of(SCHEMA, value, containers=True)
    assert from_fields_v1(to_fields_v1(fields)) == fields


@given(OBJECTS, OBJECTS)
def test_what_did_not_change_belongs_to_both(old: dict[str, Any], new: dict[str, Any]) -> None:
    changes = compare(SCHEMA, old, new)
    before = fields_of(SCHEMA, old, containers=True)
    after = fields_of(SCHEMA, new, containers=True)
    assert changes.removed <= before
    assert (changes.changed | changes.removed == frozenset()) == (old == new)
    untouched = after - changes.changed
    assert untouched <= before


DATA = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)


@given(DATA, DATA, DATA)
def test_a_forced_apply_is_its_own_fixed_point(
    first: dict[str, str], other: dict[str, str], second: dict[str, str]
) -> None:
    live = apply(None, config_map(**first), "me")
    live = apply(live, config_map(**other), "other", force=True)
    before = copy.deepcopy(live)
    once = apply(live, config_map(**second), "me", LATER, force=True)
    assert live == before
    assert apply(once, config_map(**second), "me", "2030-01-01T00:00:00Z") == once
    # What I applied is there; what nobody applies any more is not.
    data = once.get("data") or {}
    assert data == {**{k: v for k, v in other.items() if k in data}, **second}
    assert data.keys() == other.keys() | second.keys()


def test_two_managers_of_different_fields_do_not_meet() -> None:
    live = apply(None, config_map(a="1"), "one")
    live = apply(live, config_map(b="2"), "two")
    assert live["data"] == {"a": "1", "b": "2"}
    assert owners(live) == {"one": {"f:data": {"f:a": {}}}, "two": {"f:data": {"f:b": {}}}}


def test_another_value_of_a_field_that_somebody_owns_is_a_conflict() -> None:
    live = apply(None, config_map(a="1", b="1"), "one")
    with pytest.raises(ApiError) as caught:
        apply(live, config_map(a="2", b="2"), "two")
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .data.a\n- .data.b'
    )
    assert caught.value.details == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "one"',
                "field": f".data.{name}",
            }
            for name in ("a", "b")
        ]
    }


def test_force_takes_the_field_from_its_owner() -> None:
    live = apply(None, config_map(a="1", b="1"), "one")
    live = apply(live, config_map(a="2"), "two", force=True)
    assert live["data"] == {"a": "2", "b": "1"}
    assert owners(live) == {"one": {"f:data": {"f:b": {}}}, "two": {"f:data": {"f:a": {}}}}


def test_the_same_value_is_owned_together_and_stays_until_both_leave_it_out() -> None:
    live = apply(None, config_map(a="1"), "one")
    live = apply(live, config_map(a="1"), "two")
    live = apply(live, config_map(), "one")
    assert (live["data"], owners(live)) == ({"a": "1"}, {"two": {"f:data": {"f:a": {}}}})
    live = apply(live, config_map(), "two")
    assert "data" not in live
    assert owners(live) == {}


def test_an_update_takes_what_it_changes_and_a_later_apply_conflicts_with_it() -> None:
    live = apply(None, config_map(a="1", b="1"), "one")
    live = update(live, {**live, "data": {"a": "2", "b": "1"}}, "editor")
    assert owners(live) == {"one": {"f:data": {"f:b": {}}}, "editor": {"f:data": {"f:a": {}}}}
    with pytest.raises(ApiError, match=r'conflict with "editor" using v1: \.data\.a'):
        apply(live, config_map(a="1", b="1"), "one")


def test_a_removed_field_is_nobody_s() -> None:
    live = apply(None, config_map(a="1", b="1"), "one")
    live = update(live, {**live, "data": {"b": "1"}}, "editor")
    assert owners(live) == {"one": {"f:data": {"f:b": {}}}}


def test_an_object_that_nobody_has_claimed_is_owned_before_its_first_apply() -> None:
    live = config_map(a="1")
    with pytest.raises(ApiError, match=r'conflict with "before-first-apply" using v1: \.data\.a'):
        apply(live, config_map(a="2"), "one")


def test_kubectl_takes_over_what_its_client_side_apply_wrote() -> None:
    last = config_map(a="1")
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": str(last).replace("'", '"')}
    live = config_map(a="1", b="1")
    live["metadata"]["annotations"] = annotation
    live = update({"metadata": {}}, live, "kubectl-client-side-apply")
    taken = apply(live, config_map(a="2"), "kubectl")
    assert taken["data"] == {"a": "2", "b": "1"}
    with pytest.raises(ApiError, match=r"\.data\.b"):
        apply(live, config_map(a="2", b="2"), "kubectl")
    with pytest.raises(ApiError, match=r"\.data\.a"):
        apply(live, config_map(a="2"), "another")


def test_items_of_a_list_with_keys_keep_their_order_and_the_others() -> None:
    manager = Manager("me", "Apply", "v1")
    live = pod()
    live["spec"]["containers"].append({"name": "log", "image": "log:1"})
    config = {**pod(), "spec": {"containers": [
        {"name": "first", "image": "first:1"}, {"name": "main", "workingDir": "/srv"},
    ]}}  # fmt: skip
    wanted = configuration(POD, config, manager, NOW, force=True)
    merged, _ = applied(POD, live, wanted)
    assert merged["spec"]["containers"] == [
        {"name": "first", "image": "first:1"},
        {"name": "main", "image": "game:1", "workingDir": "/srv"},
        {"name": "log", "image": "log:1"},
    ]


def test_a_container_that_is_left_out_goes_with_what_only_its_owner_set() -> None:
    manager = Manager("me", "Apply", "v1")
    config = pod(env=[{"name": "A", "value": "a"}, {"name": "B", "value": "b"}])
    first = configuration(POD, config, manager, NOW, force=False)
    live = {**config, "metadata": {"name": "game", "managedFields": created(first)}}
    less = configuration(
        POD, pod(env=[{"name": "B", "value": "b"}]), manager, LATER, force=False
    )  # fmt: skip
    merged, _ = applied(POD, live, less)
    assert merged["spec"]["containers"][0]["env"] == [{"name": "B", "value": "b"}]
    none = configuration(POD, pod(), manager, LATER, force=False)
    merged, _ = applied(POD, live, none)
    assert merged["spec"]["containers"] == [{"name": "main", "image": "game:1"}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"a: [", "error decoding YAML", id="no-yaml"),
        pytest.param(b"[]", "the configuration is not an object", id="no-object"),
        pytest.param(b"kind: Pod", "Object 'apiVersion' is missing", id="no-version"),
        pytest.param(
            b'{"apiVersion":"v1","kind":"Pod","metadata":{"managedFields":[{}]}}',
            "metadata.managedFields must be nil",
            id="managed-fields",
        ),
    ],
)
def test_a_configuration_that_is_none_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        parse(body)
    assert caught.value.code == 400


def test_a_null_sets_nothing() -> None:
    parsed = parse(b"apiVersion: v1\nkind: Pod\nspec: {a: null, b: [{c: null}]}")
    assert parsed == {"apiVersion": "v1", "kind": "Pod", "spec": {"b": [{}]}}


def test_managed_fields_can_be_cleared_and_are_not_lost_by_clients_that_do_not_know_them() -> None:
    live = apply(None, config_map(a="1"), "one")
    kept = prior(live["metadata"], {"name": "a"}, "")
    assert [manager.name for manager in kept] == ["one"]
    assert prior(live["metadata"], {"managedFields": [{}]}, "") == {}
    assert prior(live["metadata"], {"managedFields": [{}]}, "status") == kept
    unreadable = [{"manager": "x", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"a": 1}}]
    assert prior(live["metadata"], {"managedFields": unreadable}, "") == kept


def test_names_and_server_fields_belong_to_nobody() -> None:
    obj = config_map({"app": "x"}, a="1")
    obj["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": NOW}
    fields = to_fields_v1(owned_fields(CONFIG_MAP, obj))
    assert fields == {"f:metadata": {"f:labels": {"f:app": {}}}, "f:data": {"f:a": {}}}
    assert "metadata" in schema_of(CONFIG_MAP)["properties"]
