"""Several verdicts, one GameServer: edges, permanence, precedence (SPEC 4.2 to 4.6)."""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.quality.match import OPS_STATE, Contribution, Verdict, verdict_of
from aggregator.quality.merge import Effects, Executed, Outcome, Situation, Wish, decide, merge
from aggregator.quality.verdicts import Record, parse_records, render_records
from tests.support.builders import NOW, quality

NOW_AS_KEPT = NOW.replace(microsecond=678_000)
IDLE = quality(
    "idle", {"state": True, "opsState": "WaitToBeDeleted"}, {"state": False, "opsState": "None"}
)
HEALTHY = quality(
    "healthy", {"state": True, "opsState": "None"}, {"state": False, "opsState": "Maintaining"}
)
ONCE = quality("once", {"state": True, "result": "full", "opsState": "Allocated"}, permanent=True)


def seen(**statuses: str) -> dict[str, Verdict]:
    """`idle="True"` or `idle="True:result"`."""
    verdicts = {}
    for name, text in statuses.items():
        status, _, result = text.partition(":")
        verdicts[name] = verdict_of("True" if status == "True" else "False", result)
    return verdicts


@dataclass
class Server:
    """A GameServer as the decision sees it: its fields and its annotation, over several steps."""

    qualities: tuple[Any, ...]
    present: dict[tuple[str, ...], Any] = field(default_factory=lambda: {OPS_STATE: "None"})
    annotation: str | None = None
    pod_uid: str = "pod-0"

    def step(self, **statuses: str) -> dict[tuple[str, ...], Any] | None:
        """Decide and apply; the fields written, None when no quality had an edge."""
        effects = decide(
            Situation(
                self.qualities,
                parse_records(self.annotation),
                seen(**statuses),
                self.present,
                self.pod_uid,
                NOW,
            )
        )
        if effects is None:
            return None
        self.annotation = render_records(effects.records)
        self.present |= effects.writes
        return dict(effects.writes)


def test_an_edge_writes_the_effect_the_record_and_says_who_did_it():
    situation = Situation((IDLE,), {}, seen(idle="True"), {OPS_STATE: "None"}, "pod-0", NOW)
    asked = {OPS_STATE: "WaitToBeDeleted"}
    verdict = seen(idle="True")["idle"]
    assert decide(situation) == Effects(
        writes=asked,
        records={"idle": Record(verdict, "pod-0", NOW_AS_KEPT, asked)},
        executed=(Executed("idle", verdict, asked, ()),),
        wishes={OPS_STATE: Wish("WaitToBeDeleted", "idle")},
        outcomes={OPS_STATE: Outcome.WRITTEN},
    )


def test_no_verdict_is_no_edge():
    assert Server((IDLE,)).step() is None


def test_a_manual_edit_survives_until_the_probes_ask_for_something_else():
    server = Server((IDLE,))
    assert server.step(idle="True") == {OPS_STATE: "WaitToBeDeleted"}
    server.present[OPS_STATE] = "Allocated"
    assert server.step(idle="True") is None
    assert server.step(idle="True:other result") == {}
    assert server.present == {OPS_STATE: "Allocated"}
    assert server.step(idle="False") == {OPS_STATE: "None"}


def test_unknown_is_no_edge_and_keeps_the_last_contribution():
    server = Server((IDLE, HEALTHY))
    assert server.step(idle="True", healthy="False") == {OPS_STATE: "Maintaining"}
    assert server.step(idle="True") is None
    assert server.step(idle="False") == {}, "healthy is Unknown and still asks for Maintaining"
    assert server.step(idle="False", healthy="False") is None
    assert server.step(idle="False", healthy="True") == {OPS_STATE: "None"}


def test_none_yields_to_any_other_state_whatever_the_order():
    for qualities in [(IDLE, HEALTHY), (HEALTHY, IDLE)]:
        server = Server(qualities)
        assert server.step(idle="True", healthy="True") == {OPS_STATE: "WaitToBeDeleted"}


def test_a_later_quality_overrides_an_earlier_one():
    assert Server((IDLE, HEALTHY)).step(idle="True", healthy="False") == {OPS_STATE: "Maintaining"}
    server = Server((HEALTHY, IDLE))
    assert server.step(idle="True", healthy="False") == {OPS_STATE: "WaitToBeDeleted"}


@pytest.mark.parametrize("ops_state", ["Allocated", "Maintaining", "WaitToBeDeleted", "Custom"])
def test_a_first_none_leaves_a_state_that_we_did_not_write(ops_state):
    server = Server((IDLE,), {OPS_STATE: ops_state})
    assert server.step(idle="False") == {}
    assert server.present == {OPS_STATE: ops_state}


