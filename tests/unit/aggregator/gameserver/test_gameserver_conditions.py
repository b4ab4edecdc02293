"""What the conditions of a server say about its pod, its node and its volumes."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from aggregator.gameserver.conditions import Surroundings, plan_server_conditions
from aggregator.gameserver.story import trouble_events
from aggregator.infrastructure import decode_claim, decode_node, decode_volume
from aggregator.pods import Pod, decode_pod
from shared.api.meta import Condition
from tests.support.builders import NOW, pod
from tests.support.merge_patch import merged


def changed(**body: Any) -> Pod:
    """A ready pod on node-1, with this merged into its JSON."""
    return decode_pod(json.dumps(merged(msgspec.to_builtins(pod()), body)).encode())


def said(pod_: Pod, around: Surroundings | None = None) -> dict[str, tuple[str, str, str]]:
    """Status, reason and message of each condition."""
    conditions = plan_server_conditions(pod_, around or Surroundings(), (), NOW)
    return {each.type: (each.status, each.reason, each.message) for each in conditions}


FINE = ("True", "Normal", "")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, FINE, id="ready"),
        pytest.param(
            {
                "phase": "Pending",
                "containerStatuses": [
                    {"name": "game", "state": {"waiting": {"reason": "ContainerCreating"}}}
                ],
            },
            FINE,
            id="starting",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            ("False", "Evicted", "low on memory"),
            id="evicted",
        ),
        pytest.param(
            {"phase": "Failed"}, ("False", "PodFailed", "the pod has failed"), id="failed"
        ),
        pytest.param(
            {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes are available",
                    }
                ],
            },
            ("False", "Unschedulable", "0/3 nodes are available"),
            id="no node takes it",
        ),
        pytest.param(
            {
                "conditions": [
                    {
                        "type": "ContainersReady",
                        "status": "False",
                        "reason": "ContainersNotReady",
                        "message": "containers with unready status: [game]",
                    }
                ]
            },
            ("False", "ContainersNotReady", "containers with unready status: [game]"),
            id="not ready",
        ),
        pytest.param(
            {
                "containerStatuses": [
                    {
                        "name": "game",
                        "state": {
                            "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
                        },
                    }
                ],
                "initContainerStatuses": [
                    {"name": "agent", "state": {"waiting": {"reason": "ErrImagePull"}}}
                ],
            },
            (
                "False",
                "ErrImagePull",
                "container agent: ErrImagePull; container game: CrashLoopBackOff",
            ),
            id="two containers do not come up",
        ),
    ],
)  # fmt: skip
def test_the_pod(status: dict[str, Any], expected: tuple[str, str, str]) -> None:
    assert said(changed(status=status))["PodNormal"] == expected


def node(*conditions: dict[str, Any]):
    return decode_node(
        json.dumps({"metadata": {"name": "node-1"}, "status": {"conditions": conditions}})
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(node({"type": "Ready", "status": "True"}), FINE, id="ready"),
        pytest.param(None, ("False", "NodeNotFound", "the node node-1 does not exist"), id="gone"),
        pytest.param(
            node({"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting"}),
            ("False", "NodeNotReady", "node-1: Kubelet stopped posting"),
            id="silent",
        ),
        pytest.param(
            node({"type": "Ready", "status": "False"}),
            ("False", "NodeNotReady", "node-1: Ready is False"),
            id="not ready, nobody says why",
        ),
        pytest.param(
            node(
                {"type": "Ready", "status": "True"},
                {"type": "MemoryPressure", "status": "True", "reason": "KubeletHasNoMemory"},
                {"type": "DiskPressure", "status": "False"},
                {"type": "SufficientIP", "status": "True"},
            ),
            ("False", "MemoryPressure", "node-1: KubeletHasNoMemory"),
            id="under pressure",
        ),
    ],
)
def test_the_node(found, expected) -> None:
    assert said(pod(), Surroundings(node=found, knows_nodes=True))["NodeNormal"] == expected


@pytest.mark.parametrize(
    ("pod_", "around"),
    [
        pytest.param(pod(), Surroundings(), id="nodes cannot be read"),
        pytest.param(pod(node_name=""), Surroundings(knows_nodes=True), id="no node yet"),
    ],
)
def test_of_a_node_that_nobody_knows_nothing_is_said(pod_, around) -> None:
    assert "NodeNormal" not in said(pod_, around)


MOUNTS = changed(
    spec={"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-0"}}]}
)


def claim(phase: str = "Bound", volume: str = "pv-1"):
    body = {"metadata": {"name": "data-0"}, "spec": {"volumeName": volume}}
    return decode_claim(json.dumps(body | {"status": {"phase": phase}}))


def volume(phase: str = "Bound", message: str = ""):
    body = {"metadata": {"name": "pv-1"}, "status": {"phase": phase, "message": message}}
    return decode_volume(json.dumps(body))


@pytest.mark.parametrize(
    ("claims", "volumes", "expected"),
    [
        pytest.param({"data-0": claim()}, {"pv-1": volume()}, FINE, id="bound"),
        pytest.param(
            {},
            {},
            (
                "False",
                "PersistentVolumeClaimNotFound",
                "the PersistentVolumeClaim data-0 does not exist",
            ),
            id="no claim",
        ),
        pytest.param(
            {"data-0": claim("Pending", "")},
            {},
            ("False", "PersistentVolumeClaimPending", "the claim data-0 is Pending"),
            id="not bound",
        ),
        pytest.param(
            {"data-0": claim()},
            {},
            (
                "False",
                "PersistentVolumeNotFound",
                "the PersistentVolume pv-1 of the claim data-0 does not exist",
            ),
            id="no volume",
        ),
        pytest.param(
            {"data-0": claim()},
            {"pv-1": volume("Failed", "recycler error")},
            (
                "False",
                "PersistentVolumeFailed",
                "the volume pv-1 of the claim data-0 is Failed: recycler error",
            ),
            id="a failed volume",
        ),
        pytest.param(
            {"data-0": claim()},
            {"pv-1": volume("Released")},
            (
                "False",
                "PersistentVolumeReleased",
                "the volume pv-1 of the claim data-0 is Released",
            ),
            id="a volume that says no more",
        ),
        pytest.param(
            {"data-0": claim("")},
            {},
            ("False", "PersistentVolumeClaimPending", "the claim data-0 is Pending"),
            id="a claim that nobody has looked at",
        ),
        pytest.param(
            {"data-0": claim()},
            {"pv-1": volume("")},
            (
                "False",
                "PersistentVolumePending",
                "the volume pv-1 of the claim data-0 is Pending",
            ),
            id="a volume that nobody has looked at",
        ),
    ],
)
def test_the_volumes(claims, volumes, expected) -> None:
    around = Surroundings(claims=claims, volumes=volumes, knows_volumes=True)
    assert said(MOUNTS, around)["PersistentVolumeNormal"] == expected


def test_a_pod_without_volumes_has_normal_ones_whoever_may_read_them() -> None:
    assert said(pod())["PersistentVolumeNormal"] == FINE
    assert "PersistentVolumeNormal" not in said(MOUNTS)


def test_the_time_of_a_condition_is_when_its_status_changed() -> None:
    lost = Surroundings(knows_nodes=True)
    first = plan_server_conditions(pod(), lost, (), NOW)
    later = NOW + timedelta(minutes=1)
    silent = Surroundings(node=node({"type": "Ready", "status": "False"}), knows_nodes=True)
    again = plan_server_conditions(pod(), lost, first, later)
    other = plan_server_conditions(pod(), silent, first, later)
    well = Surroundings(node=node({"type": "Ready", "status": "True"}), knows_nodes=True)
    healed = plan_server_conditions(pod(), well, first, later)
    assert again == first
    times = {
        name: next(each.last_transition_time for each in conditions if each.type == "NodeNormal")
        for name, conditions in {"other": other, "healed": healed}.items()
    }
    assert times == {"other": NOW, "healed": later}


def test_conditions_of_others_stay() -> None:
    foreign = Condition(type="NetworkReady", status="True")
    assert plan_server_conditions(pod(), Surroundings(), (foreign,), NOW)[-1] == foreign


def test_trouble_is_told_once() -> None:
    fine = plan_server_conditions(pod(), Surroundings(), (), NOW)
    gone = plan_server_conditions(pod(), Surroundings(knows_nodes=True), fine, NOW)
    told = [(each.type, each.reason, each.message) for each in trouble_events(fine, gone)]
    assert told == [("Warning", "NodeNotFound", "the node node-1 does not exist")]
    assert trouble_events(gone, gone) == ()


def test_heartbeats_of_a_node_are_no_difference() -> None:
    def beat(time: str):
        return node({"type": "Ready", "status": "True", "lastHeartbeatTime": time})

    assert beat("2026-01-01T00:00:00Z") == beat("2026-01-01T00:05:00Z")
