"""What an autoscaler remembers from one pass to the next. Pure: every step gives a new memory.

All of it may be lost at any time. The dwell of marked servers is kept in the API server; windows
begin again with a sample of 0, so that a new leader removes nobody for being idle before it has
seen for a whole window that they are too many.

Samples are kept as a queue of growing values: a later sample that is not larger makes an earlier
one irrelevant, because every window that holds the earlier one holds the later one too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from aggregator.scaling.policy import History, Sample

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from aggregator.scaling.evaluate import Decision
    from shared.api.autoscaler import LastDecision

# The longest window of autoscaling/v2; periods are shorter.
_LONGEST = timedelta(seconds=3600)
_CHURN_WINDOW = timedelta(minutes=10)
_FLAP_WINDOW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of one autoscaler.

    Attributes:
        history: samples and changes of the last hour.
        replicas: spec.replicas as last seen or written by us; None before the first pass.
        grew: growth of ours stands: nobody has lowered replicas since.
        shrank: a removal of ours stands: nobody has raised replicas since.
        resets: when somebody else undid what we did.
        unused: uids of servers that were seen to start, and never in use since.
        wasted: when such a server was removed.
        short_since: since when servers have been missing without a break.
        scaled_at: when we last added or removed; None when not in this term.
        last_decision: the last that did something, whether or not the status says so yet.
    """

    history: History = field(default_factory=History)
    replicas: int | None = None
    grew: bool = False
    shrank: bool = False
    resets: tuple[datetime, ...] = ()
    unused: frozenset[str] = frozenset()
    wasted: tuple[datetime, ...] = ()
    short_since: datetime | None = None
    scaled_at: datetime | None = None
    last_decision: LastDecision | None = None


def begin(now: datetime) -> Memory:
    """Return the memory of who begins to lead."""
    return Memory(History(deficit=(Sample(0, now),), excess=(Sample(0, now),)))


def pause(memory: Memory, now: datetime) -> Memory:
    """Return the memory of who decides nothing for now: windows begin again after that."""
    fresh = begin(now).history
    history = replace(memory.history, deficit=fresh.deficit, excess=fresh.excess)
    # Whatever somebody does to replicas meanwhile, it undoes nothing of ours.
    return replace(
        memory, history=history, replicas=None, grew=False, shrank=False, short_since=None
    )


def see_replicas(memory: Memory, replicas: int, lowered: int, now: datetime) -> Memory:
    """Note what spec.replicas is; who undid what we did is counted.

    Args:
        memory: before.
        replicas: spec.replicas now.
        lowered: by how many it may have been lowered for claims since the last pass.
        now: the time.
    """
    resets = tuple(moment for moment in memory.resets if moment > now - _FLAP_WINDOW)
    before, grew, shrank = memory.replicas, memory.grew, memory.shrank
    if before is not None and grew and replicas < before - lowered:
        resets, grew = (*resets, now), False
    elif before is not None and shrank and replicas > before:
        resets, shrank = (*resets, now), False
    return replace(memory, replicas=replicas, grew=grew, shrank=shrank, resets=resets)


def see_decision(
    memory: Memory, decision: Decision, in_use: Collection[str], now: datetime
) -> Memory:
    """Note what a pass found, after it was decided."""
    history = memory.history
    growth, removal = decision.growth, decision.removal
    census = decision.census
    born = {server.pod_uid for server in census.booting}
    unused = (memory.unused | born).difference(in_use)
    return replace(
        memory,
        history=replace(
            history,
            deficit=_with_sample(history.deficit, growth.deficit, now),
            excess=_with_sample(history.excess, removal.excess, now),
            up=_recent(history.up, now),
            down=_recent(history.down, now),
        ),
        unused=unused,
        wasted=tuple(moment for moment in memory.wasted if moment > now - _CHURN_WINDOW),
        short_since=(memory.short_since or now) if census.missing else None,
    )


def note_growth(memory: Memory, replicas: int, change: int, now: datetime) -> Memory:
    """Note that spec.replicas was changed by us: `change` > 0 added, < 0 cancelled."""
    history = memory.history
    if change > 0:
        history = replace(history, up=(*history.up, Sample(change, now)))
    else:
        history = replace(history, down=(*history.down, Sample(-change, now)))
    return replace(
        memory,
        history=history,
        replicas=replicas,
        grew=memory.grew or change > 0,
        shrank=memory.shrank or change < 0,
        scaled_at=now,
    )


def note_removals(
    memory: Memory, pod_uids: Iterable[str], marked: Collection[str], now: datetime
) -> Memory:
    """Note servers that were claimed.

    Args:
        memory: before.
        pod_uids: of the claimed.
        marked: those that go because they were marked, not because there were too many.
        now: the time.
    """
    gone = frozenset(pod_uids)
    if not gone:
        return memory
    history = memory.history
    return replace(
        memory,
        history=replace(history, down=(*history.down, Sample(len(gone), now))),
        unused=memory.unused - gone,
        shrank=True,
        scaled_at=now,
        wasted=(*memory.wasted, *(now for _ in gone & memory.unused & frozenset(marked))),
    )


def _with_sample(samples: tuple[Sample, ...], value: int, now: datetime) -> tuple[Sample, ...]:
    kept = [sample for sample in _recent(samples, now) if sample.value < value]
    return (*kept, Sample(value, now))


def _recent(samples: tuple[Sample, ...], now: datetime) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if sample.at > now - _LONGEST)
