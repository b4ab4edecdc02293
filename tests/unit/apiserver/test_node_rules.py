"""What a node's condition means for its taints and its pods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcluster.apiserver.node_rules import (
    NOT_READY,
    UNREACHABLE,
    UNSCHEDULABLE,
    default_tolerations,
    is_due,
    silent,
    tainted,
    unready,
)

Json = dict[str, Any]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STAMP = "2026-01-02T03:04:05Z"
OTHER = {"key": "game", "effect": "NoExecute"}


def node(ready: str | None, **spec: Any) -> Json:
    status = {} if ready is None else {"conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": "n"}, "spec": spec, "status": status}


def taint(key: str, effect: str, added: str = STAMP) -> Json:
    return {"key": key, "effect": effect, "timeAdded": added}


@pytest.mark.parametrize(
    ("before", "taints"),
    [
        pytest.param(node("True"), None, id="ready"),
        pytest.param(node(None), None, id="not-reported-yet"),
        pytest.param(
            node("Unknown"),
            [taint(UNREACHABLE, "NoSchedule"), taint(UNREACHABLE, "NoExecute")],
            id="unknown",
        ),
        pytest.param(
            node("False"),
            [taint(NOT_READY, "NoSchedule"), taint(NOT_READY, "NoExecute")],
            id="not-ready",
        ),
        pytest.param(
            node("True", unschedulable=True), [taint(UNSCHEDULABLE, "NoSchedule")], id="cordoned"
        ),
        pytest.param(
            node("True", taints=[taint(UNREACHABLE, "NoExecute"), OTHER]), [OTHER], id="back"
        ),
        pytest.param(
            node("Unknown", taints=[taint(UNREACHABLE, "NoExecute", "earlier")]),
            [taint(UNREACHABLE, "NoExecute", "earlier"), taint(UNREACHABLE, "NoSchedule")],
            id="time-is-kept",
        ),
    ],
)
def test_taints_follow_the_condition(before: Json, taints: list[Json] | None) -> None:
    after = tainted(before, NOW)

    assert after["spec"].get("taints") == taints
    assert tainted(after, NOW + timedelta(hours=1)) is after


def test_a_silent_node_is_unknown_and_says_since_when() -> None:
    spoke = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": "earlier",
        "lastTransitionTime": "earlier",
    }
    before = {"metadata": {"name": "n"}, "status": {"conditions": [spoke], "capacity": {}}}

    assert silent(before, NOW)["status"] == {
        "conditions": [
            {
                "type": "Ready",
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastHeartbeatTime": "earlier",
                "lastTransitionTime": STAMP,
            }
        ],
        "capacity": {},
    }
    never = silent({"metadata": {"name": "n"}}, NOW)["status"]["conditions"]
    assert [(c["status"], c["reason"]) for c in never] == [("Unknown", "NodeStatusNeverUpdated")]


def test_a_pod_of_a_silent_node_is_not_ready() -> None:
    other = {"type": "Initialized", "status": "True"}
    pod = {"status": {"conditions": [other, {"type": "Ready", "status": "True"}]}}

    assert unready(pod, NOW) == {
        "status": {
            "conditions": [
                other,
                {"type": "Ready", "status": "False", "lastTransitionTime": STAMP},
            ]
        }
    }


def tolerates(key: str, seconds: int | None = None, **fields: str) -> Json:
    limit = {} if seconds is None else {"tolerationSeconds": seconds}
    return {"key": key, "operator": "Exists", "effect": "NoExecute", **limit, **fields}


@pytest.mark.parametrize(
    ("tolerations", "age", "due"),
    [
        pytest.param([], 0, True, id="none"),
        pytest.param([tolerates(UNREACHABLE, 10)], 9, False, id="before-the-end"),
        pytest.param([tolerates(UNREACHABLE, 10)], 10, True, id="at-the-end"),
        pytest.param([tolerates(UNREACHABLE)], 10_000, False, id="for-ever"),
        pytest.param([tolerates(UNREACHABLE, 0)], 0, True, id="zero"),
        pytest.param([tolerates(NOT_READY)], 0, True, id="another-taint"),
        pytest.param([tolerates(UNREACHABLE, effect="NoSchedule")], 0, True, id="another-effect"),
        pytest.param(
            [tolerates(UNREACHABLE), tolerates(UNREACHABLE, 5)], 6, True, id="the-shortest-counts"
        ),
    ],
)
def test_a_pod_is_due_when_its_toleration_is_over(
    tolerations: list[Json], age: int, due: bool
) -> None:
    taints = [taint(UNREACHABLE, "NoSchedule"), taint(UNREACHABLE, "NoExecute")]
    pod = {"spec": {"tolerations": tolerations}}

    assert is_due(pod, node("Unknown", taints=taints), NOW + timedelta(seconds=age)) is due
    assert is_due(pod, node("True"), NOW) is False


def test_every_pod_tolerates_a_silent_node_for_five_minutes_unless_it_says_otherwise() -> None:
    own = tolerates(UNREACHABLE, 1)

    added = default_tolerations([own])

    assert added == [own, tolerates(NOT_READY, 300)]
    assert default_tolerations(added) == added
    assert default_tolerations([{"operator": "Exists"}]) == [{"operator": "Exists"}]
