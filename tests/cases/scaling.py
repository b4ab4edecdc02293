"""Runs scaling cases: one observation, one plan."""

from __future__ import annotations

from typing import Any

from aggregator.gameserverset.ids import parse_reserve_list
from aggregator.gameserverset.reserve import add_ids
from aggregator.gameserverset.scale import ScaleRules, plan_scale
from aggregator.gameserverset.server import Server
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
    rules = ScaleRules(strategy=case.get("scaleDownStrategyType", "General"))
    plan = plan_scale(servers, case["replicas"], reserved, rules)
    accounting = plan.accounting
    items = add_ids(case["reserveGameServerIds"], accounting.ids if accounting else ())
    deleted = [claim.server for claim in plan.claims] + list(plan.deletions)
    actual = {
        "delete": {server.id for server in deleted},
        "create": set(plan.creations),
        "waitingFor": set(plan.waiting_for),
        "replicas": accounting.replicas if accounting else case["replicas"],
        "reserveGameServerIds": parse_reserve_list(items)[0],
    }
    expected = {key: _comparable(key, value) for key, value in case["expected"].items()}
    return CaseOutcome(case["case"], case["note"], expected, {key: actual[key] for key in expected})


def _comparable(key: str, value: Any) -> Any:
    if key == "reserveGameServerIds":
        return parse_reserve_list(value)[0]
    return set(value) if isinstance(value, list) else value
