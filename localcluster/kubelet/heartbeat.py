"""The signs of life of a node: its lease, renewed often, and its Ready condition, kept True.

A lease is small, so renewing it is cheap; the Node object is written only when somebody has marked
it otherwise or it is gone. Not here: what follows when the signs stop (the API server's node life
cycle). `build_lease` is pure.
Source: Kubernetes documentation, "Nodes", heartbeats, and "Leases", node heartbeats.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from localcluster.kubelet.node import register_node
from shared.clock import utc_now
from shared.errors import AppError, TerminalError, TransientError

if TYPE_CHECKING:
    from datetime import datetime

    from localcluster.kubelet.api import ApiClient
    from localcluster.kubelet.fields import Json

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_RENEWALS_PER_LEASE = 4  # as kubelet's: three may fail before the lease is over
_RETRY_SECONDS = 0.5

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def build_lease(node: str, seconds: int, now: datetime) -> Json:
    """Return the lease of a node that is alive at `now`."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": node},
        "spec": {
            "holderIdentity": node,
            "leaseDurationSeconds": seconds,
            "renewTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }


class Heartbeat:
    """The heartbeat of one node.

    Args:
        api: where.
        node: its name.
        port: at which its kubelet serves logs and exec.
        lease_seconds: how long one renewal counts.
    """

    def __init__(self, api: ApiClient, node: str, port: int, lease_seconds: int) -> None:
        self._api = api
        self._node = node
        self._port = port
        self._lease_seconds = lease_seconds

    async def register(self) -> None:
        """Create the node if it is not there and report it Ready; return once that is done.

        Raises:
            TerminalError: the API server refuses the node.
        """
        while True:
            try:
                await register_node(self._api, self._node, self._port)
                await self._renew()
            except TransientError as error:
                _warn(error)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def run(self) -> None:
        """Renew for ever."""
        while True:
            await asyncio.sleep(self._lease_seconds / _RENEWALS_PER_LEASE)
            try:
                await self._renew()
                await self._stay_ready()
            except AppError as error:
                _warn(error)

    async def _renew(self) -> None:
        lease = build_lease(self._node, self._lease_seconds, utc_now())
        try:
            await self._api.merge(f"{_LEASES}/{self._node}", lease)
        except TerminalError as error:
            if error.reason != "NotFound":
                raise
            await self._api.create(_LEASES, lease)

    async def _stay_ready(self) -> None:
        node = await self._api.get(f"/api/v1/nodes/{self._node}")
        conditions = ((node or {}).get("status") or {}).get("conditions") or []
        if not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            await register_node(self._api, self._node, self._port)


def _warn(error: AppError) -> None:
    log.warning("api request failed", reason=error.reason, message=error.message)
