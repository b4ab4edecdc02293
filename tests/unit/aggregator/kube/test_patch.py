"""Patches as values."""

import pytest

from aggregator.kube import patch


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        pytest.param((), "", id="the whole document"),
        pytest.param(("spec", "opsState"), "/spec/opsState", id="plain"),
        pytest.param(
            ("metadata", "labels", "game.kruise.io/gs-deleting"),
            "/metadata/labels/game.kruise.io~1gs-deleting",
            id="slash",
        ),
        pytest.param(("a~1b",), "/a~01b", id="tilde before slash"),
        pytest.param(("list", 0, "-"), "/list/0/-", id="list"),
    ],
)
def test_a_pointer_is_escaped(segments: tuple[str | int, ...], expected: str) -> None:
    assert patch.pointer(*segments) == expected


def test_a_json_patch_keeps_the_order_of_its_operations() -> None:
    operations = (
        patch.test("/metadata/uid", "u"),
        patch.add("/spec/a", None),
        patch.replace("/spec/b", 1),
        patch.remove("/spec/c"),
    )
    json_patch = patch.JsonPatch(operations)
    assert (json_patch.body, json_patch.content_type, json_patch.has_tests) == (
        [
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            {"op": "add", "path": "/spec/a", "value": None},
            {"op": "replace", "path": "/spec/b", "value": 1},
            {"op": "remove", "path": "/spec/c"},
        ],
        "application/json-patch+json",
        True,
    )


@pytest.mark.parametrize("make", [lambda: patch.JsonPatch(()), lambda: patch.MergePatch({})])
def test_an_empty_patch_is_refused_because_the_library_would_send_no_body(make) -> None:
    with pytest.raises(ValueError, match="empty patch"):
        make()
