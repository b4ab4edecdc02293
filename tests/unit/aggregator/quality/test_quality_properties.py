"""What holds for any sequence of verdicts, edits and crashes (SPEC 4.2, 4.4)."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.quality.match import verdict_of
from aggregator.quality.merge import Effects, Situation, decide
from aggregator.quality.verdicts import parse_records, render_records
from tests.support.builders import NOW, quality

pytestmark = pytest.mark.timeout(60)  # many examples, and both cores may be busy

OPS = ("opsState",)
IDLE = quality(
    "idle", {"state": True, "opsState": "WaitToBeDeleted"}, {"state": False, "opsState": "None"}
)
PLAYERS = quality(
    "players",
    {
        "state": True,
        "deletionPriority": "{{.Result}}",
        "opsState": "{{if ge .Result 2}}Allocated{{end}}",
        "labels": {"players": "{{.Result}}"},
    },
)
ONCE = quality(
    "once",
    {"state": True, "result": "full", "opsState": "Maintaining"},
    {"state": False, "labels": {"never": "full"}},
    permanent=True,
)
QUALITIES = (IDLE, PLAYERS, ONCE)
RESULTS = st.sampled_from(["", "0", "1", "2", "full", "many"])
VERDICTS = st.dictionaries(
    st.sampled_from([each.name for each in QUALITIES]),
    st.builds(verdict_of, st.sampled_from(["True", "False"]), RESULTS),
)
STATES = st.sampled_from(["None", "WaitToBeDeleted", "Maintaining", "Allocated", "Kill", "Custom"])


@dataclass
class Server:
    """A GameServer in the API server: every patch is whole, and refused when it is out of date."""

    fields: dict[tuple[str, ...], Any] = field(default_factory=lambda: {OPS: "None"})
    annotation: str | None = None
    version: int = 0
    patches: list[Effects] = field(default_factory=list)

    def situation(self, verdicts) -> Situation:
        records = parse_records(self.annotation)
        return Situation(QUALITIES, records, verdicts, dict(self.fields), "pod-0", NOW)

    def apply(self, effects: Effects, version: int) -> None:
        if version != self.version:
            return
        self.fields |= effects.writes
        self.annotation = render_records(effects.records)
        self.version += 1
        self.patches.append(effects)

    def edit(self, ops_state: str) -> None:
        self.fields[OPS] = ops_state
        self.version += 1

    def settle(self, verdicts) -> None:
        effects = decide(self.situation(verdicts))
        if effects is not None:
            self.apply(effects, self.version)


# A run is the verdicts that hold one after another, and what happens while each of them holds.
HAPPENINGS = st.one_of(
    st.tuples(st.just("edit"), STATES),
    st.tuples(st.just("decide"), st.integers(0, 1)),
    st.tuples(st.just("write"), st.integers(0, 1)),
    # After a crash, or after an answer that was lost, the aggregator knows nothing of its decision.
    st.tuples(st.just("forget"), st.integers(0, 1)),
)
RUNS = st.lists(st.tuples(VERDICTS, st.lists(HAPPENINGS, max_size=6)), min_size=1, max_size=6)


def play(runs) -> Server:
    """Two aggregators that both believe to lead, with crashes between their reads and writes."""
    server = Server()
    pending: dict[int, tuple[Effects | None, int]] = {}
    for verdicts, happenings in runs:
        for what, value in happenings:
            match what:
                case "edit":
                    server.edit(value)
                case "decide":
                    pending[value] = decide(server.situation(verdicts)), server.version
                case "write":
                    effects, version = pending.pop(value, (None, 0))
                    if effects is not None:
                        server.apply(effects, version)
                case "forget":
                    pending.pop(value, None)
    server.settle(runs[-1][0])
    return server


def executions(server: Server) -> int:
    """How often an action of the permanent quality ran."""
    ran = [each for effects in server.patches for each in effects.executed if each.asked]
    return [each.name for each in ran].count("once")


@given(RUNS)
def test_a_permanent_quality_acts_at_most_once_whatever_crashes(runs):
    assert executions(play(runs)) <= 1


@given(RUNS, st.sampled_from([verdict_of("True", "full"), verdict_of("False", "2")]))
def test_a_permanent_quality_acts_at_least_once_for_a_verdict_that_holds(runs, verdict):
    held, happenings = runs[-1]
    assert executions(play([*runs[:-1], (held | {"once": verdict}, happenings)])) == 1


@given(RUNS)
def test_a_verdict_that_matches_nothing_does_not_use_a_permanent_quality_up(runs):
    half = verdict_of("True", "half")
    before = [(held | {"once": half}, happenings) for held, happenings in runs]
    server = play(before)
    assert executions(server) == 0
    server.settle({"once": verdict_of("True", "full")})
    assert executions(server) == 1


@given(RUNS)
def test_without_an_edge_there_is_no_write(runs):
    server = play(runs)
    for state in ("None", "Allocated", "Custom"):
        server.edit(state)
        assert decide(server.situation(runs[-1][0])) is None
        assert decide(server.situation({})) is None


@given(RUNS)
def test_every_patch_has_an_edge_and_only_what_differs_is_written(runs):
    server = play(runs)
    replayed: dict[str, Any] = {}
    for effects in server.patches:
        changed = [
            name
            for name, record in effects.records.items()
            if name not in replayed or not replayed[name].verdict.is_same(record.verdict)
        ]
        assert changed
        replayed = dict(effects.records)


@given(RUNS, STATES)
def test_kill_stays_whatever_the_probes_say(runs, state):
    killed = [(verdicts, [("edit", "Kill")]) for verdicts, _ in runs]
    assert play(killed).fields[OPS] == "Kill"


@given(RUNS)
def test_a_decision_changes_none_of_its_inputs_and_is_the_same_twice(runs):
    situation = play(runs[:-1] or runs).situation(runs[-1][0])
    before = deepcopy(situation)
    assert decide(situation) == decide(before)
    assert situation == before


@given(RUNS)
def test_what_is_remembered_survives_the_text_of_the_annotation(runs):
    server = play(runs)
    records = parse_records(server.annotation)
    assert render_records(records) == (server.annotation or "{}")
    assert all(records[name].verdict == verdict for name, verdict in runs[-1][0].items())
