"""Ids whose servers were not deleted for good and are to come back (SPEC 6.1, 6.3). Pure.

A pod that is recreated by an update, ended, or was deleted by somebody is no decision about its
server: the same id is made again, with its name and its volumes, also where a smaller id is free.
Nothing in the API server says so once such a pod is gone, so it is remembered from one look at the
set to the next. An aggregator that starts in just that moment takes the smallest free id instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aggregator.gameserverset.server import Server


@dataclass(frozen=True, slots=True)
class Returning:
    """What is remembered from the last look.

    Attributes:
        ids: that are to come back.
        present: ids of the servers that were there and not claimed.
    """

    ids: frozenset[int] = frozenset()
    present: frozenset[int] = frozenset()


def without(before: Returning, claimed: Iterable[int]) -> Returning:
    """Return what is remembered after these ids were claimed: they do not come back."""
    gone = frozenset(claimed)
    return Returning(before.ids - gone, before.present - gone)


def look_again(before: Returning, servers: Iterable[Server]) -> Returning:
    """Return what is to be remembered now, with these servers there."""
    live, going, claimed = set(), set(), set()
    for server in servers:
        if server.claimed is not None:
            claimed.add(server.id)
        elif server.terminating:
            going.add(server.id)
        else:
            live.add(server.id)
    gone = before.present - live - going
    ids = (before.ids | gone | going) - live - claimed
    return Returning(frozenset(ids), frozenset(live | going))
