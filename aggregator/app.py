"""Puts the aggregator together: reflectors fill caches, changes become keys, controllers reconcile.

This is the only place that knows all parts. A watch event or a report only adds a key to a work
queue; what to do is decided from the caches, so losing any event costs time, never truth.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web

from aggregator import log_keys
from aggregator.caches import Caches, set_key
from aggregator.gameserver.reconciler import GameServerReconciler
from aggregator.gameserverset.apply import Applier
from aggregator.gameserverset.pod import AgentTemplate
from aggregator.gameserverset.reconciler import GameServerSetReconciler
from aggregator.gameserverset.trust import TrustBundle
from aggregator.health import health_app
from aggregator.intake.auth import TokenAuthenticator
from aggregator.intake.routes import IntakePorts, intake_app
from aggregator.kube.client import open_kube_client
from aggregator.kube.controller import Controller
from aggregator.kube.events import EventRecorder
from aggregator.kube.expectations import Expectations
from aggregator.kube.reflector import Reflector
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from aggregator.kube.transport import Selection
from aggregator.ledger import Ledger
from aggregator.pods import Pod, decode_pod
from aggregator.quality.probes import ProbePlan, plan_probes
from shared.api import names
from shared.api.gameserver import GameServer
from shared.api.gameserverset import GameServerSet
from shared.clock import monotonic_seconds
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from aggregator.intake.auth import PodIdentity
    from aggregator.kube.transport import KubeClient
    from aggregator.settings import Settings
    from shared.protocol.probes import ProbeList

logger = structlog.get_logger()


class Aggregator:
    """One aggregator: caches, controllers and the two HTTP servers around one API client."""

    def __init__(self, settings: Settings, client: KubeClient) -> None:
        self._settings = settings
        self._client = client
        self._caches = Caches(Ledger(monotonic_seconds(), settings.heartbeat_seconds))
        self._expectations = Expectations()
        self._events = EventRecorder(client)
        self._probes: dict[str, tuple[int, ProbePlan]] = {}
        self._servers = Controller(
            "gameserver",
            GameServerReconciler(client, self._events, self._caches).reconcile,
            settings.workers,
        )
        self._sets = Controller(
            "gameserverset",
            GameServerSetReconciler(self._caches, self._applier(), self._expectations).reconcile,
            settings.workers,
        )
        self._reflectors: dict[str, Reflector[Any]] = {
            "GameServerSets": self._reflect_sets(),
            "GameServers": self._reflect_servers(),
            "pods": self._reflect_pods(),
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set.

        Raises:
            InvalidInput: a port is in use, or a certificate file cannot be read.
        """
        async with AsyncExitStack() as stack:
            await self._serve_health(stack)
            # Until the caches are whole a report is answered with 503: its pod is not known yet.
            await self._serve_reports(stack)
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(reflector.run(), name=f"reflect {name}")
                    for name, reflector in self._reflectors.items()
                ]
                background.append(tasks.create_task(self._events.run(), name="events"))
                background.append(tasks.create_task(self._reconcile(), name="reconcile"))
                await stop.wait()
                for task in background:
                    task.cancel()

    async def _reconcile(self) -> None:
        """Run the controllers, once the caches are whole: no decision before."""
        for reflector in self._reflectors.values():
            await reflector.synced.wait()
        logger.info("aggregator ready", **{log_keys.COUNT: len(self._caches.sets)})
        async with asyncio.TaskGroup() as tasks:
            for controller in (self._servers, self._sets):
                tasks.create_task(controller.run(), name=controller.name)

    def _applier(self) -> Applier:
        settings = self._settings
        agent = AgentTemplate(
            settings.agent_image, settings.agent_image_pull_policy, settings.report_urls
        )
        trust = TrustBundle(
            self._client, read_file("GAMEKEEPER_REPORT_CA_FILE", settings.report_ca_file)
        )
        return Applier(self._client, self._events, self._expectations, trust, agent)

    # -- what a change means: which keys to look at again --------------------------------------

    def _reflect_sets(self) -> Reflector[GameServerSet]:
        def changed(old: GameServerSet | None, new: GameServerSet | None) -> None:
            item = new or old
            if item is None:
                return
            self._sets.queue.add(ObjectKey(item.metadata.namespace, item.metadata.name))
            if new is None:
                self._probes.pop(item.metadata.uid, None)
            elif old is None or old.metadata.generation != new.metadata.generation:
                # Qualities may be others now: conditions and probe lists follow.
                for pod in self._caches.pods_of(new):
                    self._servers.queue.add(_key(pod))

        selection = Selection(GAMESERVERSETS, self._settings.namespace)
        decode = GameServerSet.model_validate_json
        return Reflector(self._client, selection, self._caches.sets, decode, changed)

    def _reflect_servers(self) -> Reflector[GameServer]:
        def changed(old: GameServer | None, new: GameServer | None) -> None:
            item = new or old
            if item is None:
                return
            self._servers.queue.add(_key(item))
            owner = set_key(item)
            if owner is not None:
                self._sets.queue.add(owner)

        selection = Selection(GAMESERVERS, self._settings.namespace)
        decode = GameServer.model_validate_json
        return Reflector(self._client, selection, self._caches.servers, decode, changed)

    def _reflect_pods(self) -> Reflector[Pod]:
        selection = Selection(PODS, self._settings.namespace, names.OWNER_LABEL)
        return Reflector(self._client, selection, self._caches.pods, decode_pod, self._pod_changed)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        item = new or old
        if item is None:
            return
        key = _key(item)
        self._servers.queue.add(key)
        if new is None:
            self._caches.ledger.forget(item.metadata.uid)
        elif new.is_probed:
            self._caches.ledger.expect(new.metadata.uid, monotonic_seconds())
        owner = set_key(item)
        if owner is not None:
            if new is not None:
                self._expectations.observed_creation(owner, key.name)
            if new is None or new.terminating:
                self._expectations.observed_deletion(owner, item.metadata.uid)
            self._sets.queue.add(owner)

    # -- reports --------------------------------------------------------------------------------

    def _probes_for(self, identity: PodIdentity) -> tuple[str, ProbeList] | None:
        pod = self._caches.pods.get(ObjectKey(identity.namespace, identity.pod_name))
        if pod is None or pod.metadata.uid != identity.pod_uid:
            return None
        owner = self._caches.set_of(pod)
        if owner is None:
            return None
        generation, plan = self._probes.get(owner.metadata.uid, (-1, None))
        if plan is None or generation != owner.metadata.generation:
            plan = plan_probes(owner.spec)
            self._probes[owner.metadata.uid] = (owner.metadata.generation, plan)
        return plan.revision, plan.probes

    def _report_accepted(self, key: ObjectKey, changed: bool) -> None:
        if changed:
            self._servers.queue.add(key)

    # -- HTTP -----------------------------------------------------------------------------------

    async def _serve_health(self, stack: AsyncExitStack) -> None:
        checks = {
            f"{name} synced": reflector.synced.is_set
            for name, reflector in self._reflectors.items()
        }
        settings = self._settings
        await _serve(stack, health_app(checks), settings.health_address, settings.health_port, None)

    async def _serve_reports(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        ports = IntakePorts(
            authenticate=TokenAuthenticator(self._client),
            ledger=self._caches.ledger,
            probes_for=self._probes_for,
            on_accepted=self._report_accepted,
            heartbeat_seconds=settings.heartbeat_seconds,
        )
        context = None
        if settings.report_tls_certificate_file:
            context = _tls_context(
                settings.report_tls_certificate_file, settings.report_tls_key_file
            )
        app = intake_app(ports)
        await _serve(stack, app, settings.report_address, settings.report_port, context)


def _key(item: Pod | GameServer) -> ObjectKey:
    return ObjectKey(item.metadata.namespace, item.metadata.name)


def read_file(setting: str, path: str) -> str:
    """Return the text of a file that a setting names; empty for an empty path.

    Raises:
        InvalidInput: it cannot be read.
    """
    if not path:
        return ""
    try:
        return Path(path).read_text()
    except OSError as error:
        raise InvalidInput(setting, f"cannot read {path}: {error.strerror}") from error


def _tls_context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        message = f"cannot use {certificate} with {key}: {error}"
        raise InvalidInput("GAMEKEEPER_REPORT_TLS_CERTIFICATE_FILE", message) from error
    return context


async def _serve(
    stack: AsyncExitStack,
    app: web.Application,
    address: str,
    port: int,
    context: ssl.SSLContext | None,
) -> None:
    # Agents hold their connections open; a stop must not wait for them.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, address, port, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        message = f"cannot listen on {address}:{port}: {error.strerror or error}"
        raise InvalidInput("", f"{message}; choose another port or stop what uses it") from error


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run one aggregator until `stop` is set."""
    async with open_kube_client(settings.kubeconfig) as client:
        await Aggregator(settings, client).run(stop)
