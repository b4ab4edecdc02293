"""One aggregator that leads: its caches, its term with all that it remembers, and its turns.

Everything but the network is the product's own: reflectors, caches, what a change means, the gate
of writes, the term with its controllers, their queues, delays and retries. Only who comes next is
not: the workers take keys in order, a schedule takes any. Watches show what happened in the order
of each resource, late, and never in the order across resources; a watch that breaks is made good by
a list, which hides what was in between, and which may be a while old when it comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aggregator.caches import Caches
from aggregator.changes import Changes
from aggregator.gameserverset.agent_container import AgentTemplate
from aggregator.gameserverset.trust import TrustBundle
from aggregator.intake.admit import admit
from aggregator.kube.controller import OUTCOME_BUG
from aggregator.kube.fenced import FencedClient
from aggregator.kube.leadership import Leadership
from aggregator.kube.resources import (
    AUTOSCALERS,
    GAMESERVERS,
    GAMESERVERSETS,
    PODS,
    ObjectKey,
)
from aggregator.kube.workqueue import WorkQueue
from aggregator.ledger import Accepted, Ledger
from aggregator.probe_lists import ProbeLists
from aggregator.settings import Settings
from aggregator.term import PresentTerm, Term
from aggregator.watches import Watches
from localcluster.apiserver.objects import encode
from shared.clock import monotonic_seconds, utc_now
from tests.simulation.network import RUN, Client
from tests.simulation.server import FOLLOWED

if TYPE_CHECKING:
    import asyncio
    from random import Random

    from aggregator.kube.controller import Controller
    from aggregator.kube.reflector import Reflector
    from aggregator.kube.resources import Resource
    from localcluster.apiserver.objects import Object
    from shared.protocol.report import Report
    from tests.simulation.network import Network
    from tests.simulation.server import Server
    from tests.simulation.virtual_loop import VirtualLoop

SETS, SERVERS, SCALERS = "gameserverset", "gameserver", "autoscaler"
"""Names of the controllers."""
LEASE_SECONDS = 15.0
_HEARTBEAT_SECONDS = 10.0
_URLS = ("https://reports:8443",)
_AGENT = AgentTemplate("agent:1", "Never", _URLS)
_SETTINGS = Settings(agent_image="agent:1", report_address="127.0.0.1", report_urls=_URLS)


@dataclass(eq=False)
class Run:
    """One reconciliation, and what its maker saw when it began.

    Attributes:
        kind: name of the controller.
        began_at: the store's version.
        seen: by plural and name, the objects as the caches showed them.
        reports: by pod uid, the verdict of each probe as its agent reported it last.
    """

    process: Process
    kind: str
    key: ObjectKey
    number: int
    began_at: int
    seen: dict[str, dict[str, Object]]
    reports: dict[str, dict[str, str]]

    def __str__(self) -> str:
        return f"{self.process.name}#{self.number}"


class _Unordered(WorkQueue[ObjectKey]):
    """The queue of a controller without workers: whoever takes a key chooses it."""

    @property
    def waiting(self) -> tuple[ObjectKey, ...]:
        """The keys that could run now."""
        return tuple(self._waiting)

    def take(self, key: ObjectKey) -> None:
        """Mark a waiting key running."""
        self._waiting.remove(key)
        self._queued.discard(key)
        self._running.add(key)


class _Unheard:
    """What people look at later, and no decision: histories and metrics are tested elsewhere."""

    def record(self, *_: object) -> None:
        """Note nothing."""

    def server_changed(self, *_: object) -> None:
        """Count nothing."""


@dataclass(eq=False)
class Process:
    """An aggregator that leads, or believes so.

    Attributes:
        paused: it stands still and does not notice; what it has sent is on its way.
        deposed: another took its lease.
        positions: by plural, the version that the cache shows.
    """

    name: str
    server: Server
    network: Network
    loop: VirtualLoop
    random: Random
    paused: bool = False
    deposed: bool = False
    positions: dict[str, int] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _runs: int = 0

    def __post_init__(self) -> None:
        self._leadership = Leadership(self.loop.time)
        self.renew()
        client = FencedClient(Client(self.server, self.network), self._leadership)
        self._caches = caches = Caches(Ledger(self.loop.time(), _HEARTBEAT_SECONDS))
        self._present = PresentTerm(self._leadership)
        unheard: Any = _Unheard()
        changes = Changes(caches, self._present, ProbeLists(caches), unheard, unheard, None)
        watches = Watches(client, "", caches, changes)
        required = watches.required
        self._reflectors: dict[str, Reflector[Any]] = {
            GAMESERVERSETS.plural: required["GameServerSets"],
            GAMESERVERS.plural: required["GameServers"],
            PODS.plural: required["pods"],
            AUTOSCALERS.plural: watches._autoscalers,
        }
        self._stores = {
            GAMESERVERSETS.plural: caches.sets,
            GAMESERVERS.plural: caches.servers,
            PODS.plural: caches.pods,
            AUTOSCALERS.plural: caches.autoscalers,
        }
        self._term = Term(
            _SETTINGS, client, caches, _AGENT, TrustBundle(client, lambda: ""), self._queue
        )
        self._controllers = {each.name: each for each in self._term.controllers}
        self._present.term = self._term
        # A term begins with all keys: those of the first lists.
        for resource in FOLLOWED:
            self.list_again(resource)

    def _queue(self) -> _Unordered:
        return _Unordered(share=self.random.random)

    def renew(self) -> None:
        """Keep the lease."""
        self._leadership.extend(self.loop.time() + LEASE_SECONDS)

    # -- watches --------------------------------------------------------------------------------

    def is_behind(self, resource: Resource) -> bool:
        """Tell whether the cache does not show the last event yet."""
        return self.server.latest[resource.plural] > self.positions[resource.plural]

    def watch(self, resource: Resource, count: int | None = None) -> None:
        """Let the cache show the next events, all of them without a count."""
        if not self.is_behind(resource):
            return
        collection = self.server.store.collection((resource.group, resource.plural))
        for event in collection.since(self.positions[resource.plural])[:count]:
            line = event.line(event.type, resource.api_version)
            self._reflectors[resource.plural]._handle(line)
            self.positions[resource.plural] = event.stored.version

    def list_again(self, resource: Resource, version: int | None = None) -> None:
        """Let the cache equal a list, as after a watch that broke.

        Args:
            resource: what is listed.
            version: when the list was made, no earlier than what the cache shows; None for now.
        """
        version = version or self.server.store.version
        collection = self.server.store.collection((resource.group, resource.plural))
        reflector = self._reflectors[resource.plural]
        objects = collection.at(version)
        listed = {reflector._put(encode(objects[key].object)) for key in sorted(objects)}
        for key in [key for key in reflector._seen if key not in listed]:
            reflector._remove(key)
        self.positions[resource.plural] = version

    # -- reports --------------------------------------------------------------------------------

    def report(self, key: ObjectKey, report: Report) -> None:
        """Take a report of the agent of a pod, as the intake does."""
        now, ledger = monotonic_seconds(), self._caches.ledger
        decision = admit(ledger.get(report.pod_uid), report, utc_now())
        if isinstance(decision, Accepted):
            self._present.report_accepted(key, ledger.accept(decision, now))

    # -- reconciliations ------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether any key could be reconciled now."""
        return any(controller.queue for controller in self._controllers.values())

    def ready(self) -> list[tuple[str, ObjectKey]]:
        """Return the keys that could be reconciled now, with the names of their controllers."""
        return [
            (name, key)
            for name, controller in self._controllers.items()
            for key in _unordered(controller).waiting
        ]

    def start(self, kind: str, key: ObjectKey) -> Run:
        """Begin to reconcile a key."""
        controller = self._controllers[kind]
        _unordered(controller).take(key)
        self._runs += 1
        run = Run(
            self, kind, key, self._runs, self.server.store.version, self._view(), self._reports()
        )
        task = self.loop.create_task(_reconcile(controller, run))
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        return run

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The time limit of a test, say, which no controller catches.
            self.loop.complaints.append(error)

    def bugs(self) -> int:
        """Return how many runs ended with an exception that nobody foresaw."""
        return sum(each.outcomes[OUTCOME_BUG] for each in self._controllers.values())

    def kill(self) -> None:
        """End the process between two of its requests, wherever it is."""
        for controller in self._controllers.values():
            controller.queue.shut_down()
        for task in tuple(self._tasks):
            task.cancel()

    def _view(self) -> dict[str, dict[str, Object]]:
        view = {}
        for plural, store in self._stores.items():
            known = self.server.archive[plural]
            view[plural] = {
                key.name: known[key.name, each.metadata.resource_version]
                for key, each in store.items()
            }
        return view

    def _reports(self) -> dict[str, dict[str, str]]:
        uids = [pod.metadata.uid for pod in self._caches.pods.values()]
        accepted = {uid: self._caches.ledger.get(uid) for uid in uids}
        return {
            uid: {probe.name: str(probe.status) for probe in each.report.probes}
            for uid, each in accepted.items()
            if each is not None
        }


async def _reconcile(controller: Controller, run: Run) -> None:
    RUN.set(run)
    try:
        await controller.run_once(run.key)
    finally:
        controller.queue.done(run.key)


def _unordered(controller: Controller) -> _Unordered:
    queue = controller.queue
    assert isinstance(queue, _Unordered)
    return queue
