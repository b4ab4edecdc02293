"""The row of a pod: READY, STATUS and RESTARTS as `kubectl get pods` shows them. Pure.

A native sidecar is an init container with restartPolicy Always. It counts in READY beside the
containers, and while it runs it does not hold the pod in `Init:`.

Source: k8s.io/kubernetes pkg/printers/internalversion/printers.go (printPod).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.durations import age, human
from localcluster.apiserver.objects import Object, dig, parse_time
from localcluster.apiserver.resources import Column, Printer

if TYPE_CHECKING:
    from datetime import datetime

COLUMNS = (
    Column("Name", format="name"),
    Column("Ready"),
    Column("Status"),
    Column("Restarts"),
    Column("Age"),
    Column("IP", priority=1),
    Column("Node", priority=1),
    Column("Nominated Node", priority=1),
    Column("Readiness Gates", priority=1),
)


@dataclass(slots=True)
class _Count:
    """What is summed up over container statuses."""

    ready: int = 0
    restarts: int = 0
    last_restart: datetime | None = None

    def add_restarts(self, status: Object) -> None:
        self.restarts += status.get("restartCount") or 0
        finished = parse_time(dig(status, "lastState", "terminated", "finishedAt"))
        if finished and (self.last_restart is None or finished > self.last_restart):
            self.last_restart = finished


def cells(pod: Object, now: datetime) -> list[Any]:
    """Return the cells of one pod."""
    spec, status, metadata = pod.get("spec") or {}, pod.get("status") or {}, pod["metadata"]
    sidecars = _sidecars(spec)
    reason, count = _state(spec, status, sidecars)
    if metadata.get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Failed", "Succeeded"):
            reason = "Terminating"
    return [
        metadata["name"],
        f"{count.ready}/{len(spec.get('containers') or []) + len(sidecars)}",
        reason,
        _restarts(count, now),
        age(metadata.get("creationTimestamp"), now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _readiness_gates(spec, status),
    ]


PRINTER = Printer(COLUMNS, cells)


def _sidecars(spec: Object) -> frozenset[str]:
    inits = spec.get("initContainers") or []
    return frozenset(c["name"] for c in inits if c.get("restartPolicy") == "Always")


def _state(spec: Object, status: Object, sidecars: frozenset[str]) -> tuple[str, _Count]:
    reason = status.get("reason") or status.get("phase") or "Unknown"
    init, count, sidecar = _init_state(spec, status, sidecars)
    initialized = any(
        c.get("type") == "Initialized" and c.get("status") == "True"
        for c in status.get("conditions") or []
    )
    if init is not None and not initialized:
        return init, count
    # Restarts of plain init containers no longer matter; those of sidecars always do.
    sidecar.ready = count.ready
    return _main_state(status, reason, sidecar)


def _init_state(
    spec: Object, status: Object, sidecars: frozenset[str]
) -> tuple[str | None, _Count, _Count]:
    """Return `Init:...` (None when initialised), all counts, and those of the sidecars alone."""
    count, sidecar = _Count(), _Count()
    total = len(spec.get("initContainers") or [])
    for index, each in enumerate(status.get("initContainerStatuses") or []):
        count.add_restarts(each)
        if each["name"] in sidecars:
            sidecar.add_restarts(each)
        state = each.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated is not None and terminated.get("exitCode") == 0:
            continue
        if each["name"] in sidecars and each.get("started"):
            count.ready += bool(each.get("ready"))
            continue
        if terminated is not None:
            return f"Init:{_ended(terminated)}", count, sidecar
        if waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}", count, sidecar
        return f"Init:{index}/{total}", count, sidecar
    return None, count, sidecar


def _main_state(status: Object, reason: str, count: _Count) -> tuple[str, _Count]:
    running = False
    # From the last to the first, so that the first container's trouble is what the row shows.
    for each in reversed(status.get("containerStatuses") or []):
        count.add_restarts(each)
        state = each.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = _ended(terminated)
        elif each.get("ready") and "running" in state:
            running = True
            count.ready += 1
    if reason == "Completed" and running:
        ready = any(
            c.get("type") == "Ready" and c.get("status") == "True"
            for c in status.get("conditions") or []
        )
        reason = "Running" if ready else "NotReady"
    return reason, count


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _restarts(count: _Count, now: datetime) -> str:
    if count.restarts == 0 or count.last_restart is None:
        return str(count.restarts)
    return f"{count.restarts} ({human(now - count.last_restart)} ago)"


def _readiness_gates(spec: Object, status: Object) -> str:
    gates = [gate.get("conditionType") for gate in spec.get("readinessGates") or []]
    if not gates:
        return "<none>"
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or []}
    return f"{sum(conditions.get(gate) == 'True' for gate in gates)}/{len(gates)}"
