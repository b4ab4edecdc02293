"""Reads the spec of a GameServerSetAutoscaler as a policy, and says what cannot be meant. Pure.

The API server refuses most of that already (shared/crd_rules.py); here it is said again for
objects that were stored before a rule was, and what no rule can say: time zones, cron expressions
that never come true, numbers that are written as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from aggregator.scaling.policy import Policy, RatePolicy, ScalingRules
from aggregator.scaling.quantity import parse_amount
from aggregator.scaling.schedule import Window, check_cron, parse_zone
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from aggregator.scaling.quantity import Amount
    from shared.api.autoscaler import AutoscalerSpec, ScaleDown, ScaleUp, Schedule


@dataclass(frozen=True, slots=True)
class Intent:
    """What an autoscaler is to do: the policy outside of all windows, and the windows."""

    policy: Policy
    windows: tuple[Window, ...] = ()


def read_spec(spec: AutoscalerSpec, now: datetime) -> Intent:
    """Return what a spec means.

    Args:
        spec: as stored.
        now: from which the next match of each cron expression is looked for.

    Raises:
        InvalidInput: it means nothing; names the field and what would be right.
    """
    down = spec.behavior.scale_down
    policy = Policy(
        min_replicas=spec.min_replicas,
        max_replicas=spec.max_replicas,
        min_available=_amount(spec.min_available, "spec.minAvailable"),
        min_available_floor=spec.min_available_floor,
        max_available=_amount(spec.max_available, "spec.maxAvailable"),
        supply_ops_states=frozenset(spec.supply_ops_states),
        scale_up=_rules(spec.behavior.scale_up),
        scale_down=_rules(down),
        wait_to_be_deleted=timedelta(seconds=down.wait_to_be_deleted_seconds),
    )
    check_policy(policy, "spec")
    windows = tuple(
        _window(each, policy, f"spec.schedules[{number}]", now)
        for number, each in enumerate(spec.schedules)
    )
    return Intent(policy, windows)


def check_policy(policy: Policy, path: str) -> None:
    """Check that the numbers of a policy can all be meant together.

    Raises:
        InvalidInput: they cannot.
    """
    low, high = policy.min_available, policy.max_available
    if policy.min_replicas > policy.max_replicas:
        message = f"{policy.min_replicas} must not be above maxReplicas {policy.max_replicas}"
        raise InvalidInput(f"{path}.minReplicas", message)
    if isinstance(low, int) and isinstance(high, int) and low > high:
        raise InvalidInput(f"{path}.minAvailable", f"{low} must not be above maxAvailable {high}")
    if low is None or isinstance(low, int) or policy.min_replicas or policy.min_available_floor:
        return
    message = "a share of no servers is none: set minReplicas or minAvailableFloor to 1 or more"
    raise InvalidInput(f"{path}.minAvailable", message)


def _window(schedule: Schedule, policy: Policy, path: str, now: datetime) -> Window:
    window = Window(
        name=schedule.name,
        start=check_cron(schedule.start, now, f"{path}.start"),
        end=check_cron(schedule.end, now, f"{path}.end"),
        zone=parse_zone(schedule.time_zone, f"{path}.timeZone"),
        min_available=_amount(schedule.min_available, f"{path}.minAvailable"),
        max_available=_amount(schedule.max_available, f"{path}.maxAvailable"),
        min_replicas=schedule.min_replicas,
    )
    low, high = window.min_available, window.max_available
    if isinstance(low, int) and isinstance(high, int) and low > high:
        message = f"{low} must not be above maxAvailable {high}"
        raise InvalidInput(f"{path}.minAvailable", message)
    if window.min_replicas is not None and window.min_replicas > policy.max_replicas:
        message = f"{window.min_replicas} must not be above maxReplicas {policy.max_replicas}"
        raise InvalidInput(f"{path}.minReplicas", message)
    return window


def _amount(raw: int | str | None, field: str) -> Amount | None:
    return None if raw is None else parse_amount(raw, field)


def _rules(body: ScaleUp | ScaleDown) -> ScalingRules:
    policies = tuple(
        RatePolicy(each.type, each.value, timedelta(seconds=each.period_seconds))
        for each in body.policies
    )
    window = timedelta(seconds=body.stabilization_window_seconds)
    return ScalingRules(policies, window, body.select_policy)
