"""A set with an autoscaler in virtual time: the real reconcilers around a cluster in memory.

`run` plays minutes in milliseconds: every two seconds the caches catch up, the set, its servers and
the autoscaler are reconciled when they are due, and pods start and end as the test says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aggregator.autoscaler.apply import Applier
from aggregator.autoscaler.reconciler import AutoscalerReconciler
from aggregator.autoscaler.rivals import RivalReader
from aggregator.kube.errors import Rejected
from aggregator.kube.resources import (
    AUTOSCALERS,
    GAMESERVERS,
    GAMESERVERSETS,
    PODS,
    ObjectKey,
)
from aggregator.kube.store import Store
from shared.api.autoscaler import GameServerSetAutoscaler
from shared.protocol.wire import render_time
from tests.support.builders import NOW, SET_NAME, game_server_set
from tests.support.memory_cluster import MemoryCluster, Write
from tests.support.world import SET_KEY, Clock, World, _fill, _try

if TYPE_CHECKING:
    from collections.abc import Callable

AUTOSCALER_KEY = ObjectKey(SET_KEY.namespace, SET_NAME)
STEP_SECONDS = 2


@dataclass
class Pods:
    """How pods behave.

    Attributes:
        boot_seconds: from creation to Ready.
        grace_seconds: from deletion to gone.
        quota: the most pods that may exist; more are refused.
    """

    boot_seconds: float = 0
    grace_seconds: float = 0
    quota: int | None = None
    born: dict[str, float] = field(default_factory=dict)
    marked: dict[str, float] = field(default_factory=dict)


class AutoscaledWorld(World):
    """A `World` with an autoscaler, in which time passes.

    Attributes:
        pods: how they behave.
        replicas: every value that spec.replicas had, in order.
        removed: names of pods in the order in which they were deleted.
        on_step: called before each step with the seconds since the beginning.
    """

    def __init__(self, cluster: MemoryCluster, clock: Clock, pods: Pods) -> None:
        self.autoscalers: Store[GameServerSetAutoscaler] = Store()
        self.pods = pods
        self.on_step: Callable[[float], None] = lambda _: None
        self.began = clock.seconds
        super().__init__(cluster, clock)
        self.replicas = [self.spec_replicas()]
        if pods.quota is not None:
            cluster.on_write = self._refuse_above_quota

    def restart(self) -> None:
        super().restart()
        self.autoscaler = AutoscalerReconciler(
            self.caches,
            self.autoscalers,
            Applier(self.cluster, self.events),
            RivalReader(self.cluster),
        )

    @property
    def seconds(self) -> float:
        return self.clock.seconds - self.began

    @property
    def removed(self) -> list[str]:
        return self.cluster.deleted

    def states(self) -> dict[str, int]:
        """Number of live servers by opsState."""
        counts: dict[str, int] = {}
        for key, pod in self.cluster.all(PODS).items():
            if "deletionTimestamp" not in pod["metadata"]:
                server = self.cluster.all(GAMESERVERS).get(key)
                ops_state = server["spec"]["opsState"] if server else ""
                counts[ops_state] = counts.get(ops_state, 0) + 1
        return counts

    def ops_states(self) -> dict[str, str]:
        """opsState of each live server by name."""
        pods = self.cluster.all(PODS)
        return {
            key.name: server["spec"]["opsState"]
            for key, server in self.cluster.all(GAMESERVERS).items()
            if key in pods and "deletionTimestamp" not in pods[key]["metadata"]
        }

    def annotate_set(self, key: str, value: str) -> None:
        """Annotate the set, as kubectl does."""
        metadata = self.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["metadata"]
        self.cluster.version += 1
        metadata["annotations"] = metadata.get("annotations", {}) | {key: value}
        metadata["resourceVersion"] = str(self.cluster.version)

    def label(self, name: str, **labels: str) -> None:
        """Label a pod, as a hook's handler does."""
        metadata = self.cluster.objects[PODS.plural, ObjectKey(SET_KEY.namespace, name)]["metadata"]
        self.cluster.version += 1
        metadata["labels"] |= labels
        metadata["resourceVersion"] = str(self.cluster.version)

    def edit_autoscaler(self, **spec: Any) -> None:
        """Change the spec of the autoscaler, as kubectl does."""
        stored = self.cluster.objects[AUTOSCALERS.plural, AUTOSCALER_KEY]
        self.cluster.version += 1
        stored["spec"] |= spec
        stored["metadata"]["generation"] += 1
        stored["metadata"]["resourceVersion"] = str(self.cluster.version)

    def spec_replicas(self) -> int:
        return self.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["spec"]["replicas"]

    async def scale_of_set(self) -> dict[str, Any]:
        """The scale subresource of the set, as an HPA reads it."""
        stored = self.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
        replicas = stored.get("status", {}).get("replicas", 0)
        return {"spec": {"replicas": self.spec_replicas()}, "status": {"replicas": replicas}}

    async def scale_set(self, replicas: int) -> None:
        """Write the scale subresource of the set, as an HPA does."""
        self.edit_set(replicas=replicas)

    def status(self) -> dict[str, Any]:
        return self.cluster.objects[AUTOSCALERS.plural, AUTOSCALER_KEY].get("status", {})

    def condition(self, type_: str) -> tuple[str, str]:
        """Status and reason of a condition of the autoscaler."""
        found = [c for c in self.status()["conditions"] if c["type"] == type_]
        return found[0]["status"], found[0]["reason"]

    async def run(self, seconds: float, pace: float = STEP_SECONDS) -> None:
        """Let time pass; `pace` is the time from one look to the next."""
        end = self.clock.seconds + seconds
        while self.clock.seconds < end:
            self.clock.seconds += pace - STEP_SECONDS
            self.on_step(self.seconds)
            await self.step()
            self.live()

    def catch_up(self) -> None:
        super().catch_up()
        stored = self.cluster.all(AUTOSCALERS)
        _fill(self.autoscalers, stored, GameServerSetAutoscaler.model_validate_json)

    async def step(self) -> float | None:
        due = await super().step()
        self.catch_up()
        self.cluster.writer = "aggregator.autoscaler"
        await _try(self.autoscaler.reconcile, AUTOSCALER_KEY)
        spec = self.spec_replicas()
        if self.replicas[-1] != spec:
            self.replicas.append(spec)
        return due

    def live(self) -> None:
        """Do a kubelet's and the garbage collector's work, at their pace."""
        now = self.clock.seconds
        for key, pod in self.cluster.all(PODS).items():
            uid = pod["metadata"]["uid"]
            if "deletionTimestamp" in pod["metadata"]:
                if now - self.pods.marked.setdefault(uid, now) >= self.pods.grace_seconds:
                    self._remove(key, uid)
            elif pod.get("status") is None and (
                now - self.pods.born.setdefault(uid, now) >= self.pods.boot_seconds
            ):
                self.cluster.version += 1
                pod["metadata"]["resourceVersion"] = str(self.cluster.version)
                pod["status"] = {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True"}],
                }

    def _refuse_above_quota(self, write: Write) -> None:
        existing = len(self.cluster.all(PODS))
        if (write.verb, write.kind) == ("create", PODS.plural) and existing == self.pods.quota:
            raise Rejected("Forbidden", f"exceeded quota: pods={existing}", 403)

    def _remove(self, key: ObjectKey, uid: str) -> None:
        del self.cluster.objects[PODS.plural, key]
        server = self.cluster.all(GAMESERVERS).get(key)
        if server is not None:
            owners = server["metadata"].get("ownerReferences", ())
            if any(each["uid"] == uid for each in owners):
                del self.cluster.objects[GAMESERVERS.plural, key]


