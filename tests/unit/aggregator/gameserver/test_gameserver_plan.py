"""What is written for one game server, and that what was written is not written again."""

import json
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserver.observed import Observed
from aggregator.gameserver.operations import (
    CreateServer,
    DeleteServer,
    Event,
    PatchPod,
    PatchServer,
    PatchStatus,
)
from aggregator.gameserver.plan import Plan, plan
from aggregator.pods import decode_pod
from shared.api import names
from shared.api.gameserver import GameServer
from tests.support.builders import (
    NOW,
    game_server,
    game_server_set,
    pod,
    probe_report,
    quality,
    report,
)
from tests.support.merge_patch import merged

SEED = quality(
    "healthy",
    {"state": True, "result": "gate", "opsState": "GateMaintaining"},
    {"state": False, "opsState": "None"},
)
DOWN = quality("healthy", {"state": False, "opsState": "Maintaining"})
SET = game_server_set(qualities=(SEED,))
SET_DELETE = game_server_set(
    template={"spec": {"containers": [{"name": "game"}]}, "reclaimPolicy": "Delete"}
)
GATE = probe_report(result="gate")


def observed(**fields):
    """A pod with its GameServer, nothing reported yet."""
    body = {
        "pod": pod(),
        "server": game_server(),
        "owner": SET,
        "report": None,
        "lost": False,
        "remembered_at": None,
        "now": NOW,
    }
    return Observed(**(body | fields))


def applied(before: Observed, decision: Plan) -> Observed:
    """What is observed once the operations were done; the rest stays."""
    pod_, server = before.pod, before.server
    for operation in decision.operations:
        match operation:
            case CreateServer(body):
                made = {"uid": "made", "resourceVersion": "31"}
                server = GameServer.model_validate(merged(body, {"metadata": made}))
            case DeleteServer():
                server = None
            case PatchServer(document=document):
                server = patched(server, document)
            case PatchStatus(status=status):
                server = patched(server, {"status": status})
            case PatchPod(metadata=metadata):
                body = merged(msgspec.to_builtins(pod_), {"metadata": metadata})
                pod_ = decode_pod(json.dumps(body))
    return replace(before, pod=pod_, server=server)


def patched(server, document):
    body = server.model_dump(mode="json", by_alias=True, exclude_none=True)
    return GameServer.model_validate(merged(body, document))


def settle(before: Observed) -> Observed:
    """Apply plans until one is empty; three are enough for anything."""
    for _ in range(3):
        decision = plan(before)
        if not decision.operations:
            return before
        before = applied(before, decision)
    assert plan(before).operations == ()
    return before


def kinds(decision: Plan) -> list[str]:
    return [type(operation).__name__ for operation in decision.operations]


# -- existence ---------------------------------------------------------------------------------


def test_a_pod_without_a_server_gets_one_owned_by_the_pod():
    template = {
        "metadata": {"labels": {"team": "red"}, "annotations": {"note": "x"}},
        "spec": {"containers": [{"name": "game"}]},
    }
    owner = game_server_set(template=template)
    assert plan(observed(server=None, owner=owner)) == Plan(
        (
            CreateServer(
                {
                    "apiVersion": "game.kruise.io/v1alpha1",
                    "kind": "GameServer",
                    "metadata": {
                        "name": "minecraft-0",
                        "namespace": "games",
                        "labels": {
                            "team": "red",
                            names.OWNER_LABEL: "minecraft",
                            names.NODE_NAME_LABEL: "node-1",
                        },
                        "annotations": {"note": "x"},
                        "ownerReferences": [
                            {
                                "apiVersion": "v1",
                                "kind": "Pod",
                                "name": "minecraft-0",
                                "uid": "pod-0",
                                "controller": True,
                                "blockOwnerDeletion": True,
                            }
                        ],
                    },
                    "spec": {"opsState": "None", "updatePriority": 0, "deletionPriority": 0},
                }
            ),
        )
    )