def test_a_first_verdict_asks_for_another_state_at_once():
    assert Server((IDLE,), {OPS_STATE: "Allocated"}).step(idle="True") == {
        OPS_STATE: "WaitToBeDeleted"
    }


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


def test_kill_is_never_overwritten_but_other_fields_are_written():
    marking = quality("q", {"state": True, "opsState": "None", "labels": {"a": "1"}})
    server = Server((marking,), {OPS_STATE: "Kill"})
    assert server.step(q="True") == {("labels", "a"): "1"}


def test_a_permanent_quality_acts_at_most_once_for_a_pod():
    server = Server((ONCE,))
    assert server.step(once="True:half") == {}, "matches nothing, so it is not used up"
    assert server.step(once="True:full") == {OPS_STATE: "Allocated"}
    server.present[OPS_STATE] = "None"
    assert server.step(once="True:half") == {}
    assert server.step(once="True:full") == {}
    server.pod_uid = "pod-1"
    assert server.step(once="True:full") == {OPS_STATE: "Allocated"}


def test_a_permanent_quality_whose_every_field_was_skipped_is_not_used_up():
    bad = quality("q", {"state": True, "opsState": "not legal"}, permanent=True)
    server = Server((bad,))
    assert server.step(q="True") == {}
    good = quality("q", {"state": True, "opsState": "Legal"}, permanent=True)
    server.qualities = (good,)
    assert server.step(q="True:again") == {OPS_STATE: "Legal"}


def test_a_spent_quality_no_longer_takes_part_in_the_merge():
    once = quality("once", {"state": True, "opsState": "Allocated"}, permanent=True)
    server = Server((IDLE, once))
    assert server.step(idle="False", once="True") == {OPS_STATE: "Allocated"}
    assert server.step(idle="True", once="True") == {OPS_STATE: "WaitToBeDeleted"}


def test_the_record_of_a_removed_quality_goes_with_the_next_edge():
    server = Server((IDLE, HEALTHY))
    server.step(idle="True", healthy="True")
    server.qualities = (IDLE,)
    server.step(idle="False")
    assert list(parse_records(server.annotation)) == ["idle"]


def test_the_time_of_execution_is_kept_when_an_edge_matches_nothing():
    partial = quality("q", {"state": True, "opsState": "Busy"})
    server = Server((partial,))
    server.step(q="True")
    server.step(q="False")
    record = parse_records(server.annotation)["q"]
    assert record == Record(seen(q="False")["q"], "pod-0", NOW_AS_KEPT, {OPS_STATE: "Busy"})


def written_by(server: Server) -> dict[str, Any]:
    records = parse_records(server.annotation)
    return {name: record.fields.get(OPS_STATE) for name, record in records.items()}


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


def test_a_corrected_spec_does_not_let_a_permanent_quality_act_through_the_edge_of_another():
    wrong = quality("once", {"state": True, "opsState": "not legal"}, permanent=True)
    server = Server((IDLE, wrong))
    server.step(once="True")
    right = quality("once", {"state": True, "opsState": "Ready"}, permanent=True)
    server.qualities = (IDLE, right)
    assert server.step(idle="True", once="True") == {OPS_STATE: "WaitToBeDeleted"}
    assert server.step(idle="True", once="True:again") == {OPS_STATE: "Ready"}
    assert server.step(idle="True", once="True:third") == {}


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


def test_both_sides_are_rendered_with_the_present_spec():
    server = Server((quality("q", {"state": True, "opsState": "a-{{.Result}}"}),))
    assert server.step(q="True:1") == {OPS_STATE: "a-1"}
    server.qualities = (quality("q", {"state": True, "opsState": "b"}),)
    assert server.step(q="True:2") == {}, "the edit of the set alone is no edge"
    server.qualities = (quality("q", {"state": True, "opsState": "c-{{.Result}}"}),)
    assert server.step(q="True:3") == {OPS_STATE: "c-3"}


def test_an_edge_of_one_quality_writes_nothing_of_another_whose_spec_was_edited():
    server = Server((IDLE, quality("q", {"state": True, "labels": {"a": "1"}})))
    server.step(idle="True", q="True")
    server.qualities = (IDLE, quality("q", {"state": True, "labels": {"a": "2"}}))
    assert server.step(idle="False", q="True") == {OPS_STATE: "None"}


