"""Several verdicts, one GameServer: edges and precedence (SPEC 4.2, 4.3, 4.5 and 4.6)."""

import pytest

from aggregator.quality.match import OPS_STATE, Contribution
from aggregator.quality.merge import Effects, Executed, Outcome, Situation, Wish, decide, merge
from aggregator.quality.verdicts import Record, parse_records
from tests.support.builders import NOW, quality
from tests.support.verdict_steps import HEALTHY, IDLE, NOW_AS_KEPT, Server, seen


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


def test_a_first_verdict_asks_for_another_state_at_once():
    assert Server((IDLE,), {OPS_STATE: "Allocated"}).step(idle="True") == {
        OPS_STATE: "WaitToBeDeleted"
    }


def test_kill_is_never_overwritten_but_other_fields_are_written():
    marking = quality("q", {"state": True, "opsState": "None", "labels": {"a": "1"}})
    server = Server((marking,), {OPS_STATE: "Kill"})
    assert server.step(q="True") == {("labels", "a"): "1"}


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
