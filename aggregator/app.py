"""Puts the aggregator together: what is started in which order, and what ends with what.

This is the only place that knows all parts. Watches fill caches, `changes` makes keys of what they
show, and the controllers of the present term decide from the caches.

| | leader | standby |
| --- | --- | --- |
| caches | follow the API server | the same |
| controllers | run | do not exist |
| reports | taken | 503 |
| /readyz | the caches are whole | the same |
"""

from __future__ import annotations

import asyncio
import platform
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from aggregator import log_keys
from aggregator.agent_template import find_agent_template
from aggregator.autoscaler.rivals import RivalReader
from aggregator.caches import Caches
from aggregator.changes import Changes
from aggregator.external_scaler import ExternalScaler, LiveSets
from aggregator.gameserverset.trust import TrustBundle
from aggregator.health import health_app
from aggregator.intake.auth import TokenAuthenticator
from aggregator.intake.batches import ReportBatch, write_lines
from aggregator.intake.routes import IntakePorts, ReportIntake
from aggregator.kube.client import open_kube_client
from aggregator.kube.election import LeaseTimes
from aggregator.kube.fenced import FencedClient
from aggregator.kube.leadership import Leadership
from aggregator.kube.lease import Candidate, LeaderElection
from aggregator.kube.resources import ObjectKey
from aggregator.leader_label import LeaderLabel
from aggregator.ledger import Ledger
from aggregator.metrics import Metrics
from aggregator.probe_lists import ProbeLists
from aggregator.report_endpoint import ReportEndpoint
from aggregator.serving import HttpServer
from aggregator.status.access import StatusAccess
from aggregator.status.api import StatusPorts, status_app
from aggregator.status.history import RunHistory, ServerHistory
from aggregator.status.views import StatusViews
from aggregator.term import PresentTerm, Term
from aggregator.watches import Watches
from shared.clock import monotonic_seconds
from shared.errors import AppError

if TYPE_CHECKING:
    from aggregator.intake.auth import PodIdentity
    from aggregator.kube.transport import KubeClient
    from aggregator.settings import Settings
    from shared.protocol.probes import ProbeList

logger = structlog.get_logger()


