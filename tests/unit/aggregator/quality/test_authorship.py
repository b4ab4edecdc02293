"""What we wrote and what a person wrote: who may change it next (SPEC 4.2 and 4.5)."""

import pytest

from aggregator.quality.match import OPS_STATE
from aggregator.quality.merge import Outcome, Situation, decide
from aggregator.quality.verdicts import parse_records
from tests.support.builders import NOW, quality
from tests.support.verdict_steps import HEALTHY, IDLE, Server, seen, written_by


@pytest.mark.parametrize("ops_state", ["Allocated", "Maintaining", "WaitToBeDeleted", "Custom"])
def test_a_first_none_leaves_a_state_that_we_did_not_write(ops_state):
    server = Server((IDLE,), {OPS_STATE: ops_state})
    assert server.step(idle="False") == {}
    assert server.present == {OPS_STATE: ops_state}


def test_a_first_none_clears_what_we_wrote_for_the_pod_before():
    server = Server((HEALTHY,))
    server.step(healthy="False")
    server.pod_uid = "pod-1"
    assert server.step(healthy="True") == {OPS_STATE: "None"}


def test_what_we_wrote_stays_ours_over_several_pods():
    server = Server((HEALTHY,))
    for pod_uid in ("pod-0", "pod-1"):
        server.pod_uid = pod_uid
        server.step(healthy="False")
    server.pod_uid = "pod-2"
    assert server.step(healthy="True") == {OPS_STATE: "None"}


def test_a_first_none_leaves_what_a_person_wrote_for_the_pod_before():
    server = Server((HEALTHY,), {OPS_STATE: "Maintaining"})
    assert server.step(healthy="False") == {}, "it is there already: by hand"
    server.pod_uid = "pod-1"
    assert server.step(healthy="True") == {}
    assert server.present == {OPS_STATE: "Maintaining"}


def test_a_field_stays_ours_while_other_fields_change():
    team = quality(
        "team",
        {"state": True, "result": "a", "opsState": "Maintaining"},
        {"state": True, "result": "b", "labels": {"team": "red"}},
        {"state": False, "opsState": "None"},
    )
    server = Server((team,))
    assert server.step(team="True:a") == {OPS_STATE: "Maintaining"}
    assert server.step(team="True:b") == {("labels", "team"): "red"}
    server.pod_uid = "pod-1"
    assert server.step(team="False") == {OPS_STATE: "None"}


def test_what_another_edge_lets_through_is_recorded_for_who_asked_for_it():
    server = Server((IDLE, HEALTHY))
    assert server.step(idle="True", healthy="False") == {OPS_STATE: "Maintaining"}
    assert written_by(server) == {"idle": None, "healthy": "Maintaining"}
    assert server.step(idle="True", healthy="True") == {OPS_STATE: "WaitToBeDeleted"}
    assert written_by(server) == {"idle": "WaitToBeDeleted", "healthy": None}


def test_two_that_ask_for_one_value_have_both_written_it():
    empty = quality("empty", {"state": True, "opsState": "WaitToBeDeleted"})
    server = Server((IDLE, empty))
    assert server.step(idle="True") == {OPS_STATE: "WaitToBeDeleted"}
    assert server.step(idle="True", empty="True") == {}, "it is there already: by our hand"
    assert written_by(server) == {"idle": "WaitToBeDeleted", "empty": "WaitToBeDeleted"}
    server.step(idle="False", empty="True")
    assert written_by(server) == {"idle": None, "empty": "WaitToBeDeleted"}


def test_what_a_person_changed_since_is_not_ours():
    empty = quality("empty", {"state": True, "opsState": "WaitToBeDeleted"})
    server = Server((IDLE, empty))
    server.step(idle="True")
    server.present[OPS_STATE] = "Allocated"
    assert server.step(idle="True", empty="True") == {}, "idle asked for it before"
    assert written_by(server) == {"idle": "WaitToBeDeleted", "empty": None}


def test_a_manual_edit_survives_until_the_probes_ask_for_something_else():
    server = Server((IDLE,))
    assert server.step(idle="True") == {OPS_STATE: "WaitToBeDeleted"}
    server.present[OPS_STATE] = "Allocated"
    assert server.step(idle="True") is None
    assert server.step(idle="True:other result") == {}
    assert server.present == {OPS_STATE: "Allocated"}
    assert server.step(idle="False") == {OPS_STATE: "None"}


def test_a_field_that_changed_since_the_report_is_left_to_who_changed_it():
    edited = frozenset({OPS_STATE})
    present = {OPS_STATE: "Allocated"}
    changed = Situation((IDLE,), {}, seen(idle="True"), present, "pod-0", NOW, edited=edited)
    effects = decide(changed)
    assert (effects.writes, effects.outcomes) == ({}, {OPS_STATE: Outcome.EDITED})
    assert effects.records["idle"].fields == {}
    assert (
        decide(Situation((IDLE,), effects.records, seen(idle="True"), present, "pod-0", NOW))
        is None
    )


def test_a_field_that_was_removed_since_the_report_stays_away_though_no_record_knows_it():
    team = quality("team", {"state": True, "labels": {"team": "red"}})
    label = ("labels", "team")
    server = Server((IDLE, team))
    server.step(idle="False")
    removed = Situation(
        (IDLE, team),
        parse_records(server.annotation),
        seen(idle="False", team="True"),
        {OPS_STATE: "None"},
        "pod-0",
        NOW,
        edited=frozenset({label}),
    )
    effects = decide(removed)
    assert (effects.writes, effects.outcomes[label]) == ({}, Outcome.EDITED)


def test_what_we_wrote_and_a_person_changed_is_still_remembered_while_it_is_asked_for():
    server = Server((quality("load", {"state": True, "opsState": "Busy"}),))
    server.step(load="True:10")
    server.present[OPS_STATE] = "Allocated"
    assert server.step(load="True:11") == {}
    assert written_by(server) == {"load": "Busy"}


def test_a_result_that_changes_with_every_run_re_asserts_nothing():
    load = quality(
        "load", {"state": True, "opsState": "{{if ge .Result 90}}Busy{{else}}None{{end}}"}
    )
    server = Server((load,))
    assert server.step(load="True:10") == {}
    server.present[OPS_STATE] = "Allocated"
    assert server.step(load="True:11") == {}
    assert server.step(load="True:95") == {OPS_STATE: "Busy"}
    server.present[OPS_STATE] = "Allocated"
    assert server.step(load="True:96") == {}
    assert server.step(load="True:12") == {OPS_STATE: "None"}
