"""Sends the agent's state when the outbox says so, and takes in what the aggregator answers.

Decisions are in outbox.py, the wire is in reporting.py, the requests are made by a transport (in
the product sender.py). Clock, randomness and transport are arguments, so that tests play days of
outages in a second.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from agent import outbox
from agent.log import data
from agent.outbox import Changed, Outbox, Sent
from agent.sender import REQUEST_TIMEOUT_SECONDS
from shared.protocol.wire import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agent.sender import Delivery
    from shared.clock import Clock
    from shared.protocol.report import Answer

log = logging.getLogger(__name__)


class Transport(Protocol):
    """Carries one report at a time."""

    def submit(self, body: bytes, timeout_seconds: float) -> None:
        """Send this body; its delivery can be taken later."""

    def take(self) -> Delivery | None:
        """Return the next delivery, None when there is none yet."""


class ReportLoop:
    """Keeps the aggregator informed, one request at a time.

    Args:
        transport: carries the reports.
        clock: of this machine.
        share: returns a random number in [0, 1).
        encode: returns the body of a report with the numbers of the outbox.
        on_answer: called with every answer that could be read.

    Attributes:
        answers: how many reports ended with each HTTP status; "none" without an answer.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        share: Callable[[], float],
        encode: Callable[[Outbox], bytes],
        on_answer: Callable[[Answer], None],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._share = share
        self._encode = encode
        self._on_answer = on_answer
        epoch = int(clock.utc_now().timestamp() * 1000)
        self._outbox = Outbox(epoch=epoch, due_at=clock.monotonic_seconds())
        self._last: tuple[datetime, Delivery] | None = None
        self._malformed: tuple[datetime, str] | None = None
        self.answers: dict[str, int] = {}

    @property
    def epoch(self) -> int:
        """The epoch of the reports."""
        return self._outbox.epoch

    @property
    def in_flight(self) -> bool:
        """Whether a request is outstanding."""
        return self._outbox.in_flight

    @property
    def failures(self) -> int:
        """How many reports in a row were not accepted."""
        return self._outbox.failures

    def changed(self) -> None:
        """Something that a report says has changed."""
        self._advance(Changed())

    def deadline(self) -> float | None:
        """Return when the next report is due; None while one is outstanding."""
        return outbox.next_send_at(self._outbox)

    def step(self, now: float) -> None:
        """Take what was delivered, then send what is due."""
        self.receive()
        due_at = self.deadline()
        if due_at is not None and due_at <= now:
            self.send(REQUEST_TIMEOUT_SECONDS)

    def send(self, timeout_seconds: float) -> None:
        """Send the state as it is now; no request may be outstanding."""
        self._advance(Sent())
        self._transport.submit(self._encode(self._outbox), timeout_seconds)

    def receive(self) -> None:
        """Take in what has been delivered."""
        while (delivery := self._transport.take()) is not None:
            self._log(delivery)
            ending = "none" if delivery.status is None else str(delivery.status)
            self.answers[ending] = self.answers.get(ending, 0) + 1
            self._last = (self._clock.utc_now(), delivery)
            self._advance(delivery.event)
            if delivery.malformed:
                self._malformed = (self._clock.utc_now(), delivery.error)
            if delivery.answer is not None:
                if delivery.answer.probes is not None:
                    self._malformed = None
                self._on_answer(delivery.answer)

    def describe_refused_list(self) -> dict[str, Any] | None:
        """Return when and why a malformed answer was refused; None when a good one followed."""
        if self._malformed is None:
            return None
        at, error = self._malformed
        return {"at": render(at), "error": error}

    def describe(self) -> dict[str, Any]:
        """Return the numbers of the outbox and the last answer, for /status."""
        next_at = self.deadline()
        left = None if next_at is None else max(0.0, next_at - self._clock.monotonic_seconds())
        fields: dict[str, Any] = {
            "epoch": self._outbox.epoch,
            "sequence": self._outbox.sequence,
            "inFlight": self._outbox.in_flight,
            "failuresInARow": self._outbox.failures,
            "heartbeatSeconds": self._outbox.heartbeat_seconds,
            "nextInSeconds": None if left is None else round(left, 3),
            "lastAnswer": None,
        }
        if self._last is not None:
            at, delivery = self._last
            fields["lastAnswer"] = {
                "at": render(at),
                "url": delivery.url,
                "httpStatus": delivery.status,
                "error": delivery.error,
            }
        return fields

    def _advance(self, event: outbox.Event) -> None:
        now = self._clock.monotonic_seconds()
        self._outbox = outbox.advance(self._outbox, event, now, self._share())

    def _log(self, delivery: Delivery) -> None:
        before = None if self._last is None else self._last[1]
        if delivery.error and (before is None or before.error != delivery.error):
            found = data(url=delivery.url, status=delivery.status, error=delivery.error)
            log.warning("report not accepted", extra=found)
        elif not delivery.error and (before is None or before.error):
            log.info("report accepted", extra=data(url=delivery.url))
