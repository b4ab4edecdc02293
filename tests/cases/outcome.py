"""The outcome of one case, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """What was expected and what came out; `place` says where in the case."""

    case: int | str
    note: str
    expected: Any
    actual: Any
    place: str = ""

    @property
    def passed(self) -> bool:
        """Tell whether they agree."""
        return bool(self.expected == self.actual)
