"""Merge patches and strategic merge patches."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.strategic import merge_patch, strategic_merge_patch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=2), JSON, max_size=4)


def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the merge patch from `old` to `new`, both without nulls at any depth of objects."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key in old and isinstance(old[key], dict) and isinstance(value, dict):
            patch[key] = difference(old[key], value)
        elif key not in old or old[key] != value:
            patch[key] = value
    return patch


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


# On a busy machine an example may take long; what counts is the result.
@settings(deadline=None, max_examples=50)
@given(OBJECTS, OBJECTS)
def test_a_merge_patch_leads_from_any_object_to_any_other(old: Any, new: Any) -> None:
    old, new = without_nulls(old), without_nulls(new)
    before = copy.deepcopy(old)
    assert merge_patch(old, difference(old, new)) == new
    assert old == before


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        pytest.param({"a": 1}, {"a": None, "b": 2}, {"b": 2}, id="null-removes"),
        pytest.param({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}, id="deep"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="unknown-list-is-replaced"),
        pytest.param(
            {"containers": [{"name": "x", "image": "1", "env": [{"name": "A", "value": "a"}]}]},
            {"containers": [{"name": "x", "env": [{"name": "B", "value": "b"}]}, {"name": "y"}]},
            {"containers": [
                {"name": "x", "image": "1",
                 "env": [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}]},
                {"name": "y"},
            ]},
            id="containers-by-name",
        ),
        pytest.param(
            {"containers": [{"name": "x"}, {"name": "y"}]},
            {"containers": [{"name": "x", "$patch": "delete"}]},
            {"containers": [{"name": "y"}]},
            id="delete-an-element",
        ),
        pytest.param(
            {"containers": [{"name": "x"}]},
            {"containers": [{"$patch": "replace"}, {"name": "z"}]},
            {"containers": [{"name": "z"}]},
            id="replace-a-list",
        ),
        pytest.param(
            {"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2}}, {"a": {"c": 2}},
            id="replace-a-map",
        ),
        pytest.param(
            {"finalizers": ["a", "b"]},
            {"finalizers": ["c", "a"], "$deleteFromPrimitiveList/finalizers": ["b"]},
            {"finalizers": ["a", "c"]},
            id="finalizers",
        ),
        pytest.param(
            {"ownerReferences": [{"uid": "1", "name": "a"}]},
            {"ownerReferences": [{"uid": "1", "$patch": "delete"}]},
            {"ownerReferences": []},
            id="owner-references-by-uid",
        ),
        pytest.param(
            {"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]},
            {"tolerations": [{"key": "b"}]}, id="tolerations-are-atomic",
        ),
        pytest.param(
            {"ports": [{"containerPort": 1, "name": "a"}]},
            {"ports": [{"containerPort": 1, "protocol": "UDP"}, {"containerPort": 2}]},
            {"ports": [{"containerPort": 1, "name": "a", "protocol": "UDP"}, {"containerPort": 2}]},
            id="container-ports",
        ),
        pytest.param(
            {"containers": [{"name": "x"}, {"name": "y"}]},
            {"$setElementOrder/containers": [{"name": "y"}, {"name": "x"}],
             "containers": [{"name": "y", "image": "1"}]},
            {"containers": [{"name": "y", "image": "1"}, {"name": "x"}]},
            id="order",
        ),
        pytest.param(
            {"strategy": {"type": "A", "old": 1}},
            {"strategy": {"$retainKeys": ["type"], "type": "B"}},
            {"strategy": {"type": "B"}},
            id="retain-keys",
        ),
    ],
)  # fmt: skip
def test_a_strategic_patch(target: Any, patch: Any, result: Any) -> None:
    before = copy.deepcopy((target, patch))
    assert strategic_merge_patch(target, patch) == result
    assert (target, patch) == before


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"containers": [{"image": "1"}]}, "does not contain declared merge key: name"),
        ({"a": {"$patch": "explode"}}, "unknown \\$patch directive 'explode'"),
    ],
)
def test_a_bad_strategic_patch_is_refused(patch: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        strategic_merge_patch({}, patch)
    assert caught.value.code == 400