class Aggregator:
    """One aggregator: caches, servers, and its turns as the leader.

    Args:
        settings: what can be set.
        client: the API server; this class puts the gate before all parts that write.
    """

    def __init__(self, settings: Settings, client: KubeClient) -> None:
        self._settings = settings
        self._leadership = Leadership()
        self._client = FencedClient(client, self._leadership)
        self._caches = Caches(Ledger(monotonic_seconds(), settings.heartbeat_seconds))
        self._probes = ProbeLists(self._caches)
        self._present = PresentTerm(self._leadership)
        self._endpoint = ReportEndpoint(settings, client, self._present.bundle_changed)
        self._runs = RunHistory()
        self._history = ServerHistory()
        self._metrics = Metrics(self._caches, self._is_leading, self._present.figures)
        self._batch = ReportBatch()
        self._reports = self._report_server()
        pod = ObjectKey(settings.pod_namespace, settings.pod_name) if settings.pod_name else None
        self._label = LeaderLabel(client, pod)
        self._election = LeaderElection(client, _candidate(settings), self._leadership)
        self._scaler = self._external_scaler()
        changes = Changes(
            self._caches,
            self._present,
            self._probes,
            self._history,
            self._metrics,
            self._scaler,
        )
        self._watches = Watches(self._client, settings.namespace, self._caches, changes)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; the lease is released then.

        Raises:
            InvalidInput: a port is in use, or a certificate file cannot be read.
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._health_server())
            await self._obtain(stop)
            if stop.is_set():
                return
            # Until this process leads and the caches are whole, a report is answered with 503.
            await stack.enter_async_context(self._reports)
            await stack.enter_async_context(self._status_server())
            if self._scaler is not None:
                await stack.enter_async_context(self._scaler)
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(self._endpoint.run(), name="report endpoint"),
                    tasks.create_task(self._watches.run(), name="watches"),
                    tasks.create_task(self._stand(), name="stand for election"),
                    tasks.create_task(
                        write_lines(self._batch, self._settings.heartbeat_seconds),
                        name="report batches",
                    ),
                ]
                if self._scaler is not None:
                    background.append(tasks.create_task(self._scaler.run(), name="scaler"))
                await stop.wait()
                for task in background:
                    task.cancel()

    async def _obtain(self, stop: asyncio.Event) -> None:
        """Return once there is a certificate for reports, or the process is to stop."""
        try:
            async with asyncio.TaskGroup() as tasks:
                both = (
                    tasks.create_task(self._endpoint.obtain()),
                    tasks.create_task(stop.wait()),
                )
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for task in both:
                    task.cancel()
        except* AppError as group:
            raise group.exceptions[0] from None

    async def _stand(self) -> None:
        """Stand for election once the caches are whole: who is ready later leads later."""
        await self._watches.synced()
        logger.info("aggregator ready", **{log_keys.COUNT: len(self._caches.sets)})
        await self._election.run(self._lead)

    async def _lead(self) -> None:
        """Do the work of the leader until cancelled."""
        self._caches.ledger.begin(monotonic_seconds())
        settings, endpoint = self._settings, self._endpoint
        agent = await find_agent_template(settings, self._client, endpoint.urls)
        trust = TrustBundle(self._client, lambda: endpoint.bundle)
        term = Term(settings, self._client, self._caches, agent, trust)
        try:
            await self._watches.refresh()
            self._present.term = term
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._label.take(self._client), name="leader label")
                tasks.create_task(term.run(), name="term")
        finally:
            self._present.term = None
            # Agents come back to whoever leads then.
            await self._reports.close_connections()
            await self._label.drop()

    def _is_leading(self) -> bool:
        return self._leadership.leading

    def _probes_for(self, identity: PodIdentity) -> tuple[str, ProbeList] | None:
        return self._probes.of_pod(
            ObjectKey(identity.namespace, identity.pod_name), identity.pod_uid
        )

    def _health_server(self) -> HttpServer:
        checks = {
            f"{name} synced": reflector.synced.is_set
            for name, reflector in self._watches.required.items()
        }
        checks["report certificate"] = self._endpoint.is_ready
        settings = self._settings
        app = health_app(checks, self._metrics.render)
        return HttpServer(app, settings.health_address, settings.health_port)

    def _status_server(self) -> HttpServer:
        settings = self._settings
        views = StatusViews(
            self._caches,
            self._runs,
            self._history,
            wanted_revision=lambda owner: self._probes.of_set(owner).revision,
        )
        # Without authentication nothing secret travels, and it is loopback.
        access, context = None, None
        if settings.status_authentication == "token":
            access = StatusAccess(self._client)
            context = self._endpoint.context
        app = status_app(
            StatusPorts(views, access, self._is_leading, self._present.explain_autoscaler)
        )
        return HttpServer(app, settings.status_address, settings.status_port, context)

    def _external_scaler(self) -> ExternalScaler | None:
        if self._settings.keda_port is None:
            return None
        reader = RivalReader(self._client)
        live = LiveSets(self._caches, reader, lambda: self._present.autoscaling)
        return ExternalScaler(self._settings, live)

    def _report_server(self) -> HttpServer:
        settings = self._settings
        ports = IntakePorts(
            authenticate=TokenAuthenticator(self._client, on_review=self._metrics.count_review),
            ledger=self._caches.ledger,
            probes_for=self._probes_for,
            on_accepted=self._present.report_accepted,
            heartbeat_seconds=settings.heartbeat_seconds,
            leading=self._is_leading,
            on_report=self._runs.record,
            count=self._metrics.count_report,
            batch=self._batch,
        )
        handle, context = ReportIntake(ports).handle, self._endpoint.context
        address, port = settings.report_address, settings.report_port
        # An agent speaks at every heartbeat: one that is lost needs no connection any longer.
        return HttpServer(handle, address, port, context, self._caches.ledger.patience_seconds)


def _candidate(settings: Settings) -> Candidate:
    # The name is for people; what makes it unique is the rest.
    identity = f"{settings.pod_name or platform.node()}_{uuid4()}"
    lease = ObjectKey(settings.lease_namespace, settings.lease_name)
    return Candidate(lease, identity, LeaseTimes.of_duration(settings.lease_seconds))


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run one aggregator until `stop` is set."""
    async with open_kube_client(settings.kubeconfig) as client:
        await Aggregator(settings, client).run(stop)
