"""Connects the external scaler with the caches and the term of this aggregator. Not pure.

KEDA does not send everything that its ScaledObject says. The maximum and the metric type are read
from the object itself where the rights allow it, in the background: an answer never waits for the
API server.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import structlog

from aggregator import log_keys
from aggregator.autoscaler.scaled_object import DEFAULT_MAXIMUM, EXTERNAL_TRIGGERS
from aggregator.keda.answers import Answers, ScaledObjectFacts
from aggregator.snapshots import take_snapshot
from shared.clock import monotonic_seconds, utc_now
from shared.errors import AppError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from aggregator.autoscaler.autoscaling import Autoscaling
    from aggregator.autoscaler.rivals import RivalReader
    from aggregator.autoscaler.scaled_object import Rival
    from aggregator.caches import Caches
    from aggregator.keda.metadata import ScalerRequest
    from aggregator.kube.resources import ObjectKey
    from aggregator.scaling.policy import Snapshot
    from aggregator.settings import Settings
    from aggregator.snapshots import ViewMemo

logger = structlog.get_logger()

# A ScaledObject is edited by people.
REFRESH_SECONDS = 30.0
# KEDA's HPA asks every fifteen seconds, KEDA itself at its polling interval: thirty by default.
FORGET_SECONDS = 600.0
# Leadership ends without an event: a lease just runs out.
_HEALTH_SECONDS = 1.0


class LiveSets:
    """The sets as the caches show them, and what ScaledObjects say about themselves.

    Args:
        caches: sets, servers and pods.
        reader: of ScaledObjects.
        autoscaling: of the present term; None while this process does not lead.
    """

    def __init__(
        self, caches: Caches, reader: RivalReader, autoscaling: Callable[[], Autoscaling | None]
    ) -> None:
        self._caches = caches
        self._reader = reader
        self._autoscaling = autoscaling
        self._facts: dict[str, dict[str, Rival]] = {}
        # By namespace: when it was last asked about.
        self._asked: dict[str, float] = {}
        self._views: dict[ObjectKey, ViewMemo] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Read the ScaledObjects of the namespaces that are asked about, until cancelled."""
        while True:
            self._forget(monotonic_seconds() - FORGET_SECONDS)
            for namespace in sorted(self._asked):
                await self._read(namespace)
            self._wanted.clear()
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def ready(self) -> bool:
        """Tell whether this process leads; it does not before its caches are whole."""
        return self._autoscaling() is not None

    def snapshot(self, set_key: ObjectKey) -> Snapshot | None:
        """Return a set and its servers, None when it does not exist."""
        owner = self._caches.sets.get(set_key)
        if owner is None:
            self._views.pop(set_key, None)
            return None
        memo = self._views.setdefault(set_key, {})
        return take_snapshot(owner, self._caches.pairs_of(owner), utc_now(), memo=memo)

    def facts(self, request: ScalerRequest) -> ScaledObjectFacts | None:
        """Return what the ScaledObject says, None when it was not read (yet)."""
        namespace, name = request.scaled_object
        if namespace not in self._asked:
            self._wanted.set()
        self._asked[namespace] = monotonic_seconds()
        found = self._facts.get(namespace, {}).get(name)
        if found is None:
            return None
        maximum = found.spec.max_replica_count
        return ScaledObjectFacts(
            DEFAULT_MAXIMUM if maximum is None else maximum, _metric_type_of(found)
        )

    def claim_marked(self, request: ScalerRequest) -> None:
        """Have marked servers of the set removed by name, when they are ripe."""
        autoscaling = self._autoscaling()
        if autoscaling is not None:
            autoscaling.remove_marked(request.set_key, request.policy)

    def _forget(self, before: float) -> None:
        """Read no more of the namespaces that nobody has asked about since then."""
        for namespace in [each for each, at in self._asked.items() if at < before]:
            del self._asked[namespace]
            self._facts.pop(namespace, None)

    async def _read(self, namespace: str) -> None:
        try:
            rivals = await self._reader.read(namespace)
        except AppError as error:
            # The next round asks again; until then the facts are as they were.
            logger.warning(
                "scaled objects cannot be read",
                **{log_keys.REASON: error.reason, log_keys.MESSAGE: error.message},
            )
            return
        self._facts[namespace] = {each.metadata.name: each for each in rivals.scaled_objects}


class ExternalScaler:
    """KEDA's external scaler of one aggregator: serves for the time of an `async with` block.

    Args:
        settings: where it listens; its port must be set.
        live: what is answered from.

    Raises:
        InvalidInput: gRPC is not installed.
    """

    def __init__(self, settings: Settings, live: LiveSets) -> None:
        try:
            # Only who serves KEDA pays for gRPC.
            from aggregator.keda.server import Endpoint, ScalerServer
        except ImportError as error:
            message = 'needs gRPC: install "gamekeeper[keda]", or leave the port unset'
            raise InvalidInput("GAMEKEEPER_KEDA_PORT", message) from error
        self._live = live
        self._answers = Answers(live)
        endpoint = Endpoint(
            settings.keda_address,
            settings.keda_port or 0,
            settings.keda_tls_certificate_file,
            settings.keda_tls_key_file,
            settings.keda_tls_client_ca_file,
        )
        self._server = ScalerServer(self._answers, endpoint)

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            InvalidInput: the port is in use, or a certificate file cannot be read.
        """
        await self._server.__aenter__()
        logger.info("external scaler serves", **{log_keys.ADDRESS: self._server.port})
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving; streams end cleanly."""
        await self._server.__aexit__(kind, error, trace)

    @property
    def port(self) -> int:
        """That it listens on."""
        return self._server.port

    async def run(self) -> None:
        """Keep up to date what is answered from, and tell the health service, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._live.run(), name="scaled objects")
            tasks.create_task(self._tell_health(), name="scaler health")

    def changed(self, set_key: ObjectKey | None) -> None:
        """Note that a set or one of its servers changed; None is none."""
        if set_key is not None:
            self._answers.changed(set_key)

    async def _tell_health(self) -> None:
        told = False
        while True:
            ready = self._live.ready()
            if ready != told:
                await self._server.set_serving(ready)
                told = ready
            await asyncio.sleep(_HEALTH_SECONDS)


def _metric_type_of(scaled_object: Rival) -> str:
    """Return Value if any external trigger has that type: which of them asks, KEDA does not say."""
    types = [
        trigger.metric_type
        for trigger in scaled_object.spec.triggers
        if trigger.type in EXTERNAL_TRIGGERS
    ]
    return "Value" if "Value" in types else next(iter(types), "")
