"""The Events of a game server: what changed and why, in words (SPEC 4.11)."""

from dataclasses import replace

from aggregator.gameserver.operations import Event, PatchPod
from aggregator.gameserver.plan import plan
from shared.api import names
from tests.support.builders import game_server_set, probe_report, quality, report
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
