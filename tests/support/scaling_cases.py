"""Tables of single passes of the autoscaler: what a case is, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.policy import History, Policy, Snapshot
from tests.cases.autoscale import describe
from tests.support.scaling import at

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 1000
BUSY = "Allocated"


@dataclass(frozen=True)
class Case:
    """One pass at second 1000: what there is and is wished for, and what comes of it.

    Attributes:
        victims: ids, in the order in which they go.
        cancel: servers that were asked for and are not created any more.
    """

    name: str
    snapshot: Snapshot
    policy: Policy
    add: int = 0
    victims: tuple[int, ...] = ()
    cancel: int = 0
    reasons: tuple[str, ...] = ()
    history: History = field(default_factory=History)

    @property
    def expected(self) -> dict[str, Any]:
        """All of what should come of the pass."""
        return {
            "add": self.add,
            "victims": list(self.victims),
            "cancel": self.cancel,
            "reasons": set(self.reasons),
            "specReplicasWritten": self.snapshot.spec_replicas + self.add - self.cancel,
        }


def each(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Run a test with every case, under the case's name."""
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), "two cases have the same name"
    return pytest.mark.parametrize("case", cases, ids=names)


def outcome_of(case: Case) -> dict[str, Any]:
    """Run the pass and return what came of it, to be compared with `case.expected`."""
    return describe(evaluate(case.snapshot, case.policy, case.history, at(NOW)))
