"""The node life cycle: notices kubelets that fall silent and does what follows. No I/O.

A node is alive while its lease or its status changes. How long ago that was is measured here, on
this clock, so that a kubelet with a wrong clock is not declared dead.

Source: pkg/controller/nodelifecycle/node_lifecycle_controller.go and pkg/controller/tainteviction
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from localcluster.apiserver.builtin import NODES, PODS
from localcluster.apiserver.deletion import DeleteOptions
from localcluster.apiserver.node_rules import is_due, ready_condition, silent, tainted, unready
from localcluster.apiserver.objects import Object, dig, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcluster.apiserver.resources import Registry
    from localcluster.apiserver.store import CollectionKey, Event, Stored
    from localcluster.apiserver.verbs import Verbs

NODE_GRACE_SECONDS = 50.0  # kube-controller-manager's --node-monitor-grace-period
_LONGEST_PERIOD_SECONDS = 5.0  # its --node-monitor-period
_CHECKS_PER_GRACE = 4
_LEASES = ("coordination.k8s.io", "leases")
_LEASE_NAMESPACE = "kube-node-lease"
_EVENTS = ("", "events")
_DONE = ("Succeeded", "Failed")


class NodeLifecycle:
    """Watches over the nodes.

    Args:
        verbs: reads and writes.
        registry: the served resources.
        grace_seconds: how long a node may be silent.
        clock: monotonic seconds.
    """

    def __init__(
        self, verbs: Verbs, registry: Registry, grace_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._verbs = verbs
        self._registry = registry
        self._grace_seconds = grace_seconds
        self._clock = clock
        self._seen: dict[str, tuple[object, float]] = {}  # node -> its last sign of life, when

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await asyncio.sleep(
                min(_LONGEST_PERIOD_SECONDS, self._grace_seconds / _CHECKS_PER_GRACE)
            )
            self.check()

    def handle(self, collection: CollectionKey, event: Event) -> None:
        """Follow a change of a node at once: a cordon, or a kubelet that is back."""
        if collection == NODES and event.type != "DELETED":
            self._taint(event.stored.object["metadata"]["name"])

    def check(self) -> None:
        """Look at every node, and at the pods of those that are not ready."""
        nodes = [s.object for s in self._verbs.store.collection(NODES).objects.values()]
        for name in set(self._seen) - {node["metadata"]["name"] for node in nodes}:
            del self._seen[name]
        for node in nodes:
            if self._is_silent(node):
                self._mark(node)
        self._evict()

    def _is_silent(self, node: Object) -> bool:
        name = node["metadata"]["name"]
        lease = self._verbs.store.get(_LEASES, (_LEASE_NAMESPACE, name))
        ready = ready_condition(node) or {}
        sign = (
            node["metadata"]["uid"],
            dig(lease.object, "spec", "renewTime") if lease else None,
            ready.get("lastHeartbeatTime"),
        )
        now = self._clock()
        known = self._seen.get(name)
        if known is None or known[0] != sign:
            self._seen[name] = (sign, now)
            return False
        return now - known[1] > self._grace_seconds

    def _mark(self, node: Object) -> None:
        name = node["metadata"]["name"]
        ready = ready_condition(node)
        if ready is not None and ready.get("status") == "Unknown":
            return
        marked = silent(node, self._verbs.now())
        self._verbs.store.put(NODES, ("", name), marked)
        self._tell(marked, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        for key, stored in self._pods_on(name):
            if (ready_condition(stored.object) or {}).get("status") == "True":
                changed = unready(stored.object, self._verbs.now())
                self._verbs.store.put(PODS, key, changed)
                self._tell(changed, "Warning", "NodeNotReady", "Node is not ready")

    def _taint(self, name: str) -> None:
        stored = self._verbs.store.get(NODES, ("", name))
        if stored is not None:
            node = tainted(stored.object, self._verbs.now())
            if node is not stored.object:
                self._verbs.store.put(NODES, ("", name), node)

    def _evict(self) -> None:
        """Delete the pods that have tolerated their node for long enough."""
        resource = self._registry.of_collection(PODS)
        for stored in tuple(self._verbs.store.collection(NODES).objects.values()):
            node = stored.object
            for key, pod in self._pods_on(node["metadata"]["name"]):
                if (
                    resource is not None
                    and not pod.object["metadata"].get("deletionTimestamp")
                    and is_due(pod.object, node, self._verbs.now())
                ):
                    said = f"Marking for deletion Pod {key[0]}/{key[1]}"
                    self._tell(pod.object, "Normal", "TaintManagerEviction", said)
                    uid = pod.object["metadata"]["uid"]
                    self._verbs.delete(resource, key, DeleteOptions(uid=uid))

    def _pods_on(self, node: str) -> list[tuple[tuple[str, str], Stored]]:
        pods = self._verbs.store.collection(PODS).objects.items()
        return [
            (key, stored)
            for key, stored in pods
            if dig(stored.object, "spec", "nodeName") == node
            and dig(stored.object, "status", "phase") not in _DONE
        ]

    def _tell(self, about: Object, kind: str, reason: str, message: str) -> None:
        metadata = about["metadata"]
        stamp = timestamp(self._verbs.now())
        key = (metadata.get("namespace") or "default", f"{metadata['name']}.{secrets.token_hex(8)}")
        event: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": key[1],
                "namespace": key[0],
                "uid": secrets.token_hex(16),
                "creationTimestamp": stamp,
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": about["kind"],
                "name": metadata["name"],
                "namespace": metadata.get("namespace", ""),
                "uid": metadata["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": "node-controller"},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        # Not through `create`: a namespace that ends takes no events, and that is no failure here.
        self._verbs.store.put(_EVENTS, key, event)
