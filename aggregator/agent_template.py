"""What the agents of this installation have in common, and whether they can be native sidecars.

Theory: a native sidecar (an init container that is restarted) starts before the game and ends after
it, and does not keep a pod from completing. Kubelets know it from 1.29 on; an older one would wait
for it to end, for ever. Kubelets are at most three minor versions older than the API server, so one
of 1.32 would do; 1.33 leaves room for a server that is being upgraded.

`decide_placement` is pure; `find_agent_template` asks.
Source: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/ and
https://kubernetes.io/releases/version-skew-policy/
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog

from aggregator import log_keys
from aggregator.gameserverset.agent_container import AgentResources, AgentTemplate
from aggregator.kube.errors import Rejected
from aggregator.kube.resources import NODES
from shared.backoff import Backoff
from shared.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aggregator.kube.transport import KubeClient
    from aggregator.settings import Settings

logger = structlog.get_logger()

Placement = Literal["native", "container"]

_OLDEST_KUBELET = (1, 29)
_OLDEST_SERVER = (1, 33)
_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)")
_BACKOFF = Backoff(base_seconds=0.5, cap_seconds=10.0)


class _NodeInfo(msgspec.Struct, rename="camel", frozen=True):
    kubelet_version: str = ""


class _NodeStatus(msgspec.Struct, rename="camel", frozen=True):
    node_info: _NodeInfo = _NodeInfo()


class _Node(msgspec.Struct, rename="camel", frozen=True):
    status: _NodeStatus = _NodeStatus()


_decode_node = msgspec.json.Decoder(_Node).decode


def decide_placement(kubelets: Sequence[str] | None, server: str) -> Placement:
    """Return where agents go. Pure.

    Args:
        kubelets: the version of every node's kubelet, such as "v1.31.2-gke.1"; None when we may
            not know.
        server: the API server's, likewise.
    """
    if kubelets:
        modern = all(_minor(each) >= _OLDEST_KUBELET for each in kubelets)
    else:
        modern = _minor(server) >= _OLDEST_SERVER
    return "native" if modern else "container"


async def find_agent_template(
    settings: Settings, client: KubeClient, report_urls: tuple[str, ...]
) -> AgentTemplate:
    """Return what agents have in common; waits for an API server that is away.

    Args:
        settings: of the aggregator.
        client: the API server.
        report_urls: where agents report, tried in turn.
    """
    return AgentTemplate(
        image=settings.agent_image,
        image_pull_policy=settings.agent_image_pull_policy,
        report_urls=report_urls,
        status_port=settings.agent_status_port,
        host_network_status_port=settings.agent_host_network_status_port,
        placement=await _find_placement(settings, client),
        profile=settings.agent_security_profile,
        resources=AgentResources(
            cpu_request=settings.agent_cpu_request,
            cpu_limit=settings.agent_cpu_limit,
            guaranteed_cpu=settings.agent_guaranteed_cpu,
            memory_request=settings.agent_memory_request,
            memory_limit=settings.agent_memory_limit,
        ),
    )


async def _find_placement(settings: Settings, client: KubeClient) -> Placement:
    if settings.agent_placement != "auto":
        return settings.agent_placement
    failures = 0
    while True:
        try:
            kubelets = await _kubelet_versions(client)
            server = "" if kubelets else await client.server_version()
            placement = decide_placement(kubelets, server)
        except TransientError as error:
            failures += 1
            wait = _BACKOFF.ceiling_seconds(failures)
            details = {log_keys.REASON: error.reason, log_keys.MESSAGE: error.message}
            logger.warning("agent placement not known yet", **details)
            await asyncio.sleep(wait)
        else:
            logger.info("agent placement", **{log_keys.OUTCOME: placement})
            return placement


async def _kubelet_versions(client: KubeClient) -> list[str] | None:
    """Return the versions of all kubelets, None without the right to read nodes."""
    try:
        nodes = await client.list(NODES)
    except Rejected:
        return None
    return [_decode_node(raw).status.node_info.kubelet_version for raw in nodes.items]


def _minor(version: str) -> tuple[int, int]:
    """Return major and minor; what cannot be read counts as old."""
    match = _VERSION.match(version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
