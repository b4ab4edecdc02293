"""Says so when a GameServer has a priority that is none (SPEC 6.4). Pure.

Our schema refuses such a value; an object of before, or of another schema, can still hold one. It
counts as 0, and nobody would know why the server goes first or last. The condition exists only as
long as something is wrong, and its Event is told once: when the condition appears.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.selection import parse_priority
from shared.api import names
from shared.api.meta import INT32_MAX, INT32_MIN, Condition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

_MAX_SHOWN = 32


def plan_priority_condition(
    priorities: Mapping[str, int | str], former: Sequence[Condition], now: datetime
) -> tuple[Condition, ...]:
    """Return the condition PrioritiesValid, False; nothing when every priority is a number.

    Args:
        priorities: by the name of their field in spec.
        former: the conditions in status now.
        now: becomes lastTransitionTime of a new condition.
    """
    wrong = [
        f"spec.{name} {str(value)[:_MAX_SHOWN]!r}"
        for name, value in priorities.items()
        if not parse_priority(value).valid
    ]
    if not wrong:
        return ()
    before = [each for each in former if each.type == names.CONDITION_PRIORITIES_VALID]
    return (
        Condition(
            type=names.CONDITION_PRIORITIES_VALID,
            status="False",
            reason="InvalidPriority",
            message=f"{' and '.join(wrong)} counts as 0: "
            f"write a whole number from {INT32_MIN} to {INT32_MAX}",
            last_transition_time=before[0].last_transition_time if before else now,
        ),
    )
