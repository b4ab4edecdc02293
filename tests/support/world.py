"""The aggregator's write path around a cluster in memory: caches, both reconcilers, a clock.

`settle` lets everything happen that would happen by itself: caches catch up, keys are reconciled
and retried, pods start and terminate. A crash throws away all that was only in memory.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aggregator.caches import Caches
from aggregator.gameserver.plan import QUIET_INTERVAL
from aggregator.gameserver.reconciler import GameServerReconciler
from aggregator.gameserverset.agent_container import AgentTemplate
from aggregator.gameserverset.apply import Applier
from aggregator.gameserverset.reconciler import GameServerSetReconciler
from aggregator.gameserverset.trust import TrustBundle
from aggregator.kube.expectations import Expectations
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from aggregator.kube.store import Store
from aggregator.ledger import Accepted, Ledger
from aggregator.pods import decode_pod
from shared.api.gameserver import GameServer
from shared.api.gameserverset import GameServerSet
from shared.api.ownership import Writer
from shared.errors import TransientError
from shared.protocol.report import ProbeReport
from tests.support.builders import (
    NOW,
    SET_NAME,
    game_server_set,
    probe_report,
    quality,
    report,
)
from tests.support.memory_cluster import Crash, Fault, MemoryCluster

SET_KEY = ObjectKey("games", SET_NAME)
_AGENT = AgentTemplate("agent:1", "Never", ("https://reports:8443",))
_RECONCILERS = ("gameserver.reconciler", "gameserverset.reconciler")
_MODULES = (
    *_RECONCILERS,
    "gameserverset.creations",
    "gameserverset.deletions",
    "gameserverset.set_writer",
)
_MOST_ROUNDS = 40
# What comes due later than this is no unfinished work: the silence of an agent, say.
_SOON = QUIET_INTERVAL.total_seconds()


@dataclass
class Clock:
    """Both clocks of the write path; a test moves them."""

    seconds: float = 1000.0

    def install(self, monkeypatch: Any) -> None:
        """Make the write path read this clock."""
        for module in _MODULES:
            monkeypatch.setattr(f"aggregator.{module}.monotonic_seconds", lambda: self.seconds)
        for module in _RECONCILERS:
            monkeypatch.setattr(
                f"aggregator.{module}.utc_now", lambda: NOW + timedelta(seconds=self.seconds)
            )


class Recorder:
    """Events, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, str]] = []

    def record(self, regarding: Any, type_: str, reason: str, message: str) -> None:
        self.events.append((regarding.key.name, type_, reason, message))


