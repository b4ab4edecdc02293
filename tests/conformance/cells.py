"""The cells of a matrix: what is expected, and where that is written. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _pytest.mark.structures import ParameterSet


class Named(Protocol):
    """A case that says its test id."""

    @property
    def id(self) -> str:
        """Words with hyphens."""


@dataclass(frozen=True, slots=True)
class Expected:
    """How the server answers.

    Args:
        code: HTTP status.
        reason: of the Status; None for success, or where the real server gives none.
        source: where the rule is written.
        causes: reason and field of each cause; None leaves them open.
    """

    code: int
    reason: str | None
    source: str
    causes: frozenset[tuple[str, str]] | None = None

    def check(self, answer: Any) -> None:
        """Fail unless `answer` is as expected; the failure prints the source."""
        where = f"by {self.source}\n{answer.body}"
        assert answer.outcome == (self.code, self.reason), where
        if self.causes is not None:
            assert answer.causes == set(self.causes), where


def accepted(source: str, code: int = 200) -> Expected:
    """Return the expectation of a success."""
    return Expected(code, None, source)


def invalid(source: str, *causes: tuple[str, str]) -> Expected:
    """Return the expectation of a 422 whose causes are these (reason without `FieldValue`)."""
    named = frozenset((f"FieldValue{reason}", field) for reason, field in causes)
    return Expected(422, "Invalid", source, named or None)


Case = TypeVar("Case", bound=Named)


def rows(cases: Iterable[Case]) -> list[ParameterSet]:
    """Return the parameters of a table of cases."""
    return [pytest.param(case, id=case.id) for case in cases]


def matrix(table: dict[tuple[str, ...], Expected]) -> list[ParameterSet]:
    """Return the parameters of a matrix whose keys are its coordinates."""
    return [pytest.param(*key, cell, id="-".join(key)) for key, cell in table.items()]
