"""What a node's condition means for itself and for its pods: taints, readiness, evictions. Pure.

A node whose kubelet falls silent is not known to be dead: its pods may still run. So it is tainted,
its pods stop counting as ready, and each is deleted only when the time that it tolerates is over;
its object then stays until the kubelet confirms the end or somebody forces it.

Source: Kubernetes documentation, "Nodes" (node controller) and "Taints and Tolerations"
(taint-based evictions); pkg/controller/nodelifecycle/node_lifecycle_controller.go
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver.objects import Object, dig, parse_time, timestamp

if TYPE_CHECKING:
    from datetime import datetime

UNREACHABLE = "node.kubernetes.io/unreachable"
NOT_READY = "node.kubernetes.io/not-ready"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OWN = (UNREACHABLE, NOT_READY, UNSCHEDULABLE)
_NO_SCHEDULE, _NO_EXECUTE = "NoSchedule", "NoExecute"


def ready_condition(obj: Object) -> Object | None:
    """Return the Ready condition of a node or a pod; None before its first report."""
    conditions = dig(obj, "status", "conditions") or []
    return next((c for c in conditions if c.get("type") == "Ready"), None)


def silent(node: Object, now: datetime) -> Object:
    """Return a node whose kubelet has been silent for too long: every condition Unknown."""
    stamp = timestamp(now)
    reported = dig(node, "status", "conditions") or [{"type": "Ready"}]
    conditions = []
    for condition in reported:
        # The reasons tell a kubelet that fell silent from one that never spoke.
        never = "lastHeartbeatTime" not in condition
        changed = {} if condition.get("status") == "Unknown" else {"lastTransitionTime": stamp}
        conditions.append(
            {
                **condition,
                **changed,
                "status": "Unknown",
                "reason": "NodeStatusNeverUpdated" if never else "NodeStatusUnknown",
                "message": "Kubelet never posted node status."
                if never
                else "Kubelet stopped posting node status.",
            }
        )
    return {**node, "status": {**(node.get("status") or {}), "conditions": conditions}}


def tainted(node: Object, now: datetime) -> Object:
    """Return a node with the taints that its condition and a cordon ask for."""
    spec = node.get("spec") or {}
    before = spec.get("taints") or []
    wanted: list[tuple[str, str]] = []
    ready = ready_condition(node)
    if ready is not None and ready.get("status") != "True":
        key = UNREACHABLE if ready.get("status") == "Unknown" else NOT_READY
        wanted += [(key, _NO_SCHEDULE), (key, _NO_EXECUTE)]
    if spec.get("unschedulable"):
        wanted.append((UNSCHEDULABLE, _NO_SCHEDULE))
    kept = [t for t in before if t["key"] not in _OWN or (t["key"], t["effect"]) in wanted]
    present = {(taint["key"], taint["effect"]) for taint in kept}
    stamp = timestamp(now)
    added = [
        {"key": k, "effect": e, "timeAdded": stamp} for k, e in wanted if (k, e) not in present
    ]
    if not added and len(kept) == len(before):
        return node
    others = {key: value for key, value in spec.items() if key != "taints"}
    taints = [*kept, *added]
    return {**node, "spec": {**others, "taints": taints} if taints else others}


def unready(pod: Object, now: datetime) -> Object:
    """Return a pod whose node is not ready: not ready either, whatever it reported last."""
    status = pod.get("status") or {}
    conditions = [
        {**condition, "status": "False", "lastTransitionTime": timestamp(now)}
        if condition.get("type") == "Ready" and condition.get("status") == "True"
        else condition
        for condition in status.get("conditions") or []
    ]
    return {**pod, "status": {**status, "conditions": conditions}}


def is_due(pod: Object, node: Object, now: datetime) -> bool:
    """Return whether a pod has tolerated its node's NoExecute taints for long enough."""
    tolerations = dig(pod, "spec", "tolerations") or []
    for taint in dig(node, "spec", "taints") or []:
        if taint["effect"] != _NO_EXECUTE:
            continue
        matching = [t for t in tolerations if tolerates(t, taint)]
        if not matching:
            return True
        limits = [t["tolerationSeconds"] for t in matching if "tolerationSeconds" in t]
        # One toleration without a limit does not lift the limit of another.
        added = parse_time(taint.get("timeAdded")) or now
        if limits and (now - added).total_seconds() >= min(limits):
            return True
    return False


def tolerates(toleration: Object, taint: Object) -> bool:
    """Return whether a toleration matches a taint."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return (toleration.get("value") or "") == (taint.get("value") or "")


def default_tolerations(given: list[Object]) -> list[Object]:
    """Return a pod's tolerations with those that every pod has for nodes that fall silent.

    Source: plugin/pkg/admission/defaulttolerationseconds
    """
    added = [
        {"key": key, "operator": "Exists", "effect": _NO_EXECUTE, "tolerationSeconds": 300}
        for key in (NOT_READY, UNREACHABLE)
        if not any(tolerates(t, {"key": key, "effect": _NO_EXECUTE}) for t in given)
    ]
    return [*given, *added]
