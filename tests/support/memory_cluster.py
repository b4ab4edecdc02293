"""An API server in memory for the write path: versions, preconditions, subresources, faults.

It adds to FakeKubeClient what appliers rely on. Pods terminate in two steps, as with a kubelet:
`delete` marks them, `finish_pods` removes them together with the GameServers that they own.
"""

import asyncio
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import jsonpatch

from aggregator.kube.errors import (
    Cause,
    Conflict,
    NotFound,
    Rejected,
    TestFailed,
    Unavailable,
)
from aggregator.kube.patch import JsonPatch, Patch
from aggregator.kube.resources import GAMESERVERS, PODS, ObjectKey, Resource
from aggregator.kube.transport import Json
from tests.support.kube import FakeKubeClient
from tests.support.merge_patch import merged

_DELETED_AT = "2026-01-02T03:04:05Z"


class Crash(Exception):  # noqa: N818 - it is no error of the code under test
    """The process died at this write."""


@dataclass(frozen=True)
class Write:
    """A write that was asked for by `writer`.

    `body` is an object, a merge patch or the operations of a JSON patch; None for a deletion.
    """

    verb: str
    kind: str
    name: str
    subresource: str | None = None
    body: Any = None
    writer: str = ""


@dataclass(frozen=True)
class Fault:
    """What happens at the write with this number, counted from 0: before or after its effect."""

    number: int
    error: Callable[[], Exception]
    after: bool = False


def unavailable() -> Exception:
    return Unavailable("ServiceUnavailable", "no answer", outcome_unknown=True)


def conflict() -> Exception:
    return Conflict("Conflict", "the object has been modified")


def crash() -> Exception:
    return Crash("killed")


class MemoryCluster(FakeKubeClient):
    """Objects, and every write in order.

    Attributes:
        writes: that were asked for, also those that failed.
        fault: at most one.
        writer: who the writes are from, as the test says.
        on_write: called before each write with what is asked for: others do something meanwhile.
    """

    def __init__(self, fault: Fault | None = None) -> None:
        super().__init__()
        self.writes: list[Write] = []
        self.fault = fault
        self.on_write: Callable[[Write], None] = lambda _: None
        self.writer = ""
        self.created: list[str] = []
        self.deleted: list[str] = []

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        async def effect() -> Json:
            stored = await super(MemoryCluster, self).create(resource, namespace, body)
            stored["metadata"]["generation"] = 1
            self.objects[resource.plural, ObjectKey(namespace, stored["metadata"]["name"])] = stored
            if resource == PODS:
                self.created.append(stored["metadata"]["name"])
            return deepcopy(stored)

        name = body["metadata"]["name"]
        return await self._write(Write("create", resource.plural, name, None, body), effect)

    async def patch(
        self, resource: Resource, key: ObjectKey, patch: Patch, subresource: str | None = None
    ) -> Json:
        async def effect() -> Json:
            stored = self.objects.get((resource.plural, key))
            if stored is None:
                raise NotFound("NotFound", f"{key} does not exist")
            changed = _patched(stored, patch, subresource)
            if resource == GAMESERVERS:
                _judge_claim(stored, changed)
            if changed != stored:
                self.version += 1
                changed["metadata"]["resourceVersion"] = str(self.version)
                self.objects[resource.plural, key] = changed
            return deepcopy(changed)

        write = Write("patch", resource.plural, key.name, subresource, patch.body)
        return await self._write(write, effect)

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> bool:
        async def effect() -> bool:
            stored = self.objects.get((resource.plural, key))
            if stored is None:
                return False
            _check(stored["metadata"], {"uid": uid, "resourceVersion": resource_version})
            if resource == PODS:
                self.mark_deleted(key)
            else:
                del self.objects[resource.plural, key]
            return True

        return await self._write(Write("delete", resource.plural, key.name), effect)

    def mark_deleted(self, key: ObjectKey) -> None:
        """Let a pod terminate."""
        metadata = self.objects[PODS.plural, key]["metadata"]
        if "deletionTimestamp" not in metadata:
            self.version += 1
            self.deleted.append(key.name)
            metadata |= {"deletionTimestamp": _DELETED_AT, "resourceVersion": str(self.version)}

    def finish_pods(self) -> None:
        """Do a kubelet's and the garbage collector's work: start pods, remove terminated ones."""
        for key, pod in self.all(PODS).items():
            if "deletionTimestamp" in pod["metadata"]:
                del self.objects[PODS.plural, key]
            else:
                self._run(pod)
        pod_uids = {pod["metadata"]["uid"] for pod in self.all(PODS).values()}
        for key, server in self.all(GAMESERVERS).items():
            owners = server["metadata"].get("ownerReferences", ())
            if any(each["kind"] == "Pod" and each["uid"] not in pod_uids for each in owners):
                del self.objects[GAMESERVERS.plural, key]

    def _run(self, pod: Json) -> None:
        """Start a pod, and restart each container whose image changed."""
        if pod.get("status", {}).get("phase") in ("Failed", "Succeeded"):
            return
        status = {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": each["name"], "containerID": f"run://{each.get('image', '')}"}
                for each in pod["spec"]["containers"]
            ],
        }
        if pod.get("status") != status:
            self.version += 1
            pod["metadata"]["resourceVersion"] = str(self.version)
            pod["status"] = status

    def all(self, resource: Resource) -> dict[ObjectKey, Json]:
        """The stored objects themselves, by key."""
        return {key: obj for (kind, key), obj in self.objects.items() if kind == resource.plural}

    async def _write(self, write: Write, effect: Callable[[], Any]) -> Any:
        number = len(self.writes)
        self.writes.append(replace(write, writer=self.writer))
        # As with a network, others get a turn.
        await asyncio.sleep(0)
        self.on_write(write)
        fault = self.fault
        if fault is not None and fault.number == number and not fault.after:
            raise fault.error()
        result = await effect()
        if fault is not None and fault.number == number:
            raise fault.error()
        return result


def _patched(stored: Json, patch: Patch, subresource: str | None) -> Json:
    if isinstance(patch, JsonPatch):
        try:
            result = jsonpatch.apply_patch(stored, patch.body)
        except jsonpatch.JsonPatchException as error:
            raise TestFailed("TestFailed", str(error)) from error
    else:
        _check(stored["metadata"], patch.document.get("metadata", {}))
        result = merged(stored, patch.document)
    kept = "status" if subresource is None else "spec"
    result = deepcopy(result)
    result.pop(kept, None)
    if kept in stored:
        result[kept] = deepcopy(stored[kept])
    return result


def _judge_claim(before: Json, after: Json) -> None:
    """Refuse what the rules of the definition say about a claim that stands."""
    claim, now = before.get("spec", {}).get("deletion"), after.get("spec", {}).get("deletion")
    if claim is None:
        return
    broken = []
    if before["spec"]["opsState"] != after["spec"]["opsState"]:
        broken.append("spec.opsState")
    if now != claim and (now is not None or claim["reason"] != "ScaleDown"):
        broken.append("spec.deletion")
    if broken:
        message = "the server is being deleted"
        raise Rejected("Invalid", message, 422, tuple(Cause(path, message) for path in broken))


def _check(metadata: Json, wanted: dict[str, Any]) -> None:
    for field in ("uid", "resourceVersion"):
        if wanted.get(field) not in (None, metadata[field]):
            raise Conflict("Conflict", f"{field} is {metadata[field]}")
