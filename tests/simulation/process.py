"""One aggregator: its caches, both reconcilers with all that they remember, and its work queue.

The reflectors, caches, reconcilers, appliers and expectations are the real ones. The work queue is
modelled: a key runs once at a time, comes again after a failure or when it asked for it, and in any
order. Watches show what happened in the order of each resource, late, and never in the order
across resources; a watch that breaks is made good by a list, which hides what was in between.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aggregator.caches import Caches, set_key
from aggregator.gameserver.reconciler import GameServerReconciler
from aggregator.gameserverset.agent_container import AgentTemplate
from aggregator.gameserverset.apply import Applier
from aggregator.gameserverset.reconciler import GameServerSetReconciler
from aggregator.gameserverset.trust import TrustBundle
from aggregator.kube.expectations import Expectations
from aggregator.kube.reflector import Reflector
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from aggregator.kube.transport import Selection
from aggregator.ledger import Ledger
from aggregator.pods import decode_our_pod
from localcluster.apiserver.objects import encode
from shared.api.gameserver import GameServer
from shared.api.gameserverset import GameServerSet
from shared.errors import TerminalError, TransientError
from tests.simulation.network import RUN, Client
from tests.simulation.server import FOLLOWED

if TYPE_CHECKING:
    import asyncio

    from aggregator.kube.resources import Resource
    from localcluster.apiserver.objects import Object
    from tests.simulation.network import Network
    from tests.simulation.server import Server
    from tests.support.world import Clock

_AGENT = AgentTemplate("agent:1", "Never", ("https://reports:8443",))
# Of a work queue: what comes again at once would be asked without end.
_RETRY_SECONDS = 0.5
SETS, SERVERS = "sets", "servers"


@dataclass(eq=False)
class Run:
    """One reconciliation, and what its maker saw when it began.

    Attributes:
        seen: by plural and name, the objects as the caches showed them.
    """

    process: Process
    number: int
    key: ObjectKey
    seen: dict[str, dict[str, Object]]

    def __str__(self) -> str:
        return f"{self.process.name}#{self.number}"


class _Silent:
    def record(self, *_: object) -> None:
        """Events are tested elsewhere."""


@dataclass(eq=False)
class Process:
    """An aggregator that leads.

    Attributes:
        due: when each key wants to be looked at, in seconds of the schedule's clock.
        running: keys that are being reconciled.
        positions: by plural, the version that the cache shows.
    """

    name: str
    server: Server
    network: Network
    clock: Clock
    due: dict[tuple[str, ObjectKey], float] = field(default_factory=dict)
    running: dict[tuple[str, ObjectKey], asyncio.Task[None]] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    dead: bool = False
    _runs: int = 0

    def __post_init__(self) -> None:
        client = Client(self.server, self.network)
        self._caches = Caches(Ledger(self.clock.seconds, 10.0))
        self._expectations = Expectations()
        trust = TrustBundle(client, lambda: "")
        applier = Applier(client, _Silent(), self._expectations, trust, _AGENT)
        self._sets = GameServerSetReconciler(self._caches, applier, self._expectations)
        self._servers = GameServerReconciler(client, _Silent(), self._caches)
        self._reflectors: dict[str, Reflector[Any]] = {
            resource.plural: Reflector(client, Selection(resource), store, decode, changed)
            for resource, store, decode, changed in (
                (
                    GAMESERVERSETS,
                    self._caches.sets,
                    GameServerSet.model_validate_json,
                    self._changed,
                ),
                (GAMESERVERS, self._caches.servers, GameServer.model_validate_json, self._changed),
                (PODS, self._caches.pods, decode_our_pod, self._pod_changed),
            )
        }
        for resource in FOLLOWED:
            self.list_again(resource)

    # -- watches --------------------------------------------------------------------------------

    def behind(self, resource: Resource) -> int:
        """Return how many events the cache does not show yet."""
        return len(self._events(resource))

    def watch(self, resource: Resource, count: int) -> None:
        """Let the cache show the next events."""
        for event in self._events(resource)[:count]:
            line = event.line(event.type, resource.api_version)
            self._reflectors[resource.plural]._handle(line)
            self.positions[resource.plural] = event.stored.version

    def list_again(self, resource: Resource) -> None:
        """Let the cache equal a list that is made now, as after a watch that broke."""
        reflector = self._reflectors[resource.plural]
        objects = self.server.all(resource)
        listed = {reflector._put(encode(each)) for each in objects.values()}
        for key in [key for key in reflector._seen if key not in listed]:
            reflector._remove(key)
        self.positions[resource.plural] = self.server.store.version

    def _events(self, resource: Resource) -> list[Any]:
        if self.positions[resource.plural] == self.server.store.version:
            return []
        collection = self.server.store.collection((resource.group, resource.plural))
        return collection.since(self.positions[resource.plural])

    # -- what a change means, as aggregator.app and aggregator.term have it ----------------------

    def _changed(self, old: Any, new: Any) -> None:
        item = new or old
        key = ObjectKey(item.metadata.namespace, item.metadata.name)
        if isinstance(item, GameServer):
            self._add(SERVERS, key)
            self._add(SETS, self._caches.set_key_of(item))
            return
        self._add(SETS, key)
        if old is not None and new is not None:
            for pod in self._caches.pods_of(new):
                self._add(SERVERS, ObjectKey(pod.metadata.namespace, pod.metadata.name))

    def _pod_changed(self, old: Any, new: Any) -> None:
        pod = new or old
        key = ObjectKey(pod.metadata.namespace, pod.metadata.name)
        self._add(SERVERS, key)
        owner = set_key(pod)
        if owner is None:
            return
        if new is not None:
            self._expectations.observed_creation(owner, key.name)
        if new is None or pod.terminating:
            self._expectations.observed_deletion(owner, pod.metadata.uid)
        self._add(SETS, owner)

    def _add(self, kind: str, key: ObjectKey | None) -> None:
        if key is not None:
            self.due[kind, key] = self.clock.seconds

    # -- reconciliations ------------------------------------------------------------------------

    def ready(self) -> list[tuple[str, ObjectKey]]:
        """Return the keys that can be reconciled now."""
        return [
            each
            for each, at in self.due.items()
            if at <= self.clock.seconds and each not in self.running
        ]

    def start(self, what: tuple[str, ObjectKey], group: asyncio.TaskGroup) -> Run:
        """Begin to reconcile a key."""
        del self.due[what]
        self._runs += 1
        run = Run(self, self._runs, what[1], self._view())
        self.running[what] = group.create_task(self._reconcile(what, run))
        return run

    def kill(self) -> None:
        """End the process between two of its requests, wherever it is."""
        self.dead = True
        for task in self.running.values():
            task.cancel()

    async def _reconcile(self, what: tuple[str, ObjectKey], run: Run) -> None:
        kind, key = what
        RUN.set(run)
        reconcile = self._sets.reconcile if kind == SETS else self._servers.reconcile
        wait: float | None = None
        try:
            wait = (await reconcile(key)).requeue_after_seconds
        except TransientError as error:
            wait = max(_RETRY_SECONDS, error.retry_after_seconds or 0.0)
        except TerminalError:
            wait = None
        finally:
            del self.running[what]
        if wait is not None:
            with suppress(KeyError):
                wait = min(wait, self.due[what] - self.clock.seconds)
            self.due[what] = self.clock.seconds + wait

    def _view(self) -> dict[str, dict[str, Object]]:
        stores = {
            GAMESERVERSETS: self._caches.sets,
            GAMESERVERS: self._caches.servers,
            PODS: self._caches.pods,
        }
        archive = self.server.archive
        return {
            resource.plural: {
                key.name: archive[resource.plural, key.name, each.metadata.resource_version]
                for key, each in store.items()
            }
            for resource, store in stores.items()
        }
