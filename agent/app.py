"""Puts the agent together: one thread and one selector for everything but the sending of reports.

Each part says when it next has something to do (`deadline`) and does it (`step`); between deadlines
the loop sleeps in the selector, whose registrations carry callbacks. asyncio would read well here,
but it costs 4 MiB of private memory in every game pod (measured; AGENT-EXEC's limit is 14 for the
whole agent).
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
from typing import TYPE_CHECKING, Any, Protocol

from agent import outbox
from agent.containers import Containers
from agent.exec.engine import ProcrootEngine
from agent.log import data
from agent.outbox import Changed, Outbox, Sent
from agent.prober import Prober
from agent.reporting import build_report, describe_probe, encode_report
from agent.sender import REQUEST_TIMEOUT_SECONDS, Delivery, Sender
from agent.status import StatusServer
from agent.version import AGENT_VERSION
from shared.clock import monotonic_seconds, utc_now
from shared.protocol.wire import render

if TYPE_CHECKING:
    from datetime import datetime

    from agent.exec.helper import HelperProcess
    from agent.settings import Settings

log = logging.getLogger(__name__)

LAST_REPORT_SECONDS = 2.0


class _Part(Protocol):
    """What the loop asks of each part."""

    def deadline(self) -> float | None:
        """Return when it next has something to do, on the monotonic clock."""

    def step(self, now: float) -> None:
        """Do what is due."""


class Agent:
    """The whole sidecar.

    Args:
        settings: what the environment says.
        helper: the exec helper, forked before this process had threads.

    Raises:
        OSError: the CA file cannot be read.
    """

    def __init__(self, settings: Settings, helper: HelperProcess) -> None:
        self._settings = settings
        self._selector = selectors.DefaultSelector()
        self._wakeup = _Wakeup(self._selector)
        self._sender = Sender(
            settings.report_urls, settings.token_file, settings.ca_file, self._wakeup.wake
        )
        self._started_at = utc_now()
        now = monotonic_seconds()
        self._outbox = Outbox(epoch=int(self._started_at.timestamp() * 1000), due_at=now)
        self._engine = ProcrootEngine(self._selector, helper, random_share)
        self._containers = Containers(self._selector, settings.pod_uid, self._container_changed)
        self._prober = Prober(
            self._containers,
            self._engine,
            settings.max_concurrent_probes,
            self._changed,
            random_share,
        )
        self._status = StatusServer(
            self._selector, settings.pod_ip, settings.status_port, self._describe
        )
        self._last_delivery: tuple[datetime, Delivery] | None = None
        self._refused_list: dict[str, str] | None = None

    def run(self) -> None:
        """Probe and report until SIGTERM or SIGINT, then send a last report."""
        log.info("agent started", extra=data(version=AGENT_VERSION, epoch=self._outbox.epoch))
        parts: tuple[_Part, ...] = (self._engine, self._containers, self._prober, self._status)
        while not self._wakeup.stop_requested:
            self._turn(parts, until=None)
        self._say_goodbye()

    def _turn(self, parts: tuple[_Part, ...], until: float | None) -> None:
        """Sleep until something happens or is due, then do it."""
        times = [part.deadline() for part in parts]
        times += [outbox.next_send_at(self._outbox), until]
        planned = [time for time in times if time is not None]
        wait = max(0.0, min(planned) - monotonic_seconds()) if planned else None
        for key, _ in self._selector.select(wait):
            # A callback before may have closed this one in the same turn.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        while (delivery := self._sender.take()) is not None:
            self._receive(delivery)
        now = monotonic_seconds()
        for part in parts:
            part.step(now)
        send_at = outbox.next_send_at(self._outbox)
        if send_at is not None and send_at <= now:
            self._send(REQUEST_TIMEOUT_SECONDS)

    def _say_goodbye(self) -> None:
        log.info("agent stops")
        deadline = monotonic_seconds() + LAST_REPORT_SECONDS
        self._prober.close()
        # One request at a time, also now: the outstanding one is awaited first.
        while self._outbox.in_flight and monotonic_seconds() < deadline:
            self._turn((), until=deadline)
        left = deadline - monotonic_seconds()
        if left > 0:
            self._send(left)
        while self._outbox.in_flight and monotonic_seconds() < deadline:
            self._turn((), until=deadline)
        self._engine.close()
        self._status.close()

    def _changed(self) -> None:
        self._advance(Changed())

    def _container_changed(self, name: str) -> None:
        self._prober.container_changed(name)

    def _advance(self, event: outbox.Event) -> None:
        self._outbox = outbox.advance(self._outbox, event, monotonic_seconds(), random_share())

    def _send(self, timeout_seconds: float) -> None:
        self._advance(Sent())
        report = build_report(
            self._settings.pod_uid,
            self._outbox,
            utc_now(),
            self._prober.revision,
            (self._containers.report(), self._prober.probes),
        )
        self._sender.submit(encode_report(report), timeout_seconds)

    def _receive(self, delivery: Delivery) -> None:
        before = None if self._last_delivery is None else self._last_delivery[1]
        if delivery.error and (before is None or before.error != delivery.error):
            log.warning(
                "report not accepted",
                extra=data(url=delivery.url, status=delivery.status, error=delivery.error),
            )
        elif not delivery.error and (before is None or before.error):
            log.info("report accepted", extra=data(url=delivery.url))
        self._last_delivery = (utc_now(), delivery)
        self._advance(delivery.event)
        if delivery.malformed:
            self._refused_list = {"at": str(render(utc_now())), "error": delivery.error}
        answer = delivery.answer
        if answer is not None and answer.probes is not None:
            self._refused_list = None
            if answer.probes_revision != self._prober.revision:
                self._prober.replace(answer.probes, answer.probes_revision)

    def _describe(self) -> dict[str, Any]:
        now = monotonic_seconds()
        settings = self._settings
        return {
            "version": AGENT_VERSION,
            "startedAt": render(self._started_at),
            "pod": {
                "uid": settings.pod_uid,
                "name": settings.pod_name,
                "namespace": settings.pod_namespace,
                "ip": settings.pod_ip,
            },
            "execBackend": self._engine.name,
            "containers": render(self._containers.report()),
            "probesRevision": self._prober.revision,
            "probes": [describe_probe(probe, now) for probe in self._prober.probes],
            "refusedProbeList": self._refused_list,
            "reports": self._describe_reports(now),
        }

    def _describe_reports(self, now: float) -> dict[str, Any]:
        next_at = outbox.next_send_at(self._outbox)
        fields: dict[str, Any] = {
            "epoch": self._outbox.epoch,
            "sequence": self._outbox.sequence,
            "inFlight": self._outbox.in_flight,
            "failuresInARow": self._outbox.failures,
            "heartbeatSeconds": self._outbox.heartbeat_seconds,
            "nextInSeconds": None if next_at is None else round(max(0.0, next_at - now), 3),
            "lastAnswer": None,
        }
        if self._last_delivery is not None:
            at, delivery = self._last_delivery
            fields["lastAnswer"] = {
                "at": render(at),
                "url": delivery.url,
                "httpStatus": delivery.status,
                "error": delivery.error,
            }
        return fields


class _Wakeup:
    """Lets signals and the sender's thread interrupt the selector."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.stop_requested = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        selector.register(self._reader, selectors.EVENT_READ, self._drain)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request_stop)

    def wake(self) -> None:
        """Make the selector return; safe in any thread."""
        try:
            self._writer.send(b"\0")
        except BlockingIOError:
            return  # full: it will wake anyway

    def _request_stop(self, _number: int, _frame: object) -> None:
        self.stop_requested = True

    def _drain(self) -> None:
        self._reader.recv(4096)


def random_share() -> float:
    """Return a random number in [0, 1); the `random` module would only be loaded for this."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
