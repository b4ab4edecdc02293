"""The fields of actions: templates, priorities, containers; what is usable and what is wrong."""

from copy import deepcopy

import pytest

from aggregator.quality.fields import (
    SkippedField,
    action_fields,
    container_fields,
    is_label_value,
    merge_containers,
    usable_value,
    value_problem,
)
from shared.api.gameserver import GameServerContainer
from shared.api.service_quality import ServiceQualityAction

OPS = ("opsState",)
DELETION = ("deletionPriority",)
UPDATE = ("updatePriority",)
TEAM = ("labels", "team")
NOTE = ("annotations", "example.com/note")
IMAGE = ("containers", "game", "image")
UNKNOWN_NAME = "is no template: line 1, column 3: .Foo is not known: .Result is all there is"
RESOURCES = ("containers", "game", "resources")
NO_VALUE = (
    "is no legal label value: "
    "use at most 63 letters, digits, - _ and . with a letter or digit at both ends"
)


def containers(*bodies):
    return tuple(GameServerContainer.model_validate(body) for body in bodies)


def test_an_action_says_something_about_every_kind_of_field():
    action = ServiceQualityAction.model_validate(
        {
            "state": True,
            "opsState": "{{.Result}}",
            "updatePriority": "7",
            "deletionPriority": 0,
            "networkDisabled": False,
            "containers": [
                {"name": "game", "image": "game:2", "resources": {"limits": {"cpu": "1"}}},
                {"name": "log", "resources": {}},
                {"name": "idle"},
            ],
            "labels": {"team": "red"},
            "annotations": {"example.com/note": ""},
        }
    )
    assert list(action_fields(action)) == [
        (OPS, "{{.Result}}"),
        (UPDATE, "7"),
        (DELETION, 0),
        (("networkDisabled",), False),
        (IMAGE, "game:2"),
        (RESOURCES, '{"limits":{"cpu":"1"}}'),
        (("containers", "log", "resources"), "{}"),
        (TEAM, "red"),
        (NOTE, ""),
    ]


@pytest.mark.parametrize("empty", [{}, {"opsState": "", "updatePriority": ""}])
def test_an_empty_state_or_priority_is_as_good_as_none(empty):
    assert list(action_fields(ServiceQualityAction.model_validate({"state": True} | empty))) == []


@pytest.mark.parametrize(
    ("field", "value", "result", "usable"),
    [
        pytest.param(OPS, "Busy", None, "Busy", id="plain values need no result"),
        pytest.param(OPS, "{{.Result}}", "Busy", "Busy", id="opsState"),
        pytest.param(OPS, "{{if eq .Result 1}}Busy{{end}}", "0", None, id="no opsState at all"),
        pytest.param(TEAM, "{{if eq .Result 1}}x{{end}}", "0", "", id="an empty label is one"),
        pytest.param(DELETION, "{{.Result}}", "-12", -12, id="priority"),
        pytest.param(UPDATE, "1{{.Result}}", "2", 12, id="priority in parts"),
        pytest.param(DELETION, 5, "x", 5, id="number"),
        pytest.param(TEAM, "t-{{.Result}}", "a", "t-a", id="label"),
        pytest.param(NOTE, "{{.Result}} !", "a b", "a b !", id="annotation"),
        pytest.param(NOTE, "", None, "", id="empty annotation"),
        pytest.param(IMAGE, "game:2", None, "game:2", id="image"),
        pytest.param(RESOURCES, "{}", None, "{}", id="resources"),
        pytest.param(("networkDisabled",), True, None, True, id="networkDisabled"),
    ],
)
def test_a_usable_value(field, value, result, usable):
    assert usable_value(field, value, result) == usable