def autoscaled(
    clock: Clock,
    *,
    replicas: int,
    pods: Pods | None = None,
    qualities: tuple[Any, ...] = (),
    **spec: Any,
) -> AutoscaledWorld:
    """A set and its autoscaler; `spec` is the autoscaler's, in the form of a manifest."""
    cluster = MemoryCluster()
    owner = game_server_set(replicas=replicas, qualities=qualities)
    cluster.objects[GAMESERVERSETS.plural, SET_KEY] = owner.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    body = {
        "metadata": {
            "name": SET_NAME,
            "namespace": SET_KEY.namespace,
            "uid": "autoscaler-uid",
            "resourceVersion": "11",
            "generation": 1,
            "creationTimestamp": render_time(NOW),
        },
        "spec": {"gameServerSetName": SET_NAME, "maxReplicas": 100} | spec,
        "status": {},
    }
    cluster.objects[AUTOSCALERS.plural, AUTOSCALER_KEY] = body
    return AutoscaledWorld(cluster, clock, pods or Pods())


def install(clock: Clock, monkeypatch: Any) -> None:
    """Make the autoscaler read the clock of the world."""
    for module in ("marked", "reconciler", "rivals"):
        monkeypatch.setattr(
            f"aggregator.autoscaler.{module}.monotonic_seconds", lambda: clock.seconds
        )
    for module in ("marked", "reconciler"):
        monkeypatch.setattr(
            f"aggregator.autoscaler.{module}.utc_now",
            lambda: NOW + timedelta(seconds=clock.seconds),
        )
