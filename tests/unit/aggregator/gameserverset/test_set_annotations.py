"""What the annotations of a set ask for, and what in them means nothing."""

import pytest

from aggregator.gameserverset.annotations import (
    AnnotationProblem,
    annotation_problems,
    is_on,
    parse_update_states,
)

PAUSED = "gamekeeper.dev/paused"
STATES = "gamekeeper.dev/update-ops-states"


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [({PAUSED: "true"}, True), ({PAUSED: "false"}, False), ({PAUSED: "True"}, False), ({}, False)],
    ids=str,
)
def test_only_true_switches_on(annotations, expected):
    assert is_on(annotations, PAUSED) is expected


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, None),
        ({STATES: ""}, frozenset()),
        ({STATES: " , "}, frozenset()),
        ({STATES: "None"}, frozenset({"None"})),
        ({STATES: " None, Draining ,"}, frozenset({"None", "Draining"})),
    ],
    ids=str,
)
def test_the_states_of_an_update(annotations, expected):
    assert parse_update_states(annotations) == expected


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({PAUSED: "True"}, '\'True\' is neither "true" nor "false", so it is off'),
        (
            {"gamekeeper.dev/protect-allocated": ""},
            '\'\' is neither "true" nor "false", so it is off',
        ),
        (
            {"gamekeeper.dev/container-marker": "yes"},
            '\'yes\' is neither "true" nor "false", so it is off',
        ),
        ({"gamekeeper.dev/agent": "no"}, "'no' is none of auto, always, never, so it is auto"),
        (
            {STATES: ","},
            "it names no opsState, so nobody is updated; name some, or remove it",
        ),
        (
            {STATES: "None Maintaining"},
            "'None Maintaining' is no label value, so it is nobody's opsState; "
            "separate them by commas",
        ),
        (
            {STATES: "x" * 64},
            f"'{'x' * 64}' is no label value, so it is nobody's opsState; separate them by commas",
        ),
    ],
    ids=str,
)
def test_what_means_nothing_is_told(annotations, message):
    (name,) = annotations
    expected = (AnnotationProblem(f"metadata.annotations[{name}]", message),)
    assert annotation_problems(annotations, ()) == expected


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("none", "None"),
        ("Noen", "None"),
        ("Maintaning", "Maintaining"),
        ("Maintenance", "Maintaining"),
        ("ALLOCATED", "Allocated"),
        ("Allocating", "Allocated"),
        ("WaitToDelete", "WaitToBeDeleted"),
        ("WaitToBeDelete", "WaitToBeDeleted"),
        ("Killed", "Kill"),
    ],
)
def test_a_state_that_looks_like_a_well_known_one_is_told(written, meant):
    message = f"no server is in the opsState {written!r}; write {meant} if that is meant"
    expected = (AnnotationProblem(f"metadata.annotations[{STATES}]", message),)
    assert annotation_problems({STATES: f"Draining, {written}"}, {"None"}) == expected
    assert annotation_problems({STATES: f"Draining, {written}"}, {"None", written}) == ()


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {PAUSED: "false", "gamekeeper.dev/protect-allocated": "true", "team": "True"},
        {"gamekeeper.dev/agent": "auto"},
        {"gamekeeper.dev/agent": "always"},
        {"gamekeeper.dev/agent": "never"},
        {STATES: "None,WaitToBeDeleted,Maintaining,Allocated,Kill"},
        {STATES: "Draining"},
        {STATES: "Idle, Busy, Warm-Up.2," + "x" * 63},
    ],
    ids=str,
)
def test_what_means_something_is_not_told(annotations):
    assert annotation_problems(annotations, ()) == ()


def test_everything_that_means_nothing_is_told():
    annotations = {PAUSED: "yes", "gamekeeper.dev/agent": "no", STATES: "maintaining, a b"}
    assert [each.path for each in annotation_problems(annotations, ())] == [
        "metadata.annotations[gamekeeper.dev/paused]",
        "metadata.annotations[gamekeeper.dev/agent]",
        "metadata.annotations[gamekeeper.dev/update-ops-states]",
        "metadata.annotations[gamekeeper.dev/update-ops-states]",
    ]
