"""Runs autoscaler cases: one snapshot, one decision, and the number that KEDA is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aggregator.scaling.census import take_census
from aggregator.scaling.evaluate import Decision, evaluate
from aggregator.scaling.keda_metric import metric
from aggregator.scaling.policy import (
    History,
    Policy,
    RatePolicy,
    Sample,
    ScalingRules,
    ServerView,
    Snapshot,
)
from aggregator.scaling.quantity import Amount, parse_amount
from tests.cases.outcome import CaseOutcome

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def run(case: dict[str, Any]) -> CaseOutcome:
    """Return what the decision adds, removes and says, and KEDA's number where one is expected."""
    now = _moment(case["now"])
    snapshot = read_snapshot(case)
    policy = read_policy(case["policy"])
    decision = evaluate(snapshot, policy, read_history(case["history"]), now)
    expected = dict(case["expected"]) | {"reasons": set(case["expected"]["reasons"])}
    actual = describe(decision)
    if case.get("expectedKedaMetric") is not None:
        # KEDA's metadata has these two only; its HPA has the rest of the policy.
        told = Policy(0, 2**31, policy.min_available, 0, policy.max_available)
        expected["kedaMetric"] = case["expectedKedaMetric"]
        actual["kedaMetric"] = metric(take_census(snapshot, told, now), told)
    return CaseOutcome(case["case"], case["note"], expected, {key: actual[key] for key in expected})


def describe(decision: Decision) -> dict[str, Any]:
    """Return a decision in the words of a case."""
    return {
        "add": decision.add,
        "victims": [server.id for server in decision.victims],
        "cancel": decision.cancel,
        "reasons": set(decision.reasons),
        "specReplicasWritten": decision.spec_replicas,
    }


def read_snapshot(case: dict[str, Any]) -> Snapshot:
    """Return the snapshot of a case."""
    servers = tuple(
        ServerView(
            id=server["id"],
            ops_state=server["opsState"],
            state=server["state"],
            marked_since=_since(server["opsStateSince"]),
            deletion_priority=server["deletionPriority"],
            leaving=server["leaving"],
            # A Kill that leaves may still have to be accounted; one that was has lowered
            # specReplicas already, and then this changes nothing.
            unaccounted=server.get("unaccounted", server["opsState"] == "Kill"),
            stale=server.get("stale", False),
        )
        for server in case["servers"]
    )
    return Snapshot(case["specReplicas"], servers, case["observed"])


def read_policy(body: dict[str, Any]) -> Policy:
    """Return the policy of a case."""
    return Policy(
        min_replicas=body["minReplicas"],
        max_replicas=body["maxReplicas"],
        min_available=_amount(body["minAvailable"]),
        min_available_floor=body["minAvailableFloor"],
        max_available=_amount(body["maxAvailable"]),
        supply_ops_states=frozenset(body["supplyOpsStates"]),
        scale_up=_rules(body["scaleUp"]),
        scale_down=_rules(body["scaleDown"]),
        wait_to_be_deleted=timedelta(seconds=body["scaleDown"]["waitToBeDeletedSeconds"]),
    )


def read_history(body: dict[str, Any]) -> History:
    """Return the history of a case."""
    return History(
        **{
            name: tuple(Sample(value, _moment(at)) for value, at in body[name])
            for name in ("deficit", "excess", "up", "down")
        }
    )


def _rules(body: dict[str, Any]) -> ScalingRules:
    policies = tuple(
        RatePolicy(each["type"], each["value"], timedelta(seconds=each["periodSeconds"]))
        for each in body["policies"]
    )
    window = timedelta(seconds=body["stabilizationWindowSeconds"])
    return ScalingRules(policies, window, body["selectPolicy"])


def _amount(raw: int | str | None) -> Amount | None:
    return None if raw is None else parse_amount(raw, "amount")


def _since(seconds: float | None) -> datetime | None:
    return None if seconds is None else _moment(seconds)


def _moment(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)
