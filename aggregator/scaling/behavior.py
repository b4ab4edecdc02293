"""Windows and rates: how much of a wish may come true now. Pure and exact.

The rules are those of autoscaling/v2 behavior. A stabilization window lets the smallest wish of the
last seconds count. A rate policy allows a number of servers, or a share of the size at the start
of its period, in each period; of several policies selectPolicy names which holds.

They differ in one point. An HPA has one number and limits its net change; we grow and remove in
one pass, so each direction is held to its own rate and what one does earns the other nothing.

Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (configurable
scaling behavior).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from aggregator.scaling.quantity import ceiling

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from aggregator.scaling.policy import History, RatePolicy, Sample, ScalingRules


def stabilized(
    wish: int, samples: Iterable[Sample], window: timedelta, now: datetime
) -> tuple[int, datetime | None]:
    """Return the smallest wish within the window, and when a smaller one of the past lapses.

    Args:
        wish: the present one.
        samples: earlier ones, in any order.
        window: a sample of exactly this age has left it.
        now: the time of `wish`.

    Returns:
        The wish that counts, and the next moment at which it may be larger; None if it is `wish`.
    """
    holding = [s for s in samples if s.at > now - window and s.value < wish]
    if not holding:
        return wish, None
    least = min(sample.value for sample in holding)
    lapse = max(sample.at for sample in holding if sample.value == least)
    return least, lapse + window


def allowance(
    rules: ScalingRules, growing: bool, size: int, history: History, now: datetime
) -> tuple[int, datetime | None]:
    """Return how many servers may be added (or removed) now, and when that may be more.

    Args:
        rules: of the direction.
        growing: which direction.
        size: servers that there will be if nothing is done.
        history: what was added and removed; a change exactly one period ago has left the period.
        now: the time of the decision.
    """
    if rules.select == "Disabled" or not rules.policies:
        return 0, None
    own = history.up if growing else history.down
    allowed = []
    lapses = []
    for policy in rules.policies:
        since = now - policy.period
        added, removed = _total(history.up, since), _total(history.down, since)
        quota = _quota(policy, size - added + removed)
        allowed.append(max(0, quota - (added if growing else removed)))
        lapses += [sample.at + policy.period for sample in own if sample.at > since]
    select = max if rules.select == "Max" else min
    return select(allowed), min(lapses, default=None)


def _total(samples: Iterable[Sample], since: datetime) -> int:
    return sum(sample.value for sample in samples if sample.at > since)


def _quota(policy: RatePolicy, size_at_start: int) -> int:
    if policy.type == "Pods":
        return policy.value
    # A share of nothing would let an empty set be empty for ever.
    return ceiling(Fraction(policy.value * max(1, size_at_start), 100))
