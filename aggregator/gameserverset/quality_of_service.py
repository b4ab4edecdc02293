"""Whether a pod keeps the class Guaranteed when a sidecar joins it. Pure.

Theory: a pod is Guaranteed when every container has limits for cpu and memory and requests nothing
else than these (an absent request is the limit). One container without that makes the whole pod
Burstable: it would be evicted earlier, and lose its exclusive cores under the static CPU manager.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/ and, for resources of the whole
pod, https://kubernetes.io/docs/tasks/configure-pod-container/assign-pod-level-resources/
"""

from __future__ import annotations

from typing import Any

from shared.quantity import parse_quantity

_COUNTED = ("cpu", "memory")


def is_guaranteed(spec: dict[str, Any]) -> bool:
    """Tell whether every container of a pod spec requests exactly what it is limited to.

    Resources of the pod as a whole decide alone where they are given, as they do in the kubelet.
    """
    if spec.get("resources"):
        return _is_limited(spec["resources"])
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return bool(containers) and all(_is_limited(each.get("resources")) for each in containers)


def _is_limited(resources: Any) -> bool:
    if not isinstance(resources, dict):
        return False
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return all(_is_equal(limits.get(kind), requests.get(kind)) for kind in _COUNTED)


def _is_equal(limit: Any, request: Any) -> bool:
    """Tell whether a limit is there and the request, if there is one, equals it."""
    if limit is None:
        return False
    try:
        wanted = parse_quantity(str(limit))
        return wanted > 0 and (request is None or parse_quantity(str(request)) == wanted)
    except ValueError:
        # The API server will refuse the pod and name the field; that is not decided here.
        return False
