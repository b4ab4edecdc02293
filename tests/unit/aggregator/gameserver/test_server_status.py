"""The status of a GameServer: what was observed, and no write for a time alone (SPEC 4.9, 4.10)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.gameserver.conditions import Surroundings
from aggregator.gameserver.operations import Event, PatchStatus
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
from tests.support.server_plans import CLAIM, GATE, SEED, observed, settle


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


# With Delete the object outlives its pod, and its status with it.
KEEPING = game_server_set(
    qualities=(SEED,),
    template={"spec": {"containers": [{"name": "game"}]}, "reclaimPolicy": "Delete"},
)


def test_conditions_of_another_pod_do_not_count():
    kept = observed(server=game_server(pod_uid=None), owner=KEEPING, report=report(GATE))
    before = settle(kept).server
    assert before.status.service_qualities_conditions[0].result == "gate"
    after = settle(replace(kept, server=before, pod=pod(uid="pod-1"), report=None)).server
    assert after.metadata.uid == before.metadata.uid
    (condition,) = after.status.service_qualities_conditions
    assert (condition.status, condition.reason, condition.result) == ("Unknown", "NoReport", "")


def test_what_the_pod_no_longer_says_leaves_the_status():
    kept = observed(server=game_server(pod_uid=None), owner=KEEPING)
    before = settle(kept).server
    waiting = pod(uid="pod-1", phase="Pending", pod_ip="", ready=None)
    after = settle(replace(kept, server=before, pod=waiting)).server
    assert after.metadata.uid == before.metadata.uid
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


PRIOR = quality("healthy", {"state": True, "updatePriority": 7, "deletionPriority": "10"})


def status_of(**fields):
    """The status that a plan writes."""
    (status,) = (each for each in plan(observed(**fields)).operations if hasattr(each, "status"))
    return status


def trouble_with_priorities(status) -> list[tuple[str, str]]:
    return [
        (each["status"], each["message"])
        for each in status.status["conditions"]
        if each["type"] == names.CONDITION_PRIORITIES_VALID
    ]


def test_what_the_same_plan_writes_is_in_the_status_already():
    owner = game_server_set(qualities=(PRIOR,))
    server = game_server(updatePriority="soon", deletionPriority="many")
    status = status_of(owner=owner, server=server, report=report(probe_report()))
    assert (status.status["updatePriority"], status.status["deletionPriority"]) == (7, 10)
    assert trouble_with_priorities(status) == []


def test_what_is_no_priority_counts_as_zero_and_is_told():
    status = status_of(server=game_server(updatePriority="soon", deletionPriority="many"))
    assert (status.status["updatePriority"], status.status["deletionPriority"]) == (0, 0)
    assert [each for each, _ in trouble_with_priorities(status)] == ["False"]
    for word in ("updatePriority", "soon", "deletionPriority", "many"):
        assert word in trouble_with_priorities(status)[0][1]


def test_what_is_said_of_a_server_that_is_going_stays():
    """Its node may be gone before it is: that is how preempted machines end."""
    settled = settle(observed())
    gone = Surroundings(knows_nodes=True)
    going = pod(terminating=True, labels=settled.pod.metadata.labels)
    status = status_of(server=settled.server, pod=going, around=gone)
    before = settled.server.status
    assert [each["type"] for each in status.status["conditions"]] == [
        each.type for each in before.conditions
    ]
    assert {each["status"] for each in status.status["conditions"]} == {"True"}
    assert status.status["currentState"] == "Deleting"


@pytest.mark.parametrize(
    ("later", "moved"),
    [
        pytest.param({"ready": True}, False, id="the same state"),
        pytest.param({"ready": False}, True, id="another state"),
    ],
)
def test_the_time_of_the_state_moves_with_the_state_alone(later, moved):
    settled = settle(observed())
    now = NOW + timedelta(minutes=1)
    # Something else differs too, so that there is a write.
    status = status_of(server=settled.server, pod=pod(pod_ip="10.0.0.2", **later), now=now)
    before = settled.server.status.last_transition_time
    expected = now if moved else before
    assert status.status["lastTransitionTime"] == expected.isoformat().replace("+00:00", "Z")


def test_a_trouble_that_is_new_is_an_event_with_the_status():
    settled = settle(observed())
    status = status_of(server=settled.server, around=Surroundings(knows_nodes=True))
    assert status.events == (Event("Warning", "NodeNotFound", "the node node-1 does not exist"),)
