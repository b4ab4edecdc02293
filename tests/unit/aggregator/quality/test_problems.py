"""What is wrong with the qualities of a set, with path and remedy (SPEC 1.3)."""

import pytest

from aggregator.quality.probes import QualityProblem
from aggregator.quality.problems import invalid_qualities
from tests.support.builders import game_server_set, quality

ACTION = "spec.serviceQualities[1].serviceQualityAction[1]"


def problems(*actions, **spec):
    first = quality("first", {"state": True, "opsState": "Busy"})
    second = quality("second", {"state": False}, *actions)
    return invalid_qualities(game_server_set(qualities=(first, second), **spec).spec)


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"opsState": "{{.Result}}", "deletionPriority": "{{.Result}}"},
        {"labels": {"team": "{{if .Result}}red{{end}}"}},
        {"containers": [{"name": "game", "image": "i"}]},
    ],
)
def test_nothing_is_wrong(action):
    assert problems({"state": True} | action) == ()


@pytest.mark.parametrize(
    ("action", "path", "message"),
    [
        pytest.param(
            {"opsState": "a{{end}}"},
            "opsState",
            "is no template: line 1, column 4: end without an if",
            id="template",
        ),
        pytest.param(
            {"labels": {"good": "x", "example.com/team": "{{"}},
            "labels[example.com/team]",
            "is no template: line 1, column 1: the action is not closed with }}",
            id="template of a label",
        ),
        pytest.param(
            {"updatePriority": "many"},
            "updatePriority",
            "'many' is no 32-bit integer",
            id="priority",
        ),
        pytest.param(
            {"annotations": {"a b": "x"}},
            "annotations[a b]",
            "'a b' is no legal annotation key: "
            "use NAME or PREFIX/NAME, for example example.com/team",
            id="key",
        ),
        pytest.param(
            {"containers": [{"name": "game"}, {"name": "gone", "image": "i"}]},
            "containers[1].name",
            "'gone' is no container of the template (game)",
            id="no such container",
        ),
        pytest.param(
            {"containers": [{"name": "game", "image": "{{.Result}}"}]},
            "containers[0].image",
            "it cannot be a template",
            id="image",
        ),
    ],
)
def test_a_field_that_is_ignored_is_named(action, path, message):
    assert problems({"state": True} | action) == (QualityProblem(f"{ACTION}.{path}", message),)


def test_everything_that_is_wrong_is_named_in_order():
    bad = quality("bad", {"state": True, "opsState": "a b"}, containerName="gone")
    worse = quality("worse", {"state": True, "opsState": "{{"})
    owner = game_server_set(qualities=(bad, worse))
    assert [problem.path for problem in invalid_qualities(owner.spec)] == [
        "spec.serviceQualities[0].containerName",
        "spec.serviceQualities[0].serviceQualityAction[0].opsState",
        "spec.serviceQualities[1].serviceQualityAction[0].opsState",
    ]


def test_containers_of_the_template_are_listed_by_name():
    template = {"spec": {"containers": [{"name": "web"}, {"name": "game"}]}}
    owner = game_server_set(
        qualities=(
            quality("q", {"state": True, "containers": [{"name": "x"}]}, containerName="game"),
        ),
        template=template,
    )
    (problem,) = invalid_qualities(owner.spec)
    assert problem.message == "'x' is no container of the template (game, web)"
