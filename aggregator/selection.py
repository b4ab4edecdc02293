"""Which server goes first when there are too many (SPEC 6.4). Pure.

The order of the seed: opsState WaitToBeDeleted, then None and every custom state, then Allocated,
then Maintaining; within one, the larger deletionPriority; then the larger id. It is a total order
over integers, so the same servers always give the same victims, whatever order they arrive in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from shared.api import names
from shared.api.meta import INT32_MAX, INT32_MIN

if TYPE_CHECKING:
    from collections.abc import Iterable

_RANKS = {
    # Somebody already asked for this one to die; taking another in its place would cost two.
    names.OPS_STATE_KILL: 0,
    names.OPS_STATE_WAIT_TO_BE_DELETED: 1,
    names.OPS_STATE_NONE: 2,
    names.OPS_STATE_ALLOCATED: 3,
    names.OPS_STATE_MAINTAINING: 4,
}
_CUSTOM_RANK = _RANKS[names.OPS_STATE_NONE]
_BY_LETTERS = {state.casefold(): state for state in _RANKS}
# As in the CRD. NB: int() alone accepts "1_000", " 1 " and digits of other scripts.
_PRIORITY_PATTERN = re.compile(r"-?[0-9]{1,10}")


class Candidate(Protocol):
    """What the order looks at."""

    @property
    def id(self) -> int:
        """The ordinal at the end of the server's name."""

    @property
    def ops_state(self) -> str:
        """The server's opsState."""

    @property
    def deletion_priority(self) -> int:
        """The server's deletionPriority."""


C = TypeVar("C", bound=Candidate)


@dataclass(frozen=True, slots=True)
class Priority:
    """A priority as it counts, and whether what the user wrote was one."""

    value: int
    valid: bool


def parse_priority(raw: int | str | None) -> Priority:
    """Return the integer that a priority means; 0 and not valid when it is no 32-bit integer.

    Args:
        raw: an int, a numeric string, or None when absent (which is 0 and valid).
    """
    if raw is None:
        return Priority(0, valid=True)
    if isinstance(raw, str) and _PRIORITY_PATTERN.fullmatch(raw) is None:
        return Priority(0, valid=False)
    value = int(raw)
    if not INT32_MIN <= value <= INT32_MAX:
        return Priority(0, valid=False)
    return Priority(value, valid=True)


def meant_ops_state(ops_state: str) -> str | None:
    """Return the well-known opsState that this one differs from in letter case only, else None.

    Such a state is a custom one: `allocated` goes before every Allocated server.
    """
    meant = _BY_LETTERS.get(ops_state.casefold())
    return meant if meant != ops_state else None


def deletion_order(candidate: Candidate) -> tuple[int, int, int]:
    """Return the sort key under which the first to be deleted comes first."""
    rank = _RANKS.get(candidate.ops_state, _CUSTOM_RANK)
    return rank, -candidate.deletion_priority, -candidate.id


def victims(candidates: Iterable[C], count: int) -> list[C]:
    """Return the `count` candidates that go first, in the order they go.

    Source: seed "scaling", deletion order; OpenKruiseGame compares priorities as strings, we do
    not.
    """
    return sorted(candidates, key=deletion_order)[: max(0, count)]
