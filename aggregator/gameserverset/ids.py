"""Sets of ids as intervals (SPEC 6.3, 6.7). Pure.

A reserve list may say "0-2147483647", so ids are never listed: a set is a sorted tuple of disjoint,
inclusive intervals, and every question is answered by bisection.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.api.meta import INT32_MAX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@dataclass(frozen=True, slots=True)
class IdProblem:
    """An item of a reserve list that means nothing; it is ignored and shown in a condition."""

    index: int
    message: str


@dataclass(frozen=True, slots=True)
class IdSet:
    """A set of ids: sorted, disjoint, inclusive intervals that do not touch."""

    intervals: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, intervals: Iterable[tuple[int, int]]) -> IdSet:
        """Return the union of inclusive intervals."""
        merged: list[tuple[int, int]] = []
        for start, end in sorted(intervals):
            if merged and start <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return cls(tuple(merged))

    def __contains__(self, id_: int) -> bool:
        return self._end_at(id_) is not None

    def _end_at(self, id_: int) -> int | None:
        """Return the end of the interval that holds `id_`, None when there is none."""
        index = bisect_right(self.intervals, (id_, INT32_MAX + 1)) - 1
        if index >= 0 and id_ <= self.intervals[index][1]:
            return self.intervals[index][1]
        return None

    def with_ids(self, ids: Iterable[int]) -> IdSet:
        """Return the union with single ids."""
        return IdSet.of((*self.intervals, *((id_, id_) for id_ in ids)))

    def smallest_outside(self, count: int, taken: Collection[int]) -> list[int]:
        """Return the `count` smallest ids >= 0 that are neither here nor in `taken`, ascending.

        Fewer when the ids run out. Costs O(count + len(taken) + intervals passed).
        """
        found: list[int] = []
        id_ = 0
        while len(found) < count and id_ <= INT32_MAX:
            end = self._end_at(id_)
            if end is not None:
                id_ = end + 1
                continue
            if id_ not in taken:
                found.append(id_)
            id_ += 1
        return found


def parse_reserve_list(items: Iterable[int | str]) -> tuple[IdSet, tuple[IdProblem, ...]]:
    """Return the ids that `spec.reserveGameServerIds` means, and the items that mean nothing.

    One bad item never empties the list: the rest of it holds.
    """
    intervals: list[tuple[int, int]] = []
    problems: list[IdProblem] = []
    for index, item in enumerate(items):
        interval = parse_interval(item)
        if interval is None:
            message = f'{item!r} is neither an id nor a range "a-b" with a <= b <= {INT32_MAX}'
            problems.append(IdProblem(index, message))
        else:
            intervals.append(interval)
    return IdSet.of(intervals), tuple(problems)


def parse_interval(item: int | str) -> tuple[int, int] | None:
    """Return the first and the last id that an item means, None when it means nothing."""
    first, separator, last = str(item).partition("-")
    bounds = (first, last) if separator else (first, first)
    # NB: str.isdigit alone accepts digits of other scripts.
    if not all(bound.isascii() and bound.isdigit() for bound in bounds):
        return None
    start, end = (int(bound) for bound in bounds)
    return (start, end) if start <= end <= INT32_MAX else None


def server_name(set_name: str, id_: int) -> str:
    """Return the name of the pod and GameServer with this id."""
    return f"{set_name}-{id_}"


def parse_server_id(set_name: str, name: str) -> int | None:
    """Return the id in a server's name, None when the name is not of this set's form."""
    prefix, separator, tail = name.rpartition("-")
    canonical = tail.isascii() and tail.isdigit() and (tail == "0" or not tail.startswith("0"))
    if not separator or prefix != set_name or not canonical:
        return None
    return int(tail)
