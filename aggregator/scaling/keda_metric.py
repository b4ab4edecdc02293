"""What the KEDA external scaler answers for a set: one number and one yes or no. Pure and exact.

An HPA computes desired = ceil(metric / 1), so the metric *is* the number of servers there should
be. It knows counts, not names: it deletes by lowering replicas, and the set's deletion order makes
the marked servers go first. So the number must never be one that makes it delete another:

- E while not everything is known;
- E + deficit while servers are missing, if that fits below the cap or nobody is marked;
- E less what is cancelled while marked servers wait and others are not created yet: a lower number
  would cancel those instead of the marked;
- otherwise E less the marked and the idle that are too many.

There is no dwell, because an HPA has its own window, and no clamp, because it has minReplicas and
maxReplicas. With `removal: Claim` the aggregator removes the marked servers itself, by name, and
the number leaves them alone.

Source: https://keda.sh/docs/latest/concepts/external-scalers/ and
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from aggregator.scaling.demand import demand
from aggregator.scaling.quantity import floor

if TYPE_CHECKING:
    from aggregator.scaling.census import Census
    from aggregator.scaling.policy import Policy

_NO_TOLERANCE = Fraction(0)


@dataclass(frozen=True, slots=True)
class MetricRules:
    """How the number is told.

    Attributes:
        cap: the most that the HPA will ask for; None when that is not known.
        tolerance: of the HPA. A growth within it is raised just above it; shrinking never.
        claims: the aggregator removes marked servers itself.
    """

    cap: int | None = None
    tolerance: Fraction = _NO_TOLERANCE
    claims: bool = False


_DEFAULT_RULES = MetricRules()


def metric(census: Census, policy: Policy, rules: MetricRules = _DEFAULT_RULES) -> int:
    """Return the number of servers there should be, never negative."""
    wish = demand(census, policy)
    expected = census.expected
    marked = 0 if rules.claims else census.marked
    grown = expected + wish.deficit
    if wish.deficit and (not marked or rules.cap is None or grown <= rules.cap):
        return _beyond_tolerance(grown, census.spec, rules.tolerance)
    if not census.settled:
        return max(0, expected)
    if marked and census.missing:
        return max(0, expected - min(wish.excess, census.missing))
    return max(0, expected - marked - wish.excess)


def is_empty(census: Census, policy: Policy) -> bool:
    """Tell whether nothing is needed: KEDA may then put the set to zero servers.

    The caller has to see this without a break for a while before it says so.
    """
    wish = demand(census, policy)
    if census.spec == 0:
        return wish.deficit == 0
    return census.settled and census.expected - census.marked + wish.deficit == 0


def _beyond_tolerance(wanted: int, spec: int, tolerance: Fraction) -> int:
    """Return a growth that the HPA does not take for noise.

    It compares with status.replicas, which is spec.replicas of the observed generation, and stays
    where it is while the ratio is within 1 + tolerance, the end included.
    """
    if wanted <= spec:
        return wanted
    return max(wanted, floor(spec * (1 + tolerance)) + 1)
