"""Pods that ended: when their servers are made again (SPEC 6.2). Pure.

A pod in phase Failed or Succeeded never runs again, so it is deleted and its id created anew: the
first time at once, because an evicted server is nobody's fault, then after 10 s, twice that, ... 5
minutes. A pod that lived for ten minutes begins from the start, as containers do with the kubelet.
The counts are in memory only: after a restart of the aggregator a crash loop is a little faster for
a while.
Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from aggregator.gameserverset.server import Server

BACKOFF = Backoff(base_seconds=10.0, cap_seconds=300.0)
HEALTHY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Failure:
    """How often the pods of one id ended in a row.

    Attributes:
        count: at least 1.
        pod_uid: of the last one.
        at: when that was seen first.
    """

    count: int
    pod_uid: str
    at: datetime

    @property
    def delay(self) -> timedelta:
        """How long the id waits for its next pod."""
        if self.count == 1:
            return timedelta()
        return timedelta(seconds=BACKOFF.ceiling_seconds(self.count - 1))


@dataclass(frozen=True, slots=True)
class Replacements:
    """What to do about pods that ended.

    Attributes:
        failures: what is remembered from now on, by id.
        due: servers whose pods are deleted now.
        waiting: servers whose pods stay until their delay is over.
        requeue_after: until the next one is due.
    """

    failures: Mapping[int, Failure]
    due: tuple[Server, ...] = ()
    waiting: tuple[Server, ...] = ()
    requeue_after: timedelta | None = None


def plan_replacements(
    servers: Iterable[Server], failures: Mapping[int, Failure], now: datetime
) -> Replacements:
    """Return which of the wanted servers are made again, and when.

    Args:
        servers: the wanted ones.
        failures: what was remembered, by id.
        now: the time.
    """
    ended = sorted((server for server in servers if server.finished), key=lambda each: each.id)
    if not ended and not failures:
        return Replacements({})
    remembered = {id_: old for id_, old in failures.items() if now - old.at < old.delay + HEALTHY}
    due, waiting, waits = [], [], []
    for server in ended:
        failure = remembered[server.id] = _count(server, remembered.get(server.id), now)
        remaining = failure.at + failure.delay - now
        if remaining > timedelta():
            waiting.append(server)
            waits.append(remaining)
        else:
            due.append(server)
    return Replacements(remembered, tuple(due), tuple(waiting), min(waits, default=None))


def _count(server: Server, former: Failure | None, now: datetime) -> Failure:
    if former is not None and former.pod_uid == server.pod_uid:
        return former
    lived = now - server.started_at if server.started_at is not None else timedelta()
    in_a_row = former.count if former is not None and lived < HEALTHY else 0
    return Failure(in_a_row + 1, server.pod_uid, now)
