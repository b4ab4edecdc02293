"""How many idle servers are too few or too many: deficit and excess. Pure and exact.

With `idle` servers of B, of which a share p shall be idle, x more servers that are all idle give
(idle + x) / (B + x) >= p, so x = (p*B - idle) / (1 - p), rounded up; the same with fewer. For a
count it is a difference.

The deficit never asks for more than maxAvailable lets stand, and the excess never takes what
minAvailable or its floor needs. There is no excess while there is a deficit.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from aggregator.scaling.quantity import ceiling, floor

if TYPE_CHECKING:
    from aggregator.scaling.census import Census
    from aggregator.scaling.policy import Policy
    from aggregator.scaling.quantity import Amount


@dataclass(frozen=True, slots=True)
class Demand:
    """What is wrong with the supply, before any window or limit. At most one is not zero."""

    deficit: int
    excess: int


def demand(census: Census, policy: Policy) -> Demand:
    """Return how many idle servers are too few or too many."""
    idle = census.idle
    ceiling_amount = _max_available(policy)
    shortage = max(_shortage(policy.min_available, census), policy.min_available_floor - idle)
    if isinstance(ceiling_amount, int):
        shortage = min(shortage, ceiling_amount - idle)
    if shortage > 0:
        return Demand(deficit=shortage, excess=0)
    if ceiling_amount is None:
        return Demand(deficit=0, excess=0)
    surplus = ceiling(_above(ceiling_amount, census))
    spare = min(idle, idle - policy.min_available_floor)
    if policy.min_available is not None:
        spare = min(spare, floor(_above(policy.min_available, census)))
    return Demand(deficit=0, excess=max(0, min(surplus, spare)))


def _max_available(policy: Policy) -> Amount | None:
    """Return maxAvailable; where a probe marks every idle server it is what shall be kept."""
    if policy.max_available is not None or not policy.marks_idle:
        return policy.max_available
    wanted = policy.min_available or 0
    return max(wanted, policy.min_available_floor) if isinstance(wanted, int) else wanted


def _shortage(amount: Amount | None, census: Census) -> int:
    return 0 if amount is None else ceiling(-_above(amount, census))


def _above(amount: Amount, census: Census) -> Fraction | int:
    """Return how many idle servers have to go until exactly `amount` is left; may be negative."""
    if isinstance(amount, int):
        return census.idle - amount
    # (idle - share * base) / (1 - share), multiplied out: one fraction is made and not four.
    share, whole = amount.numerator, amount.denominator
    return Fraction(census.idle * whole - share * census.base, whole - share)
