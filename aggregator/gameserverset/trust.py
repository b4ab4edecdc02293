"""The CA bundle that agents trust: a ConfigMap in every namespace with a set (SPEC 8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.gameserverset.agent_container import CA_CONFIGMAP, CA_KEY
from aggregator.kube.errors import AlreadyExists
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import CONFIGMAPS, ObjectKey

if TYPE_CHECKING:
    from aggregator.kube.transport import KubeClient


class TrustBundle:
    """Keeps the ConfigMap of each namespace equal to the aggregator's own bundle.

    Args:
        client: the API server.
        certificates: PEM text of one or more certificates; empty when reports are not encrypted.
    """

    def __init__(self, client: KubeClient, certificates: str) -> None:
        self._client = client
        self._certificates = certificates
        self._done: set[str] = set()

    async def ensure(self, namespace: str) -> None:
        """Make the ConfigMap right; asks the API server once per namespace and process."""
        if namespace in self._done:
            return
        key = ObjectKey(namespace, CA_CONFIGMAP)
        data = {CA_KEY: self._certificates}
        present = await self._client.get(CONFIGMAPS, key)
        if present is None:
            await self._create(namespace, data)
        elif present.get("data") != data:
            metadata = {"resourceVersion": present["metadata"]["resourceVersion"]}
            patch = MergePatch({"metadata": metadata, "data": data})
            await self._client.patch(CONFIGMAPS, key, patch)
        self._done.add(namespace)

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
            await self.ensure(namespace)