def test_with_delete_the_set_owns_the_server():
    (create,) = plan(observed(server=None, owner=SET_DELETE)).operations
    assert create.body["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "game.kruise.io/v1alpha1",
            "kind": "GameServerSet",
            "name": "minecraft",
            "uid": "set-uid",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


CLAIM = {"reason": "ScaleDown", "podUid": "pod-0"}
DELETED = Plan((DeleteServer("server-0", "30"),))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"pod": None, "server": None}, Plan(), id="neither"),
        pytest.param({"server": None, "owner": None}, Plan(), id="pod without set"),
        pytest.param(
            {"server": None, "pod": pod(terminating=True)}, Plan(), id="a pod that is going"
        ),
        pytest.param({"pod": None}, Plan(), id="the pod went by itself"),
        pytest.param(
            {"pod": None, "server": game_server(pod_uid=None), "owner": None},
            Plan(),
            id="Delete: its set is gone",
        ),
        pytest.param(
            {"pod": None, "server": game_server(pod_uid=None, deletion=CLAIM)},
            DELETED,
            id="Delete: its claimed pod is gone",
        ),
        pytest.param(
            {"pod": None, "server": game_server(deletion=CLAIM, deleting=True)},
            Plan(),
            id="it is going already",
        ),
        pytest.param({"server": game_server(pod_uid="older")}, DELETED, id="an older pod's"),
        pytest.param(
            {"server": game_server(pod_uid="older", deleting=True)},
            Plan(),
            id="an older pod's, going",
        ),
        pytest.param(
            {"server": game_server(pod_uid=None, deletion=CLAIM | {"podUid": "older"})},
            DELETED,
            id="Delete: the claim of an older pod never strikes its successor",
        ),
    ],
)
def test_existence(fields, expected):
    assert plan(observed(**fields)) == expected


def test_the_state_of_an_older_pod_never_reaches_the_new_one():
    old = game_server(pod_uid="older", opsState="Kill", deletionPriority=7)
    server = settle(observed(server=old)).server
    assert (server.spec.ops_state, server.spec.deletion_priority) == ("None", 0)


def test_with_delete_the_spec_survives_a_new_pod():
    kept = game_server(pod_uid=None, opsState="Allocated", status={"podUid": "older"})
    after = settle(observed(server=kept, owner=SET_DELETE))
    assert after.server.spec.ops_state == "Allocated"
    assert after.server.status.pod_uid == "pod-0"
    assert after.pod.metadata.labels[names.OPS_STATE_LABEL] == "Allocated"


# -- an edge -----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("status", ["Unknown"])
def test_unknown_costs_a_status_and_no_spec(status):
    settled = settle(observed())
    seen = report(probe_report(status=status, reason="ProbePending", message="wait"))
    assert kinds(plan(replace(settled, report=seen))) == ["PatchStatus"]


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


# -- edges without an effect -------------------------------------------------------------------


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


# -- status ------------------------------------------------------------------------------------


def test_the_status_says_what_was_observed():
    server = game_server(deletionPriority="10", updatePriority=-2, deletion=CLAIM)
    (_, status, _) = plan(observed(server=server)).operations
    assert status == PatchStatus(
        status={
            "podUid": "pod-0",
            "desiredState": "Deleting",
            "currentState": "Ready",
            "podStatus": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "hostIP": "192.168.0.1",
                "startTime": "2026-01-02T03:00:00.000Z",
            },
            "serviceQualitiesConditions": [
                {
                    "name": "healthy",
                    "status": "Unknown",
                    "result": "",
                    "reason": "NoReport",
                    "message": "the agent of this pod has not reported this probe yet",
                    "lastTransitionTime": "2026-01-02T03:04:05.678901Z",
                }
            ],
            "updatePriority": -2,
            "deletionPriority": 10,
            "lastTransitionTime": "2026-01-02T03:04:05.678901Z",
            "conditions": [
                {
                    "type": type_,
                    "status": "True",
                    "reason": "Normal",
                    "message": "",
                    "lastTransitionTime": "2026-01-02T03:04:05.678901Z",
                }
                for type_ in ("PodNormal", "PersistentVolumeNormal")
            ],
        },
        uid="server-0",
        resource_version="30",
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pod": pod(agent=False)}, "AgentMissing"),
        ({"pod": pod(agent=False), "lost": True}, "AgentMissing"),
        ({"lost": True}, "AgentLost"),
        ({}, "NoReport"),
    ],
    ids=["no agent", "no agent to lose", "lost", "not yet"],
)
def test_silence_has_a_reason(change, reason):
    (condition,) = settle(observed(**change)).server.status.service_qualities_conditions
    assert (condition.status, condition.reason) == ("Unknown", reason)


