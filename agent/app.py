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

from agent import metrics
from agent.access import StatusAccess
from agent.containers import Containers
from agent.exec.engine import ProcrootEngine
from agent.log import data
from agent.prober import Prober
from agent.probes.handlers import Handlers
from agent.report_loop import ReportLoop
from agent.reporting import build_report, describe_probe, encode_report
from agent.resident import LibraryPages
from agent.selftest import SelfTest
from agent.sender import Sender
from agent.status import Pages, StatusServer
from agent.version import AGENT_VERSION
from shared.clock import Clock, monotonic_seconds, utc_now
from shared.protocol.wire import render

if TYPE_CHECKING:
    from agent.exec.helper import HelperProcess
    from agent.outbox import Outbox
    from agent.settings import Settings
    from shared.protocol.report import Answer

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
        self._library_pages = LibraryPages(monotonic_seconds())  # before the first thread
        sender = Sender(
            settings.report_urls, settings.token_file, settings.ca_file, self._wakeup.wake
        )
        self._started_at = utc_now()
        clock = Clock()
        self._reports = ReportLoop(sender, clock, random_share, self._encode, self._answered)
        self._engine = ProcrootEngine(self._selector, helper, random_share)
        self._handlers = Handlers(self._selector, self._engine, settings.pod_ip)
        self._containers = Containers(self._selector, settings.pod_uid, self._container_changed)
        self._prober = Prober(
            self._containers,
            self._handlers,
            settings.max_concurrent_probes,
            self._reports.changed,
            random_share,
            clock,
        )
        self._selftest = SelfTest(self._containers, self._engine, self._prober.cannot_enter)
        pages = Pages(self._describe, self._measure, StatusAccess(settings.token_file).allows)
        self._status = StatusServer(self._selector, settings.pod_ip, settings.status_port, pages)

    def run(self) -> None:
        """Probe and report until SIGTERM or SIGINT, then send a last report."""
        log.info("agent started", extra=data(version=AGENT_VERSION, epoch=self._reports.epoch))
        parts: tuple[_Part, ...] = (
            self._engine,
            self._handlers,
            self._containers,
            self._prober,
            self._status,
            self._reports,
            self._library_pages,
        )
        while not self._wakeup.stop_requested:
            self._turn(parts, until=None)
        self._say_goodbye()

    def _turn(self, parts: tuple[_Part, ...], until: float | None) -> None:
        """Sleep until something happens or is due, then do it."""
        times = [part.deadline() for part in parts]
        times.append(until)
        planned = [time for time in times if time is not None]
        wait = max(0.0, min(planned) - monotonic_seconds()) if planned else None
        for key, _ in self._selector.select(wait):
            # A callback before may have closed this one in the same turn.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        self._reports.receive()  # first: an answer may bring another list
        now = monotonic_seconds()
        for part in parts:
            part.step(now)

    def _say_goodbye(self) -> None:
        log.info("agent stops")
        deadline = monotonic_seconds() + LAST_REPORT_SECONDS
        self._prober.close()
        self._selftest.close()
        # One request at a time, also now: the outstanding one is awaited first.
        while self._reports.in_flight and monotonic_seconds() < deadline:
            self._turn((), until=deadline)
        left = deadline - monotonic_seconds()
        if left > 0:
            self._reports.send(left)
        while self._reports.in_flight and monotonic_seconds() < deadline:
            self._turn((), until=deadline)
        self._handlers.close()
        self._engine.close()
        self._status.close()

    def _container_changed(self, name: str) -> None:
        self._prober.container_changed(name)
        self._selftest.look(self._prober.exec_containers())

    def _encode(self, outbox: Outbox) -> bytes:
        report = build_report(
            self._settings.pod_uid,
            outbox,
            utc_now(),
            self._prober.revision,
            (self._containers.report(), self._prober.probes),
        )
        return encode_report(report)

    def _answered(self, answer: Answer) -> None:
        if answer.probes is not None and answer.probes_revision != self._prober.revision:
            self._prober.replace(answer.probes, answer.probes_revision)
            self._selftest.look(self._prober.exec_containers())

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
            "execBackend": {
                "name": self._engine.name,
                "helperRestarts": self._engine.restarts,
                "selfTest": self._selftest.describe(),
            },
            "containers": render(self._containers.report()),
            "probesRevision": self._prober.revision,
            "probes": [describe_probe(probe, now) for probe in self._prober.probes],
            "refusedProbeList": self._reports.describe_refused_list(),
            "reports": self._reports.describe(),
        }

    def _measure(self) -> str:
        families = (
            *metrics.probe_families(self._prober.probes, self._prober.counters),
            metrics.counter(
                "gamekeeper_agent_exec_helper_restarts_total",
                "Exec helpers started in place of a dead one.",
                self._engine.restarts,
            ),
            *metrics.report_families(self._reports.answers, self._reports.failures),
            *metrics.process_families(self._started_at.timestamp()),
        )
        return metrics.render_metrics(families)


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