class World:
    """One aggregator and its cluster.

    Attributes:
        verdicts: what the agents report, by name of the pod; they report it until it changes.
    """

    def __init__(self, cluster: MemoryCluster, clock: Clock) -> None:
        self.cluster = cluster
        self.clock = clock
        self.events = Recorder()
        self.verdicts: dict[str, Any] = {}
        self.restart()

    def restart(self) -> None:
        """Start the aggregator again: whatever was in memory is lost."""
        self.caches = Caches(Ledger(self.clock.seconds, 10.0))
        self.expectations = Expectations()
        trust = TrustBundle(self.cluster, lambda: "")
        applier = Applier(self.cluster, self.events, self.expectations, trust, _AGENT)
        self.sets = GameServerSetReconciler(self.caches, applier, self.expectations)
        self.servers = GameServerReconciler(self.cluster, self.events, self.caches)

    def edit_server(self, name: str, **spec: Any) -> None:
        """Change the spec of a GameServer by hand."""
        stored = self.cluster.objects[GAMESERVERS.plural, ObjectKey(SET_KEY.namespace, name)]
        self.cluster.version += 1
        stored["spec"] |= spec
        stored["metadata"]["resourceVersion"] = str(self.cluster.version)

    def edit_set(self, **spec: Any) -> None:
        """Change the spec of the set, as kubectl does."""
        stored = self.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
        self.cluster.version += 1
        stored["spec"] |= spec
        stored["metadata"]["generation"] += 1
        stored["metadata"]["resourceVersion"] = str(self.cluster.version)

    def catch_up(self) -> None:
        """Let the caches show what is stored, and the agents report."""
        caches = self.caches
        _fill(caches.sets, self.cluster.all(GAMESERVERSETS), GameServerSet.model_validate_json)
        _fill(caches.servers, self.cluster.all(GAMESERVERS), GameServer.model_validate_json)
        gone = _fill(caches.pods, self.cluster.all(PODS), decode_pod)
        for pod in gone:
            self.expectations.observed_deletion(SET_KEY, pod.metadata.uid)
        for key, pod in caches.pods.items():
            self.expectations.observed_creation(SET_KEY, key.name)
            if pod.terminating:
                self.expectations.observed_deletion(SET_KEY, pod.metadata.uid)
            probes = self.verdicts.get(key.name)
            if probes is not None:
                whole = report(*probes, pod_uid=pod.metadata.uid)
                caches.ledger.accept(Accepted(whole, NOW, changed=True), self.clock.seconds)

    def show_server(self, name: str) -> None:
        """Let the cache show one GameServer only; the others lag behind."""
        key = ObjectKey(SET_KEY.namespace, name)
        body = self.cluster.objects[GAMESERVERS.plural, key]
        _show(self.caches.servers, key, body, GameServer.model_validate_json)

    async def step(self) -> float | None:
        """Reconcile every key once from fresh caches; return when the first wants to come again."""
        self.catch_up()
        self.clock.seconds += 2
        keys = {key: None for key, _ in (*self.caches.pods.items(), *self.caches.servers.items())}
        due: list[float | None] = []
        try:
            self.cluster.writer = Writer.GAMESERVERSET
            due.append(await _try(self.sets.reconcile, SET_KEY))
            self.cluster.writer = Writer.GAMESERVER
            for key in keys:
                due.append(await _try(self.servers.reconcile, key))  # noqa: PERF401 - up to a crash
        except* Crash:
            self.restart()
            due.append(0.0)
        return min((each for each in due if each is not None), default=None)

    async def settle(self) -> None:
        """Go on until a whole round writes nothing and every pod runs."""
        for _ in range(_MOST_ROUNDS):
            before = len(self.cluster.writes)
            stored = json.dumps(list(self.cluster.objects.values()), sort_keys=True)
            due = await self.step()
            self.cluster.finish_pods()
            after = json.dumps(list(self.cluster.objects.values()), sort_keys=True)
            if len(self.cluster.writes) == before and stored == after:
                if due is None or due > _SOON:
                    return
                self.clock.seconds += due
        raise AssertionError(f"no end after {_MOST_ROUNDS} rounds: {self.cluster.writes[-5:]}")


async def _try(reconcile: Any, key: ObjectKey) -> float | None:
    """Reconcile; a failure is tried again in the next round, as the controller does."""
    try:
        result = await reconcile(key)
    except TransientError:
        return 0.0
    return result.requeue_after_seconds


def _show(store: Store[Any], key: ObjectKey, body: Any, decode: Any) -> None:
    """Make a store show one object, as the event of its last change does."""
    known = store.get(key)
    if known is None or known.metadata.resource_version != body["metadata"]["resourceVersion"]:
        store.put(key, decode(json.dumps(body).encode()))


def _fill(store: Store[Any], stored: dict[ObjectKey, Any], decode: Any) -> list[Any]:
    """Make a store show what is stored; return what is gone."""
    gone = [key for key, _ in store.items() if key not in stored]
    for key, body in stored.items():
        _show(store, key, body, decode)
    return [store.remove(key) for key in gone]


IDLE = quality(
    "idle", {"state": True, "opsState": "WaitToBeDeleted"}, {"state": False, "opsState": "None"}
)
ONCE = quality("once", {"state": True, "labels": {"team": "red"}}, permanent=True)


def start(clock: Clock, fault: Fault | None = None) -> World:
    """A set of three servers with an idle quality and a permanent one; nothing exists yet."""
    cluster = MemoryCluster(fault)
    owner = game_server_set(replicas=3, qualities=(IDLE, ONCE))
    body = owner.model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster.objects[GAMESERVERSETS.plural, SET_KEY] = body
    return World(cluster, clock)


def verdicts(idle: str, once: str) -> tuple[ProbeReport, ...]:
    """The reports of both qualities."""
    return probe_report("idle", idle), probe_report("once", once)
