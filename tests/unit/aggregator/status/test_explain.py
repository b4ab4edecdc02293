"""Why actions ran or did not: every reason, and that it agrees with what the reconciler plans."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserver.observed import Observed
from aggregator.gameserver.operations import PatchServer
from aggregator.gameserver.plan import plan
from aggregator.quality.match import verdict_of
from aggregator.quality.verdicts import Record, render_records
from aggregator.status.explain import Decision, ExplainedAction, FieldState, decisions, explain
from shared.api import names
from tests.support.builders import NOW, game_server, game_server_set, pod, probe_report, quality
from tests.support.builders import report as agent_report

GATE = {"state": True, "result": "gate", "opsState": "GateMaintaining"}
WELL = {"state": False, "opsState": "None"}
IDLE = {"state": True, "opsState": "WaitToBeDeleted"}
NAMED = {"state": True, "opsState": "{{.Result}}"}
BROKEN = {"state": True, "opsState": "Maintaining"}


def record(status: Any, result: str = "", *, acted: bool = True, **ops: str) -> Record:
    """A record of pod-0: what was acted on, and which opsState was written."""
    fields = {("opsState",): ops["ops_state"]} if "ops_state" in ops else {}
    return Record(verdict_of(status, result), "pod-0", NOW if acted else None, fields)


def annotated(**records: Record) -> dict[str, str]:
    return {names.VERDICTS_ANNOTATION: render_records(records)}


def observed(*qualities: Any, **fields: Any) -> Observed:
    """A healthy reporting server of a set with these qualities; fields replace what is there."""
    defaults = {
        "pod": pod(),
        "server": game_server(),
        "owner": game_server_set(qualities=qualities),
        "report": agent_report(),
        "lost": False,
        "remembered_at": None,
        "now": NOW,
    }
    return Observed(**(defaults | fields))


HEALTHY = quality("healthy", GATE, WELL)
GONE = {"reason": "ScaleDown", "podUid": "pod-0"}


@pytest.mark.parametrize(
    ("fields", "decision", "words"),
    [
        pytest.param(
            {"report": agent_report(probe_report("healthy", "True", "gate"))},
            Decision.RUNS_NOW,
            "True(gate)",
            id="a first verdict",
        ),
        pytest.param(
            {
                "report": agent_report(probe_report("healthy", "True", "gate")),
                "server": game_server(annotations=annotated(healthy=record("True", "gate"))),
            },
            Decision.ACTED,
            "ran at 2026-01-02 03:04:05 UTC for True(gate)",
            id="acted on already",
        ),
        pytest.param(
            {
                "report": agent_report(probe_report("healthy", "True", "a b")),
                "owner": game_server_set(qualities=(quality("healthy", NAMED),)),
                "server": game_server(annotations=annotated(healthy=record("True", "a b"))),
            },
            Decision.SKIPPED,
            "of what it asks for True(a b), nothing can be written",
            id="no field can be written",
        ),
        pytest.param(
            {"report": agent_report(probe_report("healthy", "True", "data"))},
            Decision.NO_MATCHING_ACTION,
            "no action is for True(data)",
            id="no action for the result",
        ),
        pytest.param(
            {
                "report": agent_report(
                    probe_report("healthy", "Unknown", reason="NoBash", message="install it")
                )
            },
            Decision.UNKNOWN,
            "NoBash: install it",
            id="a probe that cannot be run",
        ),
        pytest.param({}, Decision.NO_REPORT, "not run this probe", id="a probe not reported yet"),
        pytest.param({"report": None}, Decision.NO_REPORT, "not reported", id="no report yet"),
        pytest.param({"lost": True}, Decision.AGENT_LOST, "kubectl logs", id="a silent agent"),
        pytest.param(
            {"pod": pod(agent=False)}, Decision.AGENT_MISSING, "has no agent", id="no agent"
        ),
        pytest.param({"pod": None}, Decision.NO_POD, "no pod", id="no pod"),
        pytest.param(
            {"server": game_server(deletion=GONE)},
            Decision.SERVER_IS_GOING,
            "ScaleDown",
            id="a claimed server",
        ),
        pytest.param(
            {"pod": pod(terminating=True)}, Decision.SERVER_IS_GOING, "deleted", id="terminating"
        ),
        pytest.param(
            {"server": game_server(deleting=True)},
            Decision.SERVER_IS_GOING,
            "deleted",
            id="its object is being deleted",
        ),
    ],
)
def test_each_decision_has_its_reason(fields, decision: Decision, words: str) -> None:
    (explained,) = explain(observed(HEALTHY, **fields))
    assert explained.decision is decision
    assert words in explained.message
    assert decisions(observed(HEALTHY, **fields)) == {"healthy": decision}


@pytest.mark.parametrize("status", ["True", "False"])
def test_a_permanent_quality_that_has_acted_is_done_whatever_the_verdict(status: str) -> None:
    once = quality("once", {"state": True, "opsState": "Open"}, permanent=True)
    known = observed(
        once,
        server=game_server(annotations=annotated(once=record("True", ops_state="Open"))),
        report=agent_report(probe_report("once", status)),
    )
    (explained,) = explain(known)
    assert (explained.decision, explained.fields) == (Decision.PERMANENT_DONE, ())
    assert "never acts on it again" in explained.message


def test_without_a_game_server_or_a_set_there_is_nothing_to_explain() -> None:
    assert explain(observed(HEALTHY, server=None)) == ()
    assert explain(observed(HEALTHY, owner=None)) == ()
    assert decisions(observed(HEALTHY, owner=None)) == {}


def test_each_action_says_why_it_matches_or_not() -> None:
    known = observed(HEALTHY, report=agent_report(probe_report("healthy", "True", "data")))
    (explained,) = explain(known)
    assert explained.actions == (
        ExplainedAction(
            state=True,
            result="gate",
            matches=False,
            message="is for the result 'gate', and it is 'data'",
        ),
        ExplainedAction(
            state=False,
            result="",
            matches=False,
            message="is for the verdict False, and it is True",
        ),
    )


@pytest.mark.parametrize(
    ("present", "recorded", "state", "words"),
    [
        pytest.param("None", None, FieldState.WILL_BE_WRITTEN, "None becomes", id="new"),
        pytest.param(
            "GateMaintaining",
            record("True", "gate", ops_state="GateMaintaining"),
            FieldState.IN_FORCE,
            "has this value",
            id="written and there",
        ),
        pytest.param(
            "Allocated",
            record("True", "gate", ops_state="GateMaintaining"),
            FieldState.EDITED_SINCE,
            "somebody has set Allocated since",
            id="written and edited since",
        ),
        pytest.param(
            "Allocated",
            record("True", "gate"),
            FieldState.LEFT_ALONE,
            "this quality has not written",
            id="never written",
        ),
        pytest.param(
            "Kill", record("True", "gate"), FieldState.LEFT_ALONE, "Kill is final", id="Kill"
        ),
        pytest.param("Kill", None, FieldState.LEFT_ALONE, "Kill is final", id="Kill at an edge"),
    ],
)
def test_each_field_says_what_became_of_it(present, recorded, state, words: str) -> None:
    annotations = annotated(healthy=recorded) if recorded is not None else {}
    known = observed(
        HEALTHY,
        server=game_server(opsState=present, annotations=annotations),
        report=agent_report(probe_report("healthy", "True", "gate")),
    )
    (field,) = explain(known)[0].fields
    assert (field.field, field.asked, field.present) == ("opsState", "GateMaintaining", present)
    assert field.state is state
    assert words in field.message


def test_a_field_that_somebody_has_removed_since_says_so() -> None:
    marking = quality("healthy", {"state": True, "labels": {"team": "red"}})
    remembered = Record(verdict_of("True", "gate"), "pod-0", NOW, {("labels", "team"): "red"})
    known = observed(
        marking,
        server=game_server(annotations=annotated(healthy=remembered)),
        report=agent_report(probe_report("healthy", "True", "gate")),
    )
    (field,) = explain(known)[0].fields
    assert (field.field, field.present, field.state, field.message) == (
        "labels.team",
        None,
        FieldState.EDITED_SINCE,
        "it was written, and somebody has removed it since; "
        "that stays until the verdicts ask for something new",
    )


@pytest.mark.parametrize(
    ("qualities", "overridden", "words"),
    [
        pytest.param(
            (quality("idle", IDLE), quality("broken", BROKEN)),
            "idle",
            "broken asks for Maintaining; it comes later in the set",
            id="the later wins",
        ),
        pytest.param(
            (quality("idle", IDLE), quality("broken", {"state": True, "opsState": "None"})),
            "broken",
            "idle asks for WaitToBeDeleted; None yields to every other state",
            id="None yields",
        ),
    ],
)
def test_a_field_that_another_quality_wins_says_which(qualities, overridden, words: str) -> None:
    probes = (probe_report("idle", "True"), probe_report("broken", "True"))
    known = observed(*qualities, report=agent_report(*probes))
    states = {each.name: each.fields[0] for each in explain(known)}
    assert states[overridden].state is FieldState.OVERRIDDEN
    assert states[overridden].message == words
    (winner,) = states.keys() - {overridden}
    assert states[winner].state is FieldState.WILL_BE_WRITTEN


def test_a_field_of_a_claimed_server_says_that_no_action_runs() -> None:
    """Not that somebody else wrote it: with another result it is what this quality wrote."""
    (explained,) = explain(
        observed(
            HEALTHY,
            report=agent_report(probe_report("healthy", "True", "gate")),
            server=game_server(deletion=GONE, opsState="DataMaintaining"),
        )
    )
    (field,) = explained.fields
    assert (field.state, field.message) == (
        FieldState.LEFT_ALONE,
        "the server has DataMaintaining, and no action runs now",
    )


def test_a_value_that_cannot_be_written_says_why() -> None:
    bad = quality("bad", {"state": True, "labels": {"team": "no label value!"}})
    known = observed(bad, report=agent_report(probe_report("bad", "True")))
    (field,) = explain(known)[0].fields
    assert (field.field, field.asked, field.state) == ("labels.team", None, FieldState.SKIPPED)
    assert "no legal label value" in field.message


STATES = st.sampled_from(["None", "Allocated", "Kill", "WaitToBeDeleted", "Maintaining"])
VERDICTS = st.sampled_from(["True", "False", "Unknown"])


@given(
    present=STATES,
    idle=VERDICTS,
    broken=VERDICTS,
    recorded=st.sampled_from([None, "True", "False"]),
    permanent=st.booleans(),
    claimed=st.booleans(),
)
def test_what_is_explained_as_to_be_written_is_what_the_plan_writes(
    present, idle, broken, recorded, permanent, claimed
) -> None:
    qualities = (
        quality("idle", IDLE, WELL, permanent=permanent),
        quality("broken", BROKEN, {"state": False, "opsState": "None"}),
    )
    annotations = annotated(idle=record(recorded)) if recorded is not None else {}
    server = game_server(
        opsState=present, annotations=annotations, deletion=GONE if claimed else None
    )
    probes = (probe_report("idle", idle), probe_report("broken", broken))
    known = observed(*qualities, server=server, report=agent_report(*probes))
    told = {
        (field.field, field.asked)
        for each in explain(known)
        for field in each.fields
        if field.state is FieldState.WILL_BE_WRITTEN
    }
    planned = {
        (name, value)
        for operation in plan(known).operations
        if isinstance(operation, PatchServer)
        for name, value in operation.document.get("spec", {}).items()
    }
    assert told == planned
    assert decisions(known) == {each.name: each.decision for each in explain(known)}


def test_explaining_changes_nothing() -> None:
    known = observed(HEALTHY, report=agent_report(probe_report("healthy", "True", "gate")))
    before = replace(known)
    explain(known)
    assert known == before