def test_containers_and_metadata_are_merged_field_by_field():
    one = quality(
        "one",
        {
            "state": True,
            "containers": [{"name": "game", "image": "game:2", "resources": {"limits": {}}}],
            "annotations": {"note": "one"},
        },
    )
    two = quality("two", {"state": True, "containers": [{"name": "game", "image": "game:3"}]})
    server = Server((one, two))
    assert server.step(one="True", two="True") == {
        ("containers", "game", "image"): "game:3",
        ("containers", "game", "resources"): '{"limits":{}}',
        ("annotations", "note"): "one",
    }
    assert parse_records(server.annotation)["two"].fields == {
        ("containers", "game", "image"): "game:3"
    }


def test_only_containers_of_the_template_are_written():
    images = [{"name": "game", "image": "g:2"}, {"name": "gone", "image": "x:1"}]
    asking = quality("q", {"state": True, "containers": images})
    containers = frozenset({"game"})
    first = Situation((asking,), {}, seen(q="True"), {}, "pod-0", NOW, containers=containers)
    effects = decide(first)
    assert effects.writes == {("containers", "game", "image"): "g:2"}
    assert [field for field, _ in effects.executed[0].skipped] == [("containers", "gone", "image")]
    again = Situation(
        (asking,), effects.records, seen(q="True:2"), {}, "pod-0", NOW, containers=containers
    )
    assert decide(again).outcomes == {("containers", "game", "image"): Outcome.UNCHANGED}


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


def test_the_spent_quality_keeps_its_record_and_its_time():
    server = Server((ONCE,))
    server.step(once="True:full")
    server.step(once="False:x")
    assert parse_records(server.annotation)["once"] == Record(
        seen(once="False:x")["once"], "pod-0", NOW_AS_KEPT, {OPS_STATE: "Allocated"}
    )


def test_who_executed_is_told_with_what_was_skipped():
    mixed = quality("q", {"state": True, "opsState": "not legal", "labels": {"a": "1"}})
    silent = quality("silent", {"state": False, "opsState": "None"})
    verdicts = seen(q="True", silent="True")
    effects = decide(Situation((mixed, silent), {}, verdicts, {}, "pod-0", NOW))
    (executed,) = effects.executed
    assert (executed.name, executed.verdict, executed.asked) == (
        "q",
        verdicts["q"],
        {("labels", "a"): "1"},
    )
    assert [field for field, _ in executed.skipped] == [OPS_STATE]


@pytest.mark.parametrize(
    ("contributions", "merged"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([{OPS_STATE: "A"}, {OPS_STATE: "B"}], {OPS_STATE: "B"}, id="later wins"),
        pytest.param([{OPS_STATE: "A"}, {OPS_STATE: "None"}], {OPS_STATE: "A"}, id="None yields"),
        pytest.param([{OPS_STATE: "None"}, {}], {OPS_STATE: "None"}, id="None alone"),
        pytest.param(
            [{("labels", "opsState"): "A"}, {("labels", "opsState"): "None"}],
            {("labels", "opsState"): "None"},
            id="a label that says None does not yield",
        ),
    ],
)
def test_merging(contributions, merged):
    asked = {str(index): Contribution(fields) for index, fields in enumerate(contributions)}
    assert {field: wish.value for field, wish in merge(asked).items()} == merged


STATES = st.sampled_from(["None", "WaitToBeDeleted", "Maintaining", "Allocated", "Kill", "Custom"])
VERDICTS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(["True", "False", "True:full", "True:half"])
        for name in ("idle", "healthy", "once")
    },
)
STEPS = st.lists(st.tuples(VERDICTS, STATES | st.none()), min_size=1, max_size=8)


@given(STEPS)
def test_a_repeated_verdict_writes_nothing_and_inputs_are_not_changed(steps):
    server = Server((IDLE, HEALTHY, ONCE))
    for statuses, edit in steps:
        if edit is not None:
            server.present[OPS_STATE] = edit
        situation = Situation(
            server.qualities,
            parse_records(server.annotation),
            seen(**statuses),
            server.present,
            "pod-0",
            NOW + timedelta(seconds=1),
        )
        before = deepcopy(situation)
        decide(situation)
        assert situation == before
        server.step(**statuses)
        assert server.step(**statuses) is None


@given(STEPS)
def test_kill_stays_and_a_permanent_quality_executes_at_most_once(steps):
    server = Server((IDLE, HEALTHY, ONCE))
    executions = set()
    for statuses, edit in steps:
        if edit is not None:
            server.present[OPS_STATE] = edit
        before = server.present[OPS_STATE]
        server.step(**statuses)
        if before == "Kill":
            assert server.present[OPS_STATE] == "Kill"
        record = parse_records(server.annotation).get("once")
        if record is not None and record.executed_at is not None:
            executions.add(record.fields[OPS_STATE] if record.fields else "")
    assert len(executions) <= 1
