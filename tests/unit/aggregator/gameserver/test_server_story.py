"""The Events of a game server: what changed and why, in words (SPEC 4.11)."""

from dataclasses import replace

import pytest

from aggregator.gameserver.operations import Event, PatchPod
from aggregator.gameserver.plan import plan
from shared.api import names
from tests.support.builders import game_server, game_server_set, probe_report, quality, report
from tests.support.server_plans import DOWN, observed, patched, settle


def test_maintaining_is_a_warning():
    settled = settle(observed(owner=game_server_set(qualities=(DOWN,))))
    decision = plan(replace(settled, report=report(probe_report(status="False"))))
    assert decision.operations[-1].events == (
        Event("Warning", "GsStateChanged", "opsState None -> Maintaining"),
    )


def test_an_edge_before_the_first_mirror_is_told_too():
    owner = game_server_set(qualities=(DOWN,))
    decision = plan(observed(owner=owner, report=report(probe_report(status="False"))))
    assert decision.operations[-1].events == (
        Event("Warning", "GsStateChanged", "opsState None -> Maintaining"),
    )


def test_a_change_by_hand_is_told_when_it_is_mirrored():
    settled = settle(observed())
    by_hand = patched(settled.server, {"spec": {"opsState": "Allocated"}})
    decision = plan(replace(settled, server=by_hand))
    assert decision.operations == (
        PatchPod(
            metadata={
                "labels": {names.OPS_STATE_LABEL: "Allocated"},
                "annotations": {names.OPS_STATE_CHANGED_ANNOTATION: "2026-01-02T03:04:05.678Z"},
            },
            uid="pod-0",
            resource_version="20",
            events=(Event("Normal", "GsStateChanged", "opsState None -> Allocated"),),
        ),
    )


def test_a_state_of_other_letter_case_is_a_warning_that_names_the_one_meant():
    settled = settle(observed())
    by_hand = patched(settled.server, {"spec": {"opsState": "allocated"}})
    (mirrored,) = plan(replace(settled, server=by_hand)).operations
    message = (
        "opsState None -> allocated, which is a state of your own: "
        "write Allocated if that is what you mean"
    )
    assert mirrored.events == (Event("Warning", "GsStateChanged", message),)


def test_a_field_that_cannot_be_written_is_a_warning_that_names_it():
    bad = quality("healthy", {"state": True, "opsState": "not legal", "labels": {"a": "1"}})
    settled = settle(observed(owner=game_server_set(qualities=(bad,))))
    (patch, *_) = plan(replace(settled, report=report(probe_report()))).operations
    assert patch.events == (
        Event(
            "Warning",
            "ServiceQualityAction",
            "healthy=True(empty): labels.a unset -> 1; opsState is left alone: "
            "'not legal' is no legal label value: "
            "use at most 63 letters, digits, - _ and . with a letter or digit at both ends",
        ),
    )


def test_a_long_result_does_not_push_the_change_out_of_the_event():
    settled = settle(observed(owner=game_server_set(qualities=(DOWN,))))
    seen = report(probe_report(status="False", result="x" * 1024))
    (patch, *_) = plan(replace(settled, report=seen)).operations
    assert [event.message for event in patch.events] == [
        f"healthy=False({'x' * 63}…): opsState None -> Maintaining"
    ]


MANY = quality(
    "healthy",
    {
        "state": True,
        "opsState": "None",
        "deletionPriority": "{{.Result}}",
        "labels": {"team": "red", "map": "not legal"},
    },
)


@pytest.mark.parametrize(
    ("ops_state", "reason"),
    [
        pytest.param("Kill", "Kill is final", id="Kill"),
        pytest.param(
            "Allocated", "a first None clears only what a service quality has written", id="None"
        ),
    ],
)
def test_one_event_tells_what_was_written_what_was_refused_and_what_stays(ops_state, reason):
    server = game_server(opsState=ops_state, labels={"team": "blue"})
    seen = report(probe_report(result="7"))
    (patch, *_) = plan(
        observed(owner=game_server_set(qualities=(MANY,)), server=server, report=seen)
    ).operations
    assert patch.events == (
        Event(
            "Warning",
            "ServiceQualityAction",
            "healthy=True(7): deletionPriority 0 -> 7, labels.team blue -> red; "
            "labels.map is left alone: 'not legal' is no legal label value: "
            "use at most 63 letters, digits, - _ and . with a letter or digit at both ends; "
            f"opsState stays {ops_state}: {reason}",
        ),
    )


def test_what_somebody_removed_after_the_report_stays_unset_and_that_is_told():
    team = quality("healthy", {"state": True, "labels": {"team": "red"}})
    seen = observed(
        owner=game_server_set(qualities=(team,)),
        at_report=game_server(labels={"team": "blue"}),
        report=report(probe_report()),
    )
    (patch, *_) = plan(seen).operations
    assert patch.events == (
        Event(
            "Normal",
            "ServiceQualityFieldSkipped",
            "healthy=True(empty): labels.team stays unset: somebody changed it after the report",
        ),
    )


def test_what_the_edge_of_one_lets_through_is_told_of_the_one_that_asked():
    """As soon as the second asks for nothing, what the first has asked for all along is written."""
    first = quality("first", {"state": True, "labels": {"team": "red"}})
    second = quality("second", {"state": True, "labels": {"team": "blue"}})
    owner = game_server_set(qualities=(first, second))

    def said(second_status: str):
        return report(probe_report("first"), probe_report("second", second_status))

    settled = settle(observed(owner=owner, report=said("True")))
    (patch, *_) = plan(replace(settled, report=said("False"))).operations
    assert patch.events == (
        Event("Normal", "ServiceQualityAction", "first=True(empty): labels.team blue -> red"),
    )


def test_a_result_of_64_letters_is_told_whole():
    settled = settle(observed(owner=game_server_set(qualities=(DOWN,))))
    seen = report(probe_report(status="False", result="x" * 64))
    (patch, *_) = plan(replace(settled, report=seen)).operations
    assert [event.message for event in patch.events] == [
        f"healthy=False({'x' * 64}): opsState None -> Maintaining"
    ]
