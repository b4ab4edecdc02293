"""Sets in two thousand random schedules, and defects that the simulator has to notice."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulation.runner import describe, play_all
from tests.simulation.schedule import play

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEDULES = int(os.environ.get("SIMULATION_SCHEDULES", "2000"))
KINDS = ("accounting", "claim", "creation", "deletion", "release", "update in place")


@pytest.mark.timeout(600)
def test_every_invariant_holds_in_every_schedule() -> None:
    verdicts: Counter[str] = Counter()
    failures = []
    for played in play_all(0, SCHEDULES):
        verdicts.update(played.verdicts)
        if played.failure:
            failures.append(describe(played))
    assert not failures, "\n".join(failures[:5])
    # Otherwise nothing was tried that could have gone wrong.
    assert verdicts.keys() == set(KINDS)


def test_the_same_seed_plays_the_same_schedule() -> None:
    assert play(7, tells=True) == play(7, tells=True)


DEFECTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "the wrong order of deletion": (
        "aggregator.selection.deletion_order",
        lambda candidate: (candidate.deletion_priority, candidate.id),
    ),
    "own creations and deletions are not waited for": (
        "aggregator.kube.expectations.Expectations.satisfied",
        lambda *_: True,
    ),
    "deletions are counted again": (
        "aggregator.gameserverset.plan.parse_accounted",
        lambda _: (),
    ),
    "a Kill costs nothing": (
        "aggregator.gameserverset.accounting.lowered",
        lambda replicas, *_: replicas,
    ),
    "one server too many": (
        "aggregator.gameserverset.scale.lowered",
        lambda replicas, *_: replicas + 1,
    ),
    "reserved ids are taken for free": (
        "aggregator.gameserverset.facts.parse_reserve_list",
        lambda _: (__import__("aggregator.gameserverset.ids").gameserverset.ids.IdSet(()), ()),
    ),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_noticed(monkeypatch: pytest.MonkeyPatch, defect: str) -> None:
    monkeypatch.setattr(*DEFECTS[defect])
    assert any(play(seed).failure for seed in range(200))
