"""KEDA and its HPA around our external scaler: a ScaledObject in virtual time, over real gRPC.

Every two seconds the cluster moves on; every fifteen the HPA asks for the metric and sets replicas;
at every polling interval KEDA asks whether the set is active, wakes it from zero or, after the
cooldown, puts it there.

Source: https://keda.sh/docs/latest/concepts/scaling-deployments/ (activating and scaling phases,
pollingInterval, cooldownPeriod) for the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc

from tests.support.autoscaled_world import install
from tests.support.builders import NOW
from tests.support.hpa import (
    SCALE_DOWN,
    SCALE_UP,
    TOLERANCE,
    AverageValue,
    Hpa,
    Metric,
    Utilization,
    read_rules,
)
from tests.support.keda_client import KedaClient, ref_of
from tests.support.world import SET_KEY, Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    import pytest

    from tests.support.autoscaled_world import AutoscaledWorld

SYNC_SECONDS = 15
_STEP = 2
_COOLDOWN_SECONDS = 300
_KEDA_MAXIMUM = 100


def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock that reconcilers, autoscaler and external scaler read instead of the real."""
    clock = Clock()
    clock.install(monkeypatch)
    install(clock, monkeypatch)
    monkeypatch.setattr("aggregator.keda.answers.monotonic_seconds", lambda: clock.seconds)
    for module in ("keda.answers", "external_scaler"):
        monkeypatch.setattr(
            f"aggregator.{module}.utc_now", lambda: NOW + timedelta(seconds=clock.seconds)
        )
    return clock


@dataclass
class KedaLoop:
    """One ScaledObject at work.

    Attributes:
        body: the ScaledObject as in a manifest.
        cpu: percent of what the ready pods request, now.
        metrics: every answer of the scaler, in order.
    """

    world: AutoscaledWorld
    client: KedaClient
    body: dict[str, Any]
    tolerance: Fraction = TOLERANCE
    cpu: Callable[[], int] = lambda: 50
    metrics: list[int] = field(default_factory=list)
    active_at: float = 0.0

    def __post_init__(self) -> None:
        spec = self.body["spec"]
        config = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {})
        behavior = config.get("behavior", {})
        self.minimum = spec.get("minReplicaCount", 0)
        self.hpa = Hpa(
            min_replicas=max(1, self.minimum),
            max_replicas=spec.get("maxReplicaCount", _KEDA_MAXIMUM),
            scale_up=read_rules(behavior.get("scaleUp"), SCALE_UP),
            scale_down=read_rules(behavior.get("scaleDown"), SCALE_DOWN),
            tolerance=self.tolerance,
        )

    async def run(self, seconds: int) -> None:
        """Let time pass."""
        polling = self.body["spec"].get("pollingInterval", 30)
        for second in range(0, seconds, _STEP):
            await self.world.run(_STEP)
            if second % SYNC_SECONDS < _STEP:
                await self._sync()
            if second % polling < _STEP:
                await self._poll()

    async def _sync(self) -> None:
        scale = await self.world.scale_of_set()
        spec, status = scale["spec"]["replicas"], scale["status"]["replicas"]
        metrics = [await self._metric(trigger) for trigger in self.body["spec"]["triggers"]]
        await self._scale(spec, self.hpa.sync(spec, status, metrics, self.world.seconds))

    async def _metric(self, trigger: dict[str, Any]) -> Metric:
        if trigger["type"] == "cpu":
            ready = sum(self.world.states().values())
            return Utilization(self.cpu(), int(trigger["metadata"]["value"]), ready)
        try:
            answer = await self.client.metric(self._ref(trigger), "s0-gssReplicas")
        except grpc.aio.AioRpcError:
            return AverageValue(None)
        self.metrics.append(answer)
        return AverageValue(answer)

    async def _poll(self) -> None:
        trigger = next(each for each in self.body["spec"]["triggers"] if each["type"] != "cpu")
        spec = self.world.spec_replicas()
        try:
            active = await self.client.is_active(self._ref(trigger))
        except grpc.aio.AioRpcError:
            return
        now = self.world.seconds
        if active:
            self.active_at = now
            if spec == 0:
                await self._scale(0, max(1, self.minimum))
        elif spec and not self.minimum:
            cooldown = self.body["spec"].get("cooldownPeriod", _COOLDOWN_SECONDS)
            if now - self.active_at >= cooldown:
                await self._scale(spec, 0)

    def _ref(self, trigger: dict[str, Any]) -> Any:
        return ref_of(self.body["metadata"]["name"], SET_KEY.namespace, **trigger["metadata"])

    async def _scale(self, spec: int, replicas: int) -> None:
        if replicas != spec:
            await self.world.scale_set(replicas)
