"""Which of two reports came later, where two aggregators have one each (SPEC 8.3). Pure.

A resourceVersion stops a decision about an old object, not one that rests on an old report: a
former leader that has not noticed yet sees the newest GameServer and would write over it what the
agent said before. So the patch of an edge also says which report it acted on, and for a while an
earlier one of the same pod leads to nothing. Only for a while: epochs are clocks of agents, and one
that was set back would mute its agent for ever. Two leaders do not outlive a lease by so much.

The form of the annotation is a promise:

    gamekeeper.dev/acted-on-report: {"podUid": "...", "epoch": 1767323045678, "sequence": 7,
                                     "at": "2026-01-02T03:04:05.678Z"}
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.api import names
from shared.protocol.wire import render_time

if TYPE_CHECKING:
    from shared.api.gameserver import GameServer
    from shared.protocol.report import Report

# Four leases; clocks of machines differ by less.
PRECEDENCE = timedelta(seconds=60)


def render_mark(report: Report, now: datetime) -> str:
    """Return the annotation's text for a patch that acts on `report`."""
    mark = {
        "podUid": report.pod_uid,
        "epoch": report.epoch,
        "sequence": report.sequence,
        "at": render_time(now),
    }
    return json.dumps(mark, separators=(",", ":"))


def overtaken_for(server: GameServer, report: Report, now: datetime) -> timedelta | None:
    """Return for how long a report counts for nothing, because a later one was acted on.

    Returns:
        None when it counts: nothing was acted on, or long ago, or for another pod, or before it; or
        a person has spoiled the annotation.
    """
    try:
        mark = json.loads(server.metadata.annotations.get(names.ACTED_ON_ANNOTATION, "null"))
        later = mark["podUid"] == report.pod_uid and (mark["epoch"], mark["sequence"]) > (
            report.epoch,
            report.sequence,
        )
        left = datetime.fromisoformat(mark["at"]) + PRECEDENCE - now
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    # A mark from the far future is no clock that is a little ahead, but a spoiled one.
    return left if later and timedelta() < left <= 2 * PRECEDENCE else None
