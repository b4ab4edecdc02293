"""The label by which Services find the leader's pod (SPEC 8.3). Not pure.

The leader labels its own pod and takes the label from every other that still has it: one that
crashed, or hangs and cannot do so itself. Nothing rests on the label: an agent that reaches a
former leader is answered with 503 and comes again.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import structlog

from aggregator import log_keys
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import PODS, ObjectKey
from shared.api import names
from shared.backoff import Backoff
from shared.errors import AppError

if TYPE_CHECKING:
    from aggregator.kube.transport import KubeClient

logger = structlog.get_logger()

_BACKOFF = Backoff(base_seconds=0.5, cap_seconds=10.0)
_REMOVE_SECONDS = 1.0


class LeaderLabel:
    """The label on one pod.

    Args:
        client: the API server, not behind the gate: a former leader takes its own label away.
        pod: of this process; None outside of a cluster, where there is nothing to label.
    """

    def __init__(self, client: KubeClient, pod: ObjectKey | None) -> None:
        self._client = client
        self._pod = pod

    async def take(self, writer: KubeClient) -> None:
        """Return once this pod has the label and no other has it; tries until it succeeds.

        Args:
            writer: behind the gate: only the leader takes the label.
        """
        if self._pod is None:
            return
        failures = 0
        while True:
            try:
                await self._set(writer, self._pod, "true")
                for key in await self._others(self._pod):
                    await self._set(writer, key, None)
            except AppError as error:
                failures += 1
                wait = _BACKOFF.ceiling_seconds(failures)
                self._note(error, wait)
                await asyncio.sleep(wait)
            else:
                return

    async def drop(self) -> None:
        """Take the label from this pod, if the API server answers soon."""
        if self._pod is None:
            return
        try:
            async with asyncio.timeout(_REMOVE_SECONDS):
                await self._set(self._client, self._pod, None)
        except TimeoutError:
            logger.warning("leader label not removed", **{log_keys.REASON: "Timeout"})
        except AppError as error:
            self._note(error, 0.0)

    async def _others(self, mine: ObjectKey) -> list[ObjectKey]:
        selector = f"{names.LEADER_LABEL}=true"
        listed = await self._client.list(PODS, mine.namespace, selector)
        found = (json.loads(raw)["metadata"]["name"] for raw in listed.items)
        return [ObjectKey(mine.namespace, name) for name in found if name != mine.name]

    @staticmethod
    async def _set(writer: KubeClient, pod: ObjectKey, value: str | None) -> None:
        await writer.patch(
            PODS, pod, MergePatch({"metadata": {"labels": {names.LEADER_LABEL: value}}})
        )

    def _note(self, error: AppError, wait: float) -> None:
        logger.warning(
            "leader label not written",
            **{
                log_keys.REASON: error.reason,
                log_keys.MESSAGE: error.message,
                log_keys.RETRY_SECONDS: wait,
            },
        )
