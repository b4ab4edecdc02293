"""Whom a lifecycle hook holds (SPEC 6.11)."""

import pytest

from aggregator.lifecycle import holds_deletion, holds_update, is_held
from tests.support.builders import game_server_set, pod

LABELLED = pod(labels={"drain": "me"})


@pytest.mark.parametrize(
    ("hook", "held"),
    [
        pytest.param(None, False, id="no hook"),
        pytest.param({}, False, id="an empty hook"),
        pytest.param({"labelsHandler": {"drain": "me"}}, True, id="its label"),
        pytest.param({"labelsHandler": {"drain": "you"}}, False, id="another value"),
        pytest.param({"labelsHandler": {"drained": "me"}}, False, id="another label"),
        pytest.param({"labelsHandler": {"a": "b", "drain": "me"}}, True, id="one of its labels"),
        pytest.param({"finalizersHandler": ["a/b", "drain/it"]}, True, id="its finalizer"),
        pytest.param({"finalizersHandler": ["a/b"]}, False, id="another finalizer"),
        pytest.param({"labelsHandler": ["drain"]}, False, id="a list where a map belongs"),
        pytest.param({"finalizersHandler": "drain/it"}, False, id="a text where a list belongs"),
    ],
)
def test_a_hook_holds_whoever_carries_one_of_its_marks(hook, held):
    assert is_held(hook, pod(labels={"drain": "me"}, finalizers=("drain/it",))) is held


@pytest.mark.parametrize(
    ("lifecycle", "expected"),
    [
        (None, (False, False)),
        ({"preDelete": {"labelsHandler": {"drain": "me"}}}, (True, False)),
        ({"inPlaceUpdate": {"labelsHandler": {"drain": "me"}}}, (False, True)),
    ],
    ids=["none", "preDelete", "inPlaceUpdate"],
)
def test_each_hook_is_for_its_own_occasion(lifecycle, expected):
    owner = game_server_set(lifecycle=lifecycle)
    assert (holds_deletion(owner, LABELLED), holds_update(owner, LABELLED)) == expected
