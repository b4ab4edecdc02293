"""The autoscaling part of a term: its controllers, and which keys a change adds. Not pure."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aggregator.autoscaler.apply import Applier
from aggregator.autoscaler.marked import MarkedRemover
from aggregator.autoscaler.reconciler import DEBOUNCE_SECONDS, AutoscalerReconciler
from aggregator.autoscaler.rivals import RivalReader
from aggregator.kube.controller import Controller
from aggregator.kube.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from aggregator.caches import Caches
    from aggregator.kube.events import EventRecorder
    from aggregator.kube.resources import ObjectKey
    from aggregator.kube.transport import KubeClient
    from aggregator.scaling.policy import Policy


class Autoscaling:
    """The autoscalers of one term.

    Args:
        client: behind the gate.
        events: for what was done.
        caches: what is decided on.
        workers: autoscalers that are reconciled at a time.
        queue: makes the queue of each controller.
    """

    def __init__(
        self,
        client: KubeClient,
        events: EventRecorder,
        caches: Caches,
        workers: int,
        queue: Callable[[], WorkQueue[ObjectKey]] = WorkQueue,
    ) -> None:
        self._caches = caches
        applier = Applier(client, events)
        self._reconciler = AutoscalerReconciler(
            caches, caches.autoscalers, applier, RivalReader(client)
        )
        self._remover = MarkedRemover(caches, applier)
        self._autoscalers = Controller("autoscaler", self._reconciler.reconcile, workers, queue())
        self._removals = Controller("marked servers", self._remover.reconcile, workers, queue())

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """For metrics."""
        return self._autoscalers, self._removals

    async def run(self) -> None:
        """Reconcile all autoscalers, then whatever changes, until cancelled."""
        for key in self._caches.autoscalers.keys():  # noqa: SIM118 - a store is no dict
            self._autoscalers.queue.add(key)
        async with asyncio.TaskGroup() as tasks:
            for controller in self.controllers:
                tasks.create_task(controller.run(), name=controller.name)

    def look_at(self, key: ObjectKey) -> None:
        """Have an autoscaler reconciled, and those beside it: the oldest may be another now."""
        autoscaler = self._caches.autoscalers.get(key)
        self._autoscalers.queue.add(key)
        if autoscaler is not None:
            set_key = key._replace(name=autoscaler.spec.game_server_set_name)
            self.look_at_set(set_key)

    def look_at_set(self, set_key: ObjectKey) -> None:
        """Have the autoscalers of a set reconciled, soon: changes come in crowds."""
        for key in self._caches.autoscalers_of(set_key):
            self._autoscalers.queue.add_after(key, DEBOUNCE_SECONDS)
        if self._remover.knows(set_key):
            self._removals.queue.add_after(set_key, DEBOUNCE_SECONDS)

    def remove_marked(self, set_key: ObjectKey, policy: Policy) -> None:
        """Have marked servers of a set removed by name, for as long as this is asked for."""
        # The number is the HPA's: only the marked are ours, whatever is missing or too many.
        self._remover.ask(set_key, replace(policy, min_available=None, max_available=None))
        self._removals.queue.add(set_key)

    def explanation(self, key: ObjectKey) -> dict[str, Any] | None:
        """Return every number of the last decision of an autoscaler, None before there was one."""
        return self._reconciler.explanation(key)
