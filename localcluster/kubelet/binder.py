"""Binds pods without a node to this one: the smallest scheduler that respects the node.

Here: whether a pod fits (`why_not`, pure), and the binding. Not here: several nodes to choose from,
resources, affinity. A pod that does not fit says why in its PodScheduled condition and is tried
again when the node changes.
Source: Kubernetes documentation, "Assigning Pods to Nodes", "Taints and Tolerations", and for
cordon "Safely Drain a Node"; the words are those of the scheduler's plugins.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from localcluster.kubelet.events import EventRecorder, reference
from localcluster.kubelet.status import timestamp
from shared.clock import utc_now
from shared.errors import AppError, TerminalError, TransientError

if TYPE_CHECKING:
    from localcluster.kubelet.api import ApiClient, Change
    from localcluster.kubelet.fields import Json

_RETRY_SECONDS = 1.0
# Pods that name another scheduler are that one's.
_SCHEDULER = "default-scheduler"
_UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def why_not(pod: Json, node: Json) -> str | None:
    """Return why a pod may not be bound to a node; None if it may."""
    spec, tolerations = node.get("spec") or {}, pod["spec"].get("tolerations") or []
    cordon: Json = {"key": _UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
    if spec.get("unschedulable") and not is_tolerated(cordon, tolerations):
        return "node(s) were unschedulable"
    for taint in spec.get("taints") or []:
        if taint["effect"] != "PreferNoSchedule" and not is_tolerated(taint, tolerations):
            return f"node(s) had untolerated taint(s) {{{taint['key']}: {taint.get('value', '')}}}"
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(k) != v for k, v in (pod["spec"].get("nodeSelector") or {}).items()):
        return "node(s) didn't match Pod's node affinity/selector"
    return None


def is_tolerated(taint: Json, tolerations: list[Json]) -> bool:
    """Return whether one of the tolerations matches the taint."""
    return any(
        toleration.get("effect") in (None, "", taint["effect"])
        and toleration.get("key") in (None, "", taint["key"])
        and (
            toleration.get("operator") == "Exists"
            or (toleration.get("value") or "") == (taint.get("value") or "")
        )
        for toleration in tolerations
    )


class Binder:
    """Binds the pods that nobody has bound.

    Args:
        api: where.
        node_name: of this node.
        recorder: of the scheduler's events.
    """

    def __init__(self, api: ApiClient, node_name: str, recorder: EventRecorder) -> None:
        self._api = api
        self._node_name = node_name
        self._recorder = recorder
        self._node: Json | None = None
        self._pending: dict[str, Json] = {}
        self._refused: dict[str, str] = {}
        self._news = asyncio.Event()

    def see(self, pod: Json) -> None:
        """Take note of a pod as it is now."""
        uid = pod["metadata"]["uid"]
        waits = not pod["spec"].get("nodeName") and "deletionTimestamp" not in pod["metadata"]
        scheduler = pod["spec"].get("schedulerName") or _SCHEDULER
        if waits and scheduler == _SCHEDULER and not pod["spec"].get("schedulingGates"):
            if uid not in self._pending:
                self._news.set()
            self._pending[uid] = pod
        else:
            self.forget(uid)

    def forget(self, uid: str) -> None:
        """The pod is bound, or gone."""
        self._pending.pop(uid, None)
        self._refused.pop(uid, None)

    def keep_only(self, uids: set[str]) -> None:
        """Forget every pod but these."""
        for uid in [uid for uid in self._pending if uid not in uids]:
            self.forget(uid)

    async def run(self) -> None:
        """Bind for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_node())
            while True:
                await self._news.wait()
                self._news.clear()
                for uid, pod in list(self._pending.items()):
                    try:
                        await self._consider(uid, pod)
                    except TransientError as error:
                        _warn(error)
                        await asyncio.sleep(error.retry_after_seconds or _RETRY_SECONDS)
                        self._news.set()

    async def _follow_node(self) -> None:
        await self._api.follow(
            "/api/v1/nodes",
            self._on_nodes,
            self._on_node,
            _warn,
            f"metadata.name={self._node_name}",
        )

    async def _on_nodes(self, nodes: list[Json]) -> None:
        self._take(next((n for n in nodes if n["metadata"]["name"] == self._node_name), None))

    async def _on_node(self, change: Change) -> None:
        self._take(None if change.gone else change.item)

    def _take(self, node: Json | None) -> None:
        def relevant(seen: Json | None) -> object:
            return seen and (seen.get("spec"), seen["metadata"].get("labels"))

        changed = relevant(node) != relevant(self._node)
        self._node = node
        if changed:
            self._news.set()

    async def _consider(self, uid: str, pod: Json) -> None:
        # Without a node object there is nowhere to bind to; registration makes it (node.py).
        if self._node is None or uid not in self._pending:
            return
        why = why_not(pod, self._node)
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        try:
            if why is None:
                await self._bind(pod, path)
            elif self._refused.get(uid) != why:
                self._refused[uid] = why
                await self._refuse(pod, path, f"0/1 nodes are available: 1 {why}.")
        except TerminalError as error:
            # Deleted or bound meanwhile: the watch says so.
            _warn(error)
            self.forget(uid)

    async def _bind(self, pod: Json, path: str) -> None:
        metadata = pod["metadata"]
        body: Json = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self._node_name},
        }
        await self._api.create(f"{path}/binding", body)
        self.forget(metadata["uid"])
        where = f"{metadata['namespace']}/{metadata['name']} to {self._node_name}"
        about = reference(pod, "Pod")
        self._recorder.record(about, "Normal", "Scheduled", f"Successfully assigned {where}")

    async def _refuse(self, pod: Json, path: str, message: str) -> None:
        self._recorder.record(reference(pod, "Pod"), "Warning", "FailedScheduling", message)
        condition: Json = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastTransitionTime": timestamp(utc_now()),
        }
        uid = pod["metadata"]["uid"]
        body: Json = {"metadata": {"uid": uid}, "status": {"conditions": [condition]}}
        await self._api.patch_status(path, body)


def _warn(error: AppError) -> None:
    log.warning("api request failed", reason=error.reason, message=error.message)
