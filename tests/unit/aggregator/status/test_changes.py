"""What two states of a GameServer tell: which field changed, and which quality did it."""

from datetime import timedelta
from typing import Any

import pytest

from aggregator.quality.match import verdict_of
from aggregator.quality.verdicts import Record, render_records
from aggregator.status.changes import Action, Transition, actions, transitions
from shared.api import names
from shared.api.gameserver import GameServer
from tests.support.builders import NOW, game_server

LATER = NOW + timedelta(seconds=5)
EXECUTED = NOW.replace(microsecond=678_000)


def annotated(*, result: str = "gate", at: Any = EXECUTED) -> dict[str, str]:
    fields = {("opsState",): "GateMaintaining"}
    record = Record(verdict_of("True", result), "pod-0", at, fields)
    return {names.VERDICTS_ANNOTATION: render_records({"healthy": record})}


def test_a_change_by_a_quality_names_it_and_its_verdict() -> None:
    new = game_server(opsState="GateMaintaining", annotations=annotated())
    assert transitions(game_server(), new, LATER) == (
        Transition(LATER, "opsState", "None", "GateMaintaining", "healthy=True(gate)"),
    )
    assert actions(game_server(), new) == (
        Action(EXECUTED, "healthy", "True", "gate", ("opsState None -> GateMaintaining",)),
    )


def test_labels_and_annotations_that_a_quality_writes_are_told_and_nobody_else_s() -> None:
    fields = {("labels", "example.com/world"): "island", ("deletionPriority",): -3}
    record = Record(verdict_of("True", "island"), "pod-0", EXECUTED, fields)
    annotations = {names.VERDICTS_ANNOTATION: render_records({"made": record}), "other": "x"}
    labels = {"example.com/world": "island", "example.com/other": "x"}
    new = game_server(labels=labels, annotations=annotations, deletionPriority=-3)
    cause = "made=True(island)"
    assert transitions(game_server(), new, LATER) == (
        Transition(LATER, "deletionPriority", "0", "-3", cause),
        Transition(LATER, "labels.example.com/world", "", "island", cause),
    )


@pytest.mark.parametrize(
    ("old", "new", "field", "before", "after"),
    [
        pytest.param({}, {"opsState": "Allocated"}, "opsState", "None", "Allocated", id="opsState"),
        pytest.param({}, {"deletionPriority": 7}, "deletionPriority", "0", "7", id="priority"),
        pytest.param({}, {"updatePriority": "5"}, "updatePriority", "0", "5", id="as text"),
        pytest.param({}, {"networkDisabled": True}, "networkDisabled", "", "true", id="network"),
        pytest.param(
            {}, {"deletion": {"reason": "Kill"}}, "deletion", "", "Kill", id="a claim is made"
        ),
        pytest.param(
            {"deletion": {"reason": "ScaleDown"}}, {}, "deletion", "ScaleDown", "", id="taken back"
        ),
        pytest.param(
            {"status": {"currentState": "Ready"}},
            {"status": {"currentState": "Crash"}},
            "state",
            "Ready",
            "Crash",
            id="state",
        ),
        pytest.param(
            {"status": {"podUid": "pod-0"}},
            {"status": {"podUid": "pod-9"}},
            "podUid",
            "pod-0",
            "pod-9",
            id="another pod",
        ),
        pytest.param(
            {"status": {"serviceQualitiesConditions": [{"name": "idle", "status": "True"}]}},
            {
                "status": {
                    "serviceQualitiesConditions": [
                        {"name": "idle", "status": "Unknown", "reason": "AgentLost"}
                    ]
                }
            },
            "verdict.idle",
            "True(empty)",
            "Unknown(AgentLost)",
            id="a verdict",
        ),
    ],
)
def test_a_change_by_anybody_else_has_no_cause(old, new, field, before, after) -> None:
    told = transitions(game_server(**old), game_server(**new), LATER)
    assert told == (Transition(LATER, field, before, after, ""),)
    assert actions(game_server(**old), game_server(**new)) == ()


def test_a_field_that_a_quality_writes_is_told_once_in_the_form_of_the_object() -> None:
    record = Record(verdict_of("True", ""), "pod-0", EXECUTED, {("networkDisabled",): True})
    annotations = {names.VERDICTS_ANNOTATION: render_records({"idle": record})}
    new = game_server(annotations=annotations, networkDisabled=True)
    assert transitions(game_server(), new, LATER) == (
        Transition(LATER, "networkDisabled", "", "true", "idle=True(empty)"),
    )


def test_an_edit_after_an_action_is_not_the_action_again() -> None:
    old = game_server(opsState="GateMaintaining", annotations=annotated())
    new = game_server(opsState="Allocated", annotations=annotated())
    assert transitions(old, new, LATER) == (
        Transition(LATER, "opsState", "GateMaintaining", "Allocated", ""),
    )
    assert actions(old, new) == ()


def test_an_action_that_found_everything_as_asked_is_one_without_changes() -> None:
    old = game_server(opsState="GateMaintaining")
    new = game_server(opsState="GateMaintaining", annotations=annotated())
    assert actions(old, new) == (Action(EXECUTED, "healthy", "True", "gate", ()),)


def test_what_a_verdict_without_an_action_leaves_behind_is_no_action() -> None:
    new = game_server(annotations=annotated(at=None))
    assert actions(game_server(), new) == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(None, game_server(), (), id="what a first list brings"),
        pytest.param(None, None, (), id="nothing"),
        pytest.param(
            game_server(),
            None,
            (Transition(LATER, "object", "present", "deleted"),),
            id="deleted",
        ),
        pytest.param(
            game_server(opsState="Kill"),
            game_server(uid="another"),
            (Transition(LATER, "object", "deleted", "created anew"),),
            id="deleted and created while nobody watched",
        ),
    ],
)
def test_the_life_of_the_object_is_told_too(
    old: GameServer | None, new: GameServer | None, expected
) -> None:
    assert transitions(old, new, LATER) == expected


def test_the_last_action_before_this_process_is_known_without_its_changes() -> None:
    new = game_server(opsState="GateMaintaining", annotations=annotated())
    assert actions(None, new) == (Action(EXECUTED, "healthy", "True", "gate", ()),)
    assert actions(game_server(uid="another"), new) == actions(None, new)