@pytest.mark.parametrize(
    ("field", "value", "result", "reason"),
    [
        pytest.param(OPS, "{{.Result}}", "a b", f"'a b' {NO_VALUE}", id="opsState"),
        pytest.param(OPS, "{{.Result}}", None, "the result is not known any more", id="forgotten"),
        pytest.param(TEAM, "{{.Result}}", "é", f"'é' {NO_VALUE}", id="label"),
        pytest.param(
            TEAM, "{{.Result}}", "x" * 90, f"'{'x' * 78}… {NO_VALUE}", id="a long one is cut"
        ),
        pytest.param(TEAM, "x" * 78, None, f"'{'x' * 78}' {NO_VALUE}", id="80 are shown whole"),
        pytest.param(
            DELETION, "{{.Result}}", "many", "'many' is no 32-bit integer", id="no number"
        ),
        pytest.param(DELETION, "{{.Result}}", "1.0", "'1.0' is no 32-bit integer", id="fraction"),
        pytest.param(DELETION, "{{.Result}}", "", "'' is no 32-bit integer", id="nothing"),
        pytest.param(
            UPDATE, "{{.Result}}", "2147483648", "'2147483648' is no 32-bit integer", id="large"
        ),
        pytest.param(
            OPS,
            "{{.Foo}}",
            "a",
            f"its value {UNKNOWN_NAME}",
            id="does not parse",
        ),
        pytest.param(
            NOTE,
            "{{.Foo}}",
            None,
            f"its value {UNKNOWN_NAME}",
            id="does not parse, whatever the result",
        ),
        pytest.param(
            OPS,
            "{{lt .Result 1}}",
            "x",
            "the template has no value: the text 'x' cannot be compared with the number 1",
            id="no value",
        ),
        pytest.param(IMAGE, "{{.Result}}", "x", "it cannot be a template", id="image"),
    ],
)
def test_an_unusable_value_says_why(field, value, result, reason):
    with pytest.raises(SkippedField) as skipped:
        usable_value(field, value, result)
    assert str(skipped.value) == reason


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        pytest.param(OPS, "Busy", None, id="plain"),
        pytest.param(OPS, "{{.Result}}", None, id="it depends on the result"),
        pytest.param(DELETION, "x{{.Result}}", None, id="it depends on the result, too"),
        pytest.param(
            RESOURCES, '{"limits":{"cpu":"{{"}}', "it cannot be a template", id="not here"
        ),
        pytest.param(
            TEAM,
            "{{end}}",
            "is no template: line 1, column 3: end without an if",
            id="no template",
        ),
        pytest.param(
            ("labels", "a b"),
            "{{.Result}}",
            "'a b' is no legal label key: use NAME or PREFIX/NAME, for example example.com/team",
            id="key of a template",
        ),
        pytest.param(OPS, "a b", f"'a b' {NO_VALUE}", id="plain and illegal"),
        pytest.param(UPDATE, "x", "'x' is no 32-bit integer", id="no priority"),
    ],
)
def test_what_is_wrong_whatever_the_probe_says(field, value, problem):
    assert value_problem(field, value) == problem


@pytest.mark.parametrize(
    ("text", "legal"),
    [("", True), ("a", True), ("A.b_c-9", True), ("x" * 63, True), ("x" * 64, False)]
    + [(text, False) for text in ("-a", "a-", ".a", "a b", "é", "a\n", "a/b")],
)
def test_label_values(text, legal):
    assert is_label_value(text) is legal


PRESENT = containers({"name": "log", "image": "log:1"}, {"name": "game", "resources": {"a": 1}})


@pytest.mark.parametrize(
    ("writes", "after"),
    [
        pytest.param(
            {OPS: "Busy", TEAM: "red"},
            [{"name": "log", "image": "log:1"}, {"name": "game", "resources": {"a": 1}}],
            id="other fields change nothing",
        ),
        pytest.param(
            {IMAGE: "game:2"},
            [
                {"name": "log", "image": "log:1"},
                {"name": "game", "resources": {"a": 1}, "image": "game:2"},
            ],
            id="the image of one that is there",
        ),
        pytest.param(
            {RESOURCES: '{"limits":{"cpu":"1"}}'},
            [
                {"name": "log", "image": "log:1"},
                {"name": "game", "resources": {"limits": {"cpu": "1"}}},
            ],
            id="its resources",
        ),
        pytest.param(
            {("containers", "new", "image"): "n:1", ("containers", "new", "resources"): "{}"},
            [
                {"name": "log", "image": "log:1"},
                {"name": "game", "resources": {"a": 1}},
                {"name": "new", "image": "n:1", "resources": {}},
            ],
            id="one that is not there yet",
        ),
    ],
)
def test_a_write_to_containers_keeps_the_others(writes, after):
    before = deepcopy(PRESENT)
    assert merge_containers(PRESENT, writes) == after
    assert before == PRESENT


def test_what_was_written_is_read_again():
    writes = {IMAGE: "game:2", RESOURCES: '{"limits":{"cpu":"1","memory":"2Gi"}}'}
    after = containers(*merge_containers((), writes))
    assert container_fields(after) == writes
    assert container_fields(containers({"name": "game", "resources": {"b": 1, "a": 2}})) == {
        RESOURCES: '{"a":2,"b":1}'
    }
