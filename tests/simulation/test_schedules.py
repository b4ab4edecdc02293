"""Sets in two thousand random schedules, and defects that the simulator has to notice."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.defects import DEFECTS, first_noticed
from tests.simulation.play import play
from tests.simulation.runner import describe, play_all

SCHEDULES = int(os.environ.get("SIMULATION_SCHEDULES", "2000"))
KINDS = {
    *("accounting", "action", "adoption", "claim", "creation", "deletion", "forgotten server"),
    *("release", "removal", "scaling", "update in place", "volume claim"),
}


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
    assert verdicts.keys() == KINDS


@pytest.mark.timeout(120)
def test_the_same_seed_plays_the_same_schedule() -> None:
    assert play(7, tells=True) == play(7, tells=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_noticed(name: str) -> None:
    assert first_noticed(DEFECTS[name]) is not None
