"""A HorizontalPodAutoscaler as documented for autoscaling/v2, for closed loops in virtual time.

It is a model for tests: what an HPA does with the numbers that our scaler answers. One `sync` is
one run of its controller, every fifteen seconds:

1. each metric gives a number of replicas; within the tolerance that is the present one, otherwise
   the ratio times the present one, rounded up; of several metrics the largest counts;
2. while any metric is missing, nothing shrinks;
3. stabilization: growth goes to the smallest, shrinking to the largest of its window's numbers;
4. rate policies, then minReplicas and maxReplicas.

Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm
details, configurable scaling behavior, tolerance) and the API reference of
HorizontalPodAutoscalerBehavior for the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Any, Literal

TOLERANCE = Fraction(1, 10)


@dataclass(frozen=True)
class AverageValue:
    """An external metric: a total, of which each replica shall have `target`."""

    total: int | None
    target: int = 1


@dataclass(frozen=True)
class Utilization:
    """CPU of all ready pods, in percent of what they request."""

    percent: int | None
    target: int
    ready: int


Metric = AverageValue | Utilization


@dataclass(frozen=True)
class Policy:
    """A rate; `period` in seconds."""

    type: Literal["Pods", "Percent"]
    value: int
    period: float


@dataclass(frozen=True)
class Rules:
    """One direction; `window` in seconds."""

    window: float
    policies: tuple[Policy, ...]
    select: Literal["Max", "Min", "Disabled"] = "Max"


SCALE_UP = Rules(0, (Policy("Pods", 4, 15), Policy("Percent", 100, 15)))
SCALE_DOWN = Rules(300, (Policy("Percent", 100, 15),))


def read_rules(body: dict[str, Any] | None, default: Rules) -> Rules:
    """Return `behavior.scaleUp` or `behavior.scaleDown` of a manifest."""
    body = body or {}
    policies = tuple(
        Policy(each["type"], each["value"], each["periodSeconds"])
        for each in body.get("policies", ())
    )
    return Rules(
        body.get("stabilizationWindowSeconds", default.window),
        policies or default.policies,
        body.get("selectPolicy", default.select),
    )


@dataclass
class Hpa:
    """One HPA and what it remembers. Times are seconds."""

    min_replicas: int = 1
    max_replicas: int = 100
    scale_up: Rules = SCALE_UP
    scale_down: Rules = SCALE_DOWN
    tolerance: Fraction = TOLERANCE
    recommendations: list[tuple[int, float]] = field(default_factory=list)
    added: list[tuple[int, float]] = field(default_factory=list)
    removed: list[tuple[int, float]] = field(default_factory=list)

    def sync(self, spec: int, status: int, metrics: list[Metric], now: float) -> int:
        """Return spec.replicas as the HPA would set it.

        Args:
            spec: of the scale subresource, now.
            status: of the scale subresource; the ratio is taken of it.
            metrics: as they are now.
            now: the time.
        """
        if spec == 0:
            # At zero it is disabled; only KEDA wakes it.
            return 0
        if spec > self.max_replicas:
            desired = self.max_replicas
        elif spec < self.min_replicas:
            desired = self.min_replicas
        else:
            wanted = self._proposal(status, metrics)
            if wanted is None:
                return spec
            desired = self._limited(spec, self._stabilized(spec, wanted, now), now)
        if desired > spec:
            self.added.append((desired - spec, now))
        elif desired < spec:
            self.removed.append((spec - desired, now))
        return desired

    def _proposal(self, status: int, metrics: list[Metric]) -> int | None:
        """Return the largest proposal; None when a metric is missing and it would shrink."""
        proposals = [self._replicas_for(metric, status) for metric in metrics]
        known = [proposal for proposal in proposals if proposal is not None]
        if not known or (len(known) < len(proposals) and max(known) < status):
            return None
        return max(known)

    def _replicas_for(self, metric: Metric, status: int) -> int | None:
        if isinstance(metric, AverageValue):
            if metric.total is None:
                return None
            ratio = Fraction(metric.total, metric.target * status) if status else Fraction(2)
            exact = Fraction(metric.total, metric.target)
        else:
            if metric.percent is None:
                return None
            ratio = Fraction(metric.percent, metric.target)
            exact = ratio * metric.ready
        within = 1 - self.tolerance <= ratio <= 1 + self.tolerance
        return status if within else ceil(exact)

    def _stabilized(self, spec: int, wanted: int, now: float) -> int:
        if not self.recommendations:
            # A new HPA begins with what it finds, so that it does not shrink in its first window.
            self.recommendations.append((spec, now))
        smallest = largest = wanted
        for value, at in self.recommendations:
            if at > now - self.scale_up.window:
                smallest = min(smallest, value)
            if at > now - self.scale_down.window:
                largest = max(largest, value)
        longest = max(self.scale_up.window, self.scale_down.window)
        self.recommendations = [
            (value, at) for value, at in self.recommendations if at > now - longest
        ]
        self.recommendations.append((wanted, now))
        return min(max(spec, smallest), largest)

    def _limited(self, spec: int, desired: int, now: float) -> int:
        if desired > spec:
            limit = max(spec, self._limit(self.scale_up, spec, now, growing=True))
            return min(desired, limit, self.max_replicas)
        if desired < spec:
            limit = min(spec, self._limit(self.scale_down, spec, now, growing=False))
            return max(desired, limit, self.min_replicas)
        return desired

    def _limit(self, rules: Rules, spec: int, now: float, *, growing: bool) -> int:
        if rules.select == "Disabled":
            return spec
        limits = []
        for policy in rules.policies:
            since = now - policy.period
            start = spec - _changed(self.added, since) + _changed(self.removed, since)
            limits.append(_reach(policy, start, growing=growing))
        # The policy that allows the greater change has the higher limit up, the lower one down.
        greatest = (rules.select == "Max") == growing
        return max(limits) if greatest else min(limits)


def _reach(policy: Policy, start: int, *, growing: bool) -> int:
    sign = 1 if growing else -1
    if policy.type == "Pods":
        return start + sign * policy.value
    exact = start * (1 + sign * Fraction(policy.value, 100))
    return ceil(exact) if growing else floor(exact)


def _changed(events: list[tuple[int, float]], since: float) -> int:
    return sum(count for count, at in events if at > since)
