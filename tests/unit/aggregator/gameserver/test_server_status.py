"""The status of a GameServer: what was observed, and no write for a time alone (SPEC 4.9, 4.10)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.gameserver.operations import PatchStatus
from aggregator.gameserver.plan import Plan, plan
from shared.api import names
from tests.support.builders import NOW, game_server, pod, probe_report, report
from tests.support.server_plans import CLAIM, GATE, observed, settle


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
