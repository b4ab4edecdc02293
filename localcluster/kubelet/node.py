"""The Node object of this machine, as it is registered. The `build_` functions are pure.

Not here: its lease and heartbeat (heartbeat.py).
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from localcluster.kubelet.status import timestamp
from shared.clock import utc_now
from shared.errors import TerminalError

if TYPE_CHECKING:
    from datetime import datetime

    from localcluster.kubelet.api import ApiClient
    from localcluster.kubelet.fields import Json

HOST_IP = "127.0.0.1"
_MOST_PODS = 250
# The API of which the pods are served; kubectl prints it in its VERSION column.
_VERSION = "v1.37.0-gamekeeper"


def build_node(name: str) -> Json:
    """Return the object without status."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(
            platform.machine(), platform.machine()
        ),
    }
    metadata: Json = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}}


def read_capacity() -> dict[str, str]:
    """Return what this machine has, quantities by resource."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024
    return {"cpu": str(os.cpu_count() or 1), "memory": f"{memory}Ki", "pods": str(_MOST_PODS)}


def build_node_status(name: str, port: int, now: datetime) -> Json:
    """Return the status of a Ready node whose logs and exec are served at `port`."""
    capacity = read_capacity()
    moment = timestamp(now)
    ready: Json = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "pods run as processes of this machine",
        "lastHeartbeatTime": moment,
        "lastTransitionTime": moment,
    }
    return {
        "addresses": [
            {"type": "InternalIP", "address": HOST_IP},
            {"type": "Hostname", "address": name},
        ],
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [ready],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "nodeInfo": {
            "kubeletVersion": _VERSION,
            "kernelVersion": platform.release(),
            "operatingSystem": "linux",
            "architecture": platform.machine(),
            "osImage": "this machine",
            "containerRuntimeVersion": "gamekeeper://1",
        },
    }


async def register_node(api: ApiClient, name: str, port: int) -> None:
    """Create the node if it is not there, and report it Ready.

    Raises:
        AppError: as ApiClient.
    """
    try:
        await api.create("/api/v1/nodes", build_node(name))
    except TerminalError as error:
        if error.reason != "AlreadyExists":
            raise
    status = build_node_status(name, port, utc_now())
    await api.patch_status(f"/api/v1/nodes/{name}", {"status": status})
