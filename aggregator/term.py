"""What runs only while this process leads: the controllers, and what they remember. Not pure.

Everything here is made anew for each term, as after a restart of the process: what another leader
did meanwhile is known from the caches alone, never from memory.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aggregator.autoscaler.autoscaling import Autoscaling
from aggregator.caches import Caches, set_key
from aggregator.gameserver.reconciler import GameServerReconciler
from aggregator.gameserverset.apply import Applier
from aggregator.gameserverset.companions import CompanionSettings
from aggregator.gameserverset.pod import wants_agent
from aggregator.gameserverset.reconciler import GameServerSetReconciler
from aggregator.kube.controller import Controller
from aggregator.kube.events import EventRecorder
from aggregator.kube.expectations import Expectations
from aggregator.kube.resources import ObjectKey
from aggregator.kube.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aggregator.gameserverset.agent_container import AgentTemplate
    from aggregator.gameserverset.trust import TrustBundle
    from aggregator.kube.leadership import Leadership
    from aggregator.kube.transport import KubeClient
    from aggregator.pods import Pod
    from aggregator.settings import Settings


class Term:
    """The controllers of one term.

    Args:
        settings: of the aggregator.
        client: behind the gate.
        caches: what the controllers read.
        agent: what the agents of all sets have in common.
        trust: whom they trust.
        queue: makes the queue of each controller.

    Attributes:
        autoscaling: of this term.
    """

    def __init__(
        self,
        settings: Settings,
        client: KubeClient,
        caches: Caches,
        agent: AgentTemplate,
        trust: TrustBundle,
        queue: Callable[[], WorkQueue[ObjectKey]] = WorkQueue,
    ) -> None:
        self._caches = caches
        self._expectations = Expectations()
        self._events = EventRecorder(client)
        self._trust = trust
        companions = CompanionSettings(
            network_isolation=settings.network_isolation,
            allocated_disruption_budget=settings.allocated_disruption_budget,
        )
        applier = Applier(client, self._events, self._expectations, trust, agent, companions)
        self._reports = servers = GameServerReconciler(client, self._events, caches)
        sets = GameServerSetReconciler(caches, applier, self._expectations)
        workers = settings.workers
        self._servers = Controller("gameserver", servers.reconcile, workers, queue())
        self._sets = Controller("gameserverset", sets.reconcile, workers, queue())
        self.autoscaling = Autoscaling(client, self._events, caches, workers, queue)

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """All of them: of servers, of sets, and those of the autoscalers."""
        return self._servers, self._sets, *self.autoscaling.controllers

    async def run(self) -> None:
        """Reconcile everything, then whatever changes, until cancelled."""
        for key in (*self._caches.pods.keys(), *self._caches.servers.keys()):
            self._servers.queue.add(key)
        for key in self._caches.sets.keys():  # noqa: SIM118 - a store is no dict
            self._sets.queue.add(key)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._events.run(), name="events")
            tasks.create_task(self._trust.keep(self._namespaces), name="trust bundle")
            tasks.create_task(self.autoscaling.run(), name="autoscaling")
            for controller in (self._servers, self._sets):
                tasks.create_task(controller.run(), name=controller.name)

    def bundle_changed(self) -> None:
        """Have the agents of all namespaces told whom to trust now."""
        self._trust.changed.set()

    def figures(self) -> list[tuple[str, int, Mapping[str, int]]]:
        """Return name, keys that wait and outcomes so far of each controller, for metrics."""
        return [(each.name, len(each.queue), each.outcomes) for each in self.controllers]

    def look_at_server(self, key: ObjectKey) -> None:
        """Have a server reconciled."""
        self._servers.queue.add(key)

    def report_changed(self, key: ObjectKey) -> None:
        """Have a server reconciled, for what its agent says now."""
        self._reports.note_report(key)
        self._servers.queue.add(key)

    def look_at_set(self, key: ObjectKey | None) -> None:
        """Have a set reconciled; None is none."""
        if key is not None:
            self._sets.queue.add(key)
            self.autoscaling.look_at_set(key)

    def pod_changed(self, pod: Pod, *, gone: bool) -> None:
        """Note what the cache shows of a pod now, and have it and its set reconciled."""
        key = ObjectKey(pod.metadata.namespace, pod.metadata.name)
        self._servers.queue.add(key)
        owner = set_key(pod)
        if owner is None:
            return
        if not gone:
            self._expectations.observed_creation(owner, key.name)
        if gone or pod.terminating:
            self._expectations.observed_deletion(owner, pod.metadata.uid)
        self.look_at_set(owner)

    def _namespaces(self) -> set[str]:
        """Return the namespaces whose pods have agents."""
        sets = self._caches.sets.values()
        return {each.metadata.namespace for each in sets if wants_agent(each)}


class PresentTerm:
    """The term of this process, for the parts that live longer than one. No I/O.

    Args:
        leadership: ends without an event; a term may take a moment longer to end than it.

    Attributes:
        term: None while this process does not lead.
    """

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership
        self.term: Term | None = None

    @property
    def autoscaling(self) -> Autoscaling | None:
        """The autoscalers, None unless this process leads at this very moment."""
        if self.term is None or not self._leadership.leading:
            return None
        return self.term.autoscaling

    def figures(self) -> list[tuple[str, int, Mapping[str, int]]]:
        """Return those of the controllers; none without any."""
        return self.term.figures() if self.term is not None else []

    def report_accepted(self, key: ObjectKey, changed: bool) -> None:
        """Have a server reconciled if its agent says something new."""
        if changed and self.term is not None:
            self.term.report_changed(key)

    def bundle_changed(self) -> None:
        """Have the agents of all namespaces told whom to trust now."""
        if self.term is not None:
            self.term.bundle_changed()

    def explain_autoscaler(self, key: ObjectKey) -> dict[str, Any] | None:
        """Return the last decision of an autoscaler in words; None without any."""
        autoscaling = self.autoscaling
        return autoscaling.explanation(key) if autoscaling is not None else None
