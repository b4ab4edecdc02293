"""The rows of a benchmark: figures with their limits, as a table and as JSON."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        limit: what it must not exceed; infinite where it is told for comparison.
        at_least: the limit is one that it must not fall below.
    """

    name: str
    value: float
    unit: str
    limit: float = math.inf
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def report(rows: Sequence[Row]) -> int:
    """Print the table, then the same as JSON; return 1 when a limit is not kept, else 0."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        limit = "" if math.isinf(row.limit) else f"{'>=' if row.at_least else '<='} {row.limit:g}"
        verdict = "" if row.holds else "  NOT KEPT"
        sys.stdout.write(f"{row.name:{width}} {row.value:10.2f} {row.unit:4} {limit}{verdict}\n")
    figures = {
        row.name: {"value": row.value, "unit": row.unit}
        | ({} if math.isinf(row.limit) else {"limit": row.limit})
        for row in rows
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if all(row.holds for row in rows) else 1
