"""Adds ids to a reserve list without disturbing what people wrote in it (SPEC 6.7). Pure.

A new id is a plain number of its own; only a range that touches it grows by it, because "3-5" and 6
read better as "3-6". Everything else stays as it was written, in its order, items without a meaning
included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.gameserverset.ids import IdSet, parse_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# As in the CRD: the API server refuses a longer list, so a full one is written as ranges.
MAX_ITEMS = 10_000

Items = tuple[int | str, ...]


def add_ids(items: Sequence[int | str], ids: Iterable[int]) -> Items:
    """Return the list with `ids` in it; those that it means already are not added again.

    Costs O((items + ids) log items).
    """
    result = list(items)
    known = IdSet.of(found for item in items if (found := parse_interval(item)) is not None)
    ranges = _Ranges(result)
    for id_ in sorted(set(ids)):
        if id_ in known:
            continue
        if not ranges.grow_by(id_):
            result.append(id_)
    return tuple(result) if len(result) <= MAX_ITEMS else _as_intervals(result)


class _Ranges:
    """The ranges in a list, found by their ends."""

    def __init__(self, items: list[int | str]) -> None:
        self._items = items
        self._by_start: dict[int, int] = {}
        self._by_end: dict[int, int] = {}
        for index, item in enumerate(items):
            interval = parse_interval(item)
            # A single number is no range, whether it is written 3 or "3-3".
            if interval is not None and interval[0] < interval[1]:
                self._by_start[interval[0]] = index
                self._by_end[interval[1]] = index

    def grow_by(self, id_: int) -> bool:
        """Extend a range that touches `id_`; False when none does. Ids come in ascending order."""
        index = self._by_end.pop(id_ - 1, None)
        if index is not None:
            self._by_end[id_] = index
            self._items[index] = f"{str(self._items[index]).partition('-')[0]}-{id_}"
            return True
        index = self._by_start.pop(id_ + 1, None)
        if index is not None:
            # It grows no more at its start: the next id is larger.
            self._items[index] = f"{id_}-{str(self._items[index]).partition('-')[2]}"
            return True
        return False


def _as_intervals(items: list[int | str]) -> Items:
    """Return the shortest list with the same meaning."""
    found = IdSet.of(
        interval for item in items if (interval := parse_interval(item)) is not None
    ).intervals
    return tuple(start if start == end else f"{start}-{end}" for start, end in found)
