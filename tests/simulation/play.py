"""Plays the schedule of a seed in a world of its own: with its own clock and uids, and in silence.

What the product reads of the world is replaced where the product itself names it once: the clocks
in shared.clock, the log in structlog's configuration.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest.mock import patch as replaced
from uuid import UUID

import structlog

from tests.simulation.schedule import Schedule
from tests.simulation.violation import Violation
from tests.support.builders import NOW
from tests.support.world import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Played:
    """What came out.

    Attributes:
        story: what happened, a line each.
        verdicts: number of judged writes, by what they were about.
    """

    seed: int
    story: list[str]
    verdicts: dict[str, int]
    failure: str = ""


def play(seed: int, traits: tuple[str, ...] = (), *, tells: bool = False) -> Played:
    """Play the schedule of a seed.

    Args:
        seed: decides everything.
        traits: names of those that the schedule has in any case.
        tells: keep the story, and log errors.
    """
    clock = Clock()
    with _world(seed, clock, logging.ERROR if tells else logging.CRITICAL):
        schedule = Schedule(seed, clock, traits, tells=tells)
        played = Played(seed, schedule.story, schedule.referee.verdicts)
        try:
            schedule.play()
        except Violation as violation:
            played.failure = str(violation)
    return played


@contextmanager
def _world(seed: int, clock: Clock, level: int) -> Iterator[None]:
    """Give the code under test this clock and uids of this seed."""
    uids = Random(seed)

    class Now(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return NOW + timedelta(seconds=clock.seconds)

    time = SimpleNamespace(
        monotonic=lambda: clock.seconds, clock_gettime=lambda _: clock.seconds, CLOCK_BOOTTIME=0
    )
    with ExitStack() as stack:
        stack.enter_context(replaced("shared.clock.time", time))
        stack.enter_context(replaced("shared.clock.datetime", Now))
        stack.enter_context(
            replaced(
                "localcluster.apiserver.verbs.uuid.uuid4", lambda: UUID(int=uids.getrandbits(128))
            )
        )
        stack.enter_context(_log_from(level))
        yield


@contextmanager
def _log_from(level: int) -> Iterator[None]:
    """Log what is at least so bad: a schedule is full of refusals."""
    before = structlog.get_config() if structlog.is_configured() else None
    quiet = structlog.make_filtering_bound_logger(level)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=False)
    try:
        yield
    finally:
        if before is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**before)
