"""The one log line about all reports of a heartbeat (SPEC 9.6). Not pure.

Theory: within one heartbeat every agent speaks once, and again for each change. So the reports of
that time are a batch whose line says how the fleet is: how many agents there are, how many said
something new, and how each was answered. A line for each report would cost as much as the report
and tell less.

| in the batch | the line |
| --- | --- |
| no report | none |
| nothing new, nothing refused | debug: an idle fleet writes nothing |
| anything else | info; with the first refusal, as its sender was told |
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog

from aggregator import log_keys
from aggregator.kube.errors import shorten
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from aggregator.kube.resources import ObjectKey
    from shared.protocol.report import Rejection

logger = structlog.get_logger()


class ReportBatch:
    """What came since the last line.

    Args:
        monotonic: seconds, for how long that was.
    """

    def __init__(self, monotonic: Callable[[], float] = monotonic_seconds) -> None:
        self._monotonic = monotonic
        self._begin()

    def _begin(self) -> None:
        self._since = self._monotonic()
        self._agents: set[str] = set()
        self._outcomes: Counter[str] = Counter()
        self._changed = 0
        self._refusal: dict[str, str] = {}

    def add(self, outcome: str, pod_uid: str, *, changed: bool) -> None:
        """Count a report that was taken; `changed` as the ledger says."""
        self._outcomes[outcome] += 1
        self._agents.add(pod_uid)
        self._changed += changed

    def add_refused(self, rejection: Rejection, sender: ObjectKey | None) -> None:
        """Count a report that was refused.

        Args:
            rejection: what it was answered with.
            sender: the pod of its token; None if that is not known.
        """
        self._outcomes[rejection.reason] += 1
        if not self._refusal:
            # NB: a sender chooses the names of the fields it sends, and their length.
            details = {
                log_keys.KEY: str(sender) if sender is not None else "",
                log_keys.REASON: rejection.reason,
                log_keys.FIELD: rejection.field or "",
                log_keys.MESSAGE: rejection.message,
            }
            self._refusal = {key: shorten(text) for key, text in details.items() if text}

    def write_line(self) -> None:
        """Write the line, if there is anything to say, and begin the next batch."""
        if self._outcomes:
            details: dict[str, Any] = {
                log_keys.COUNT: self._outcomes.total(),
                log_keys.AGENTS: len(self._agents),
                log_keys.CHANGED: self._changed,
                log_keys.OUTCOMES: dict(sorted(self._outcomes.items())),
                log_keys.DURATION_SECONDS: round(self._monotonic() - self._since, 3),
            }
            is_news = self._changed or self._refusal
            level = logging.INFO if is_news else logging.DEBUG
            logger.log(level, "reports answered", **details, **self._refusal)
        self._begin()


async def write_lines(batch: ReportBatch, interval_seconds: float) -> None:
    """Write the line of each interval until cancelled, and then that of the rest."""
    try:
        while True:
            await asyncio.sleep(interval_seconds)
            batch.write_line()
    finally:
        batch.write_line()