def test_conditions_of_another_pod_do_not_count():
    before = settle(observed(server=game_server(pod_uid=None), report=report(GATE))).server
    after = settle(observed(server=before, pod=pod(uid="pod-1"), report=None)).server
    (condition,) = after.status.service_qualities_conditions
    assert (condition.status, condition.reason, condition.result) == ("Unknown", "NoReport", "")


def test_what_the_pod_no_longer_says_leaves_the_status():
    before = settle(observed(server=game_server(pod_uid=None))).server
    after = settle(
        observed(server=before, pod=pod(uid="pod-1", phase="Pending", pod_ip="", ready=None))
    ).server
    assert after.status.pod_status == {
        "phase": "Pending",
        "hostIP": "192.168.0.1",
        "startTime": "2026-01-02T03:00:00.000Z",
    }


@pytest.mark.parametrize("minutes", [1, 60])
def test_times_alone_cause_no_write(minutes):
    settled = settle(observed(report=report(GATE)))
    later = NOW + timedelta(minutes=minutes)
    again = report(probe_report(result="gate", started_at=later, transition_at=later, runs=99))
    assert plan(replace(settled, report=again, now=later)) == Plan()


def test_the_node_is_named_once_it_is_known():
    settled = settle(observed(pod=pod(node_name="")))
    assert names.NODE_NAME_LABEL not in settled.server.metadata.labels
    moved = replace(settled, pod=settle(observed()).pod)
    (patch,) = plan(moved).operations
    assert patch.document == {"metadata": {"labels": {names.NODE_NAME_LABEL: "node-1"}}}


@pytest.mark.parametrize("annotation", ["{", "[]", '{"healthy": 7}'])
def test_a_spoiled_annotation_is_a_first_verdict_again(annotation):
    server = game_server(annotations={names.VERDICTS_ANNOTATION: annotation})
    after = settle(observed(server=server, report=report(GATE)))
    assert after.server.spec.ops_state == "GateMaintaining"


# -- properties --------------------------------------------------------------------------------

SERVERS = st.builds(
    game_server,
    pod_uid=st.sampled_from(["pod-0", "older", None]),
    deletion=st.sampled_from([None, CLAIM, CLAIM | {"podUid": "older"}]),
    deleting=st.booleans(),
    opsState=st.sampled_from(["None", "Kill", "Maintaining", "Allocated", "Custom"]),
    deletionPriority=st.sampled_from([0, -1, "7", 2**31 - 1]),
)
PODS = st.builds(
    pod,
    phase=st.sampled_from(["Pending", "Running", "Failed", "Succeeded"]),
    ready=st.sampled_from([True, False, None]),
    terminating=st.booleans(),
    agent=st.booleans(),
    node_name=st.sampled_from(["", "node-1"]),
)
PROBES = st.lists(
    st.builds(
        probe_report,
        name=st.sampled_from(["healthy", "idle", "other"]),
        status=st.sampled_from(["True", "False", "Unknown"]),
        result=st.sampled_from(["", "gate", "data"]),
    ),
    max_size=3,
    unique_by=lambda probe: probe.name,
)
OWNER = game_server_set(
    qualities=(SEED, quality("idle", {"state": True, "labels": {"a": "1"}}, permanent=True))
)
EVERYTHING = st.builds(
    observed,
    pod=st.none() | PODS,
    server=st.none() | SERVERS,
    owner=st.sampled_from([OWNER, None]),
    report=st.none() | PROBES.map(lambda probes: report(*probes)),
    lost=st.booleans(),
)


@given(EVERYTHING)
def test_a_plan_that_was_applied_and_observed_again_is_empty(anything):
    settled = settle(anything)
    assert plan(replace(settled, now=NOW + timedelta(hours=1))).operations == ()


@given(EVERYTHING)
def test_a_plan_changes_none_of_its_inputs_and_is_the_same_twice(anything):
    before = deepcopy(anything)
    assert plan(anything) == plan(before)
    assert anything == before


@given(EVERYTHING)
def test_at_most_one_write_for_each_object_and_subresource(anything):
    once = kinds(plan(anything))
    assert len(once) == len(set(once)) <= 3


@given(EVERYTHING)
def test_an_empty_patch_is_never_planned(anything):
    for operation in plan(anything).operations:
        match operation:
            case PatchServer(document=document):
                assert document["metadata"] or document.get("spec")
            case PatchPod(metadata=metadata):
                assert metadata["labels"]
