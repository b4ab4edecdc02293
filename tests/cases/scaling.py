"""Runs scaling cases: one observation, one plan."""

from __future__ import annotations

from typing import Any

from aggregator.gameserverset.ids import parse_reserve_list
from aggregator.gameserverset.scale import Server, plan_scale
from aggregator.selection import parse_priority
from tests.cases.outcome import CaseOutcome


def run(case: dict[str, Any]) -> CaseOutcome:
    """Return what the plan deletes, creates, waits for and leaves in the spec."""
    reserved, _ = parse_reserve_list(case["reserveGameServerIds"])
    servers = tuple(
        Server(
            id=server["id"],
            pod_uid=f"pod-{server['id']}",
            ops_state=server["opsState"],
            deletion_priority=parse_priority(server["deletionPriority"]).value,
            terminating=server.get("terminating", False),
            claimed=server.get("claimed"),
        )
        for server in case["servers"]
    )
    plan = plan_scale(servers, case["replicas"], reserved)
    deleted = [claim.server for claim in plan.claims] + list(plan.deletions)
    actual = {
        "delete": {server.id for server in deleted},
        "create": set(plan.creations),
        "waitingFor": set(plan.waiting_for),
        "replicas": case["replicas"],
        "reserveGameServerIds": reserved,
    }
    expected = {key: _comparable(key, value) for key, value in case["expected"].items()}
    return CaseOutcome(case["case"], case["note"], expected, {key: actual[key] for key in expected})


def _comparable(key: str, value: Any) -> Any:
    if key == "reserveGameServerIds":
        return parse_reserve_list(value)[0]
    return set(value) if isinstance(value, list) else value
