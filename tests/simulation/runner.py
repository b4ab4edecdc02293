"""Plays many schedules on all cores."""

from __future__ import annotations

import gc
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING

from tests.simulation.play import Played, play

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 25


def play_all(first: int, count: int) -> Iterator[Played]:
    """Play `count` schedules from the seed `first` on and yield them in any order."""
    # Forking a process that runs threads is not safe; pytest has some.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        chunks = [
            pool.submit(_play_chunk, start, min(start + _CHUNK, first + count))
            for start in range(first, first + count, _CHUNK)
        ]
        for chunk in as_completed(chunks):
            yield from chunk.result()


def _play_chunk(start: int, stop: int) -> list[Played]:
    # Looking for garbage in the middle of a schedule takes a seventh of its time.
    gc.disable()
    played = [play(seed) for seed in range(start, stop)]
    gc.collect()
    return played


def describe(played: Played) -> str:
    """Return what is wrong with a failed schedule, and how to see it again."""
    return f"seed {played.seed}: {played.failure}\n  replay: make simulate SEED={played.seed}"
