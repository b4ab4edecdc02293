"""The CA bundle that agents trust: a ConfigMap in every namespace with a set (SPEC 8.4)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from aggregator import log_keys
from aggregator.gameserverset.agent_container import CA_CONFIGMAP, CA_KEY
from aggregator.kube.errors import AlreadyExists
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import CONFIGMAPS, ObjectKey
from shared.errors import AppError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aggregator.kube.transport import KubeClient

logger = structlog.get_logger()

# A ConfigMap that somebody deletes hurts new pods only, which cannot start until it is back.
PERIOD_SECONDS = 60.0


class TrustBundle:
    """Keeps the ConfigMap of each namespace equal to the aggregator's own bundle.

    Args:
        client: the API server.
        bundle: returns the PEM text of the authorities that agents trust now; empty when reports
            are not encrypted.

    Attributes:
        changed: set it when `bundle` returns something else: every namespace is looked at then.
    """

    def __init__(self, client: KubeClient, bundle: Callable[[], str]) -> None:
        self._client = client
        self._bundle = bundle
        self._done: dict[str, str] = {}
        self.changed = asyncio.Event()

    async def ensure(self, namespace: str) -> None:
        """Make the ConfigMap right; asks the API server once per namespace and bundle.

        Raises:
            AppError: the API server did not take it.
        """
        if self._done.get(namespace) != self._bundle():
            await self._make_right(namespace)

    async def keep(
        self, namespaces: Callable[[], Iterable[str]], period_seconds: float = PERIOD_SECONDS
    ) -> None:
        """Keep the ConfigMaps right where agents are, until cancelled.

        Args:
            namespaces: returns where agents are now.
            period_seconds: between two looks, if the bundle does not change before.
        """
        while True:
            self.changed.clear()
            for namespace in sorted(namespaces()):
                try:
                    await self._make_right(namespace)
                except AppError as error:
                    details = {log_keys.REASON: error.reason, log_keys.MESSAGE: error.message}
                    logger.warning("CA bundle not written", **{log_keys.KEY: namespace}, **details)
            try:
                async with asyncio.timeout(period_seconds):
                    await self.changed.wait()
            except TimeoutError:
                continue

    async def _make_right(self, namespace: str) -> None:
        key = ObjectKey(namespace, CA_CONFIGMAP)
        text = self._bundle()
        data = {CA_KEY: text}
        # Other entries are somebody's mistake, and stay.
        present = await self._client.get(CONFIGMAPS, key)
        if present is None:
            await self._create(namespace, data)
        elif (present.get("data") or {}).get(CA_KEY) != text:
            metadata = {"resourceVersion": present["metadata"]["resourceVersion"]}
            patch = MergePatch({"metadata": metadata, "data": data})
            await self._client.patch(CONFIGMAPS, key, patch)
        self._done[namespace] = text

    async def _create(self, namespace: str, data: dict[str, str]) -> None:
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CA_CONFIGMAP, "namespace": namespace},
            "data": data,
        }
        try:
            await self._client.create(CONFIGMAPS, namespace, body)
        except AlreadyExists:
            # Somebody was faster; the retry compares what they wrote.
            await self._make_right(namespace)
