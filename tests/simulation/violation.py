"""What is raised when an invariant does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.network import Request


class Violation(AssertionError):  # noqa: N818 - as a rule is said to be violated
    """An invariant does not hold."""


def require(holds: object, request: Request, why: str) -> None:
    """Raise unless something holds of a write.

    Raises:
        Violation: it does not; the text names the write.
    """
    if not holds:
        raise Violation(f"{why}\n  {request}")
