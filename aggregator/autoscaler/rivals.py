"""Reads who else could scale: HPAs and ScaledObjects of a namespace. Not pure.

They change rarely and matter at every pass, so they are listed at most once in a while, for the
namespaces that have an autoscaler only. A cluster without KEDA has no ScaledObjects; an aggregator
without the right to read them cannot see the conflict, and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from aggregator import log_keys
from aggregator.autoscaler.conflicts import Rivals
from aggregator.autoscaler.scaled_object import Rival, decode_rival
from aggregator.kube.errors import NotFound, Rejected, Unavailable
from aggregator.kube.resources import Resource
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from aggregator.kube.transport import KubeClient

logger = structlog.get_logger()

HPAS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
SCALED_OBJECTS = Resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
INTERVAL_SECONDS = 15.0


class RivalReader:
    """Lists rivals by namespace, and remembers them for a while."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._known: dict[str, tuple[float, Rivals]] = {}
        self._refused: set[str] = set()

    async def read(self, namespace: str) -> Rivals:
        """Return the rivals in a namespace, at most fifteen seconds old.

        Raises:
            AppError: the API server gives no answer; nothing may be written on a guess.
        """
        now = monotonic_seconds()
        read_at, rivals = self._known.get(namespace, (0.0, None))
        if rivals is None or now - read_at >= INTERVAL_SECONDS:
            rivals = Rivals(
                await self._list(HPAS, namespace), await self._list(SCALED_OBJECTS, namespace)
            )
            self._known[namespace] = now, rivals
        return rivals

    async def _list(self, resource: Resource, namespace: str) -> tuple[Rival, ...]:
        try:
            listed = await self._client.list(resource, namespace)
        except NotFound:
            return ()
        except Rejected as error:
            if resource.kind not in self._refused:
                self._refused.add(resource.kind)
                logger.warning(
                    "rivals cannot be seen",
                    **{log_keys.KIND: resource.kind, log_keys.MESSAGE: error.message},
                )
            return ()
        try:
            return tuple(decode_rival(item) for item in listed.items)
        except msgspec.MsgspecError as error:
            raise Unavailable("UnreadableObject", f"{resource.kind}: {error}") from error
