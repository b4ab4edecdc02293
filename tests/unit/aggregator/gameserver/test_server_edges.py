"""What an edge writes, and how often one without an effect is remembered (SPEC 4.2 and 4.12)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.gameserver.operations import Event, PatchPod, PatchServer
from aggregator.gameserver.plan import Plan, plan
from shared.api import names
from tests.support.builders import (
    NOW,
    game_server,
    game_server_set,
    pod,
    probe_report,
    quality,
    report,
)
from tests.support.server_plans import CLAIM, GATE, applied, kinds, observed, settle


def test_an_edge_is_one_patch_with_effect_record_and_node_and_one_status_and_one_mirror():
    settled = settle(observed())
    decision = plan(replace(settled, report=report(GATE)))
    server_patch, status_patch, pod_patch = decision.operations
    annotation = (
        '{"healthy":{"executedAt":"2026-01-02T03:04:05.678Z",'
        '"fields":{"opsState":"GateMaintaining"},"podUid":"pod-0",'
        '"result":"gate","resultHash":"c974e17b8e7321ce8c12","status":"True"}}'
    )
    assert server_patch == PatchServer(
        document={
            "metadata": {
                "annotations": {
                    names.VERDICTS_ANNOTATION: annotation,
                    names.ACTED_ON_ANNOTATION: '{"podUid":"pod-0","epoch":1,"sequence":1,'
                    '"at":"2026-01-02T03:04:05.678Z"}',
                }
            },
            "spec": {"opsState": "GateMaintaining"},
        },
        uid="server-0",
        resource_version="30",
        events=(
            Event(
                "Normal",
                "ServiceQualityAction",
                "healthy=True(gate): opsState None -> GateMaintaining",
            ),
        ),
    )
    assert status_patch.status["serviceQualitiesConditions"] == [
        {
            "name": "healthy",
            "status": "True",
            "result": "gate",
            "reason": "",
            "message": "",
            "lastProbeTime": "2026-01-02T03:00:00Z",
            "lastTransitionTime": "2026-01-02T03:00:00Z",
            "lastActionTransitionTime": "2026-01-02T03:04:05.678000Z",
        }
    ]
    assert pod_patch == PatchPod(
        metadata={
            "labels": {names.OPS_STATE_LABEL: "GateMaintaining"},
            "annotations": {names.OPS_STATE_CHANGED_ANNOTATION: "2026-01-02T03:04:05.678Z"},
        },
        uid="pod-0",
        resource_version="20",
        events=(Event("Normal", "GsStateChanged", "opsState None -> GateMaintaining"),),
    )


def test_after_an_edge_nothing_is_left_to_do():
    settled = settle(observed())
    edge = replace(settled, report=report(GATE))
    after = applied(edge, plan(edge))
    assert plan(replace(after, now=NOW + timedelta(hours=1))) == Plan()


@pytest.mark.parametrize(
    ("change", "label"),
    [
        pytest.param({"pod": pod(terminating=True)}, "None", id="terminating pod"),
        pytest.param({"server": game_server(deleting=True)}, "None", id="deleted server"),
        pytest.param({"server": game_server(deletion=CLAIM)}, "None", id="claimed"),
        pytest.param({"lost": True}, "None", id="lost agent"),
        pytest.param({"owner": None}, "None", id="set is gone"),
        pytest.param({"server": game_server(opsState="Kill")}, "Kill", id="Kill"),
    ],
)
def test_no_action_changes_the_state_of(change, label):
    after = settle(observed(report=report(GATE), **change))
    assert after.server.spec.ops_state == label


def test_unknown_costs_a_status_and_no_spec():
    settled = settle(observed())
    seen = report(probe_report(status="Unknown", reason="ProbePending", message="wait"))
    assert kinds(plan(replace(settled, report=seen))) == ["PatchStatus"]


def changing(**fields):
    """A settled server whose result changes without asking for anything."""
    settled = settle(observed(report=report(probe_report(result="1"))))
    return replace(settled, report=report(probe_report(result="2")), **fields)


def test_an_edge_without_an_effect_is_only_remembered():
    patch = plan(changing()).operations[0]
    assert (type(patch), patch.only_remembers, patch.events) == (PatchServer, True, ())
    assert list(patch.document) == ["metadata"]


@pytest.mark.parametrize(
    ("ago", "kinds_", "due"),
    [
        (timedelta(seconds=9), ["PatchStatus"], timedelta(seconds=1)),
        (timedelta(seconds=10), ["PatchServer", "PatchStatus"], None),
    ],
    ids=["too soon", "due"],
)
def test_it_is_remembered_at_most_once_in_ten_seconds(ago, kinds_, due):
    decision = plan(changing(remembered_at=NOW - ago))
    assert (kinds(decision), decision.requeue_after) == (kinds_, due)


@pytest.mark.parametrize(
    ("action", "waits"),
    [
        pytest.param({"opsState": "None"}, False, id="a spent one does not wait"),
        pytest.param({"opsState": "not legal"}, True, id="one that could do nothing does"),
    ],
)
def test_that_a_permanent_quality_is_spent_is_remembered_at_once(action, waits):
    once = quality("healthy", {"state": True} | action, permanent=True)
    settled = settle(observed(owner=game_server_set(qualities=(once,))))
    seen = replace(settled, report=report(probe_report()), remembered_at=NOW)
    assert ("PatchServer" not in kinds(plan(seen))) is waits


def test_priorities_that_are_there_already_as_a_number_or_its_text_are_not_written_again():
    prior = quality("healthy", {"state": True, "deletionPriority": 10, "updatePriority": "7"})
    server = game_server(deletionPriority="10", updatePriority=7)
    seen = observed(owner=game_server_set(qualities=(prior,)), server=server)
    (patch, *_) = plan(replace(seen, report=report(probe_report()))).operations
    assert (patch.only_remembers, "spec" in patch.document) == (True, False)


@pytest.mark.parametrize("annotation", ["{", "[]", '{"healthy": 7}'])
def test_a_spoiled_annotation_is_a_first_verdict_again(annotation):
    server = game_server(annotations={names.VERDICTS_ANNOTATION: annotation})
    after = settle(observed(server=server, report=report(GATE)))
    assert after.server.spec.ops_state == "GateMaintaining"
