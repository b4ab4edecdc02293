"""Resource quotas: what pods use of a namespace, and whether one more fits.

Usage is counted from the pods themselves whenever it is needed, so it is never stale; status.used
only shows it. Kept to: pods, count/pods, and the sums of cpu and memory requests and limits. Quotas
with scopes are stored and not enforced. `usage` and `exceeded` are pure; the controller writes.

Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/ and k8s.io/apiserver
pkg/admission/plugin/resourcequota/controller.go (messages), k8s.io/kubernetes
pkg/quota/v1/evaluator/core/pods.go
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from localcluster.apiserver.builtin import PODS, RESOURCE_QUOTAS
from localcluster.apiserver.errors import bad_request, forbidden
from localcluster.apiserver.objects import Object, dig
from shared.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from localcluster.apiserver.store import CollectionKey, Event, Store

_ENDED = ("Succeeded", "Failed")
_COMPUTED = ("cpu", "memory")
# `cpu` alone means requests.cpu.
_NAMES = {
    **{kind: ("requests", kind) for kind in _COMPUTED},
    **{f"{side}.{kind}": (side, kind) for side in ("requests", "limits") for kind in _COMPUTED},
}


def usage(pod: Object) -> dict[str, Decimal]:
    """Return what one pod uses, by the name of the resource in a quota.

    Raises:
        ValueError: a request or limit that is no quantity.
    """
    if dig(pod, "status", "phase") in _ENDED:
        # It still exists, and uses nothing.
        return {"count/pods": Decimal(1)}
    computed = {name: _computed(pod["spec"], *which) for name, which in _NAMES.items()}
    return {"pods": Decimal(1), "count/pods": Decimal(1), **computed}


def _computed(spec: Object, side: str, kind: str) -> Decimal:
    """Return what a pod needs at most at one time: containers and sidecars, or one init step."""

    def amount(container: Object) -> Decimal:
        return parse_quantity(str(dig(container, "resources", side, kind) or 0))

    sidecars, largest = Decimal(0), Decimal(0)
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            sidecars += amount(container)
        else:
            largest = max(largest, sidecars + amount(container))
    mains = sum((amount(container) for container in spec.get("containers") or []), Decimal(0))
    return max(largest, sidecars + mains)


def shown_quantity(name: str, value: Decimal) -> str:
    """Return a quantity in its canonical form: no fraction, and the largest suffix that fits."""
    if name.endswith("cpu"):
        return str(int(value)) if value == int(value) else f"{int(value * 1000)}m"
    if name.endswith("memory"):
        for power, suffix in enumerate(("Ti", "Gi", "Mi", "Ki")):
            unit = 1024 ** (4 - power)
            if value and value % unit == 0:
                return f"{int(value) // unit}{suffix}"
    return str(int(value))


def total(pods: Iterable[Object]) -> dict[str, Decimal]:
    """Return what many pods use together."""
    sums = {name: Decimal(0) for name in ("pods", "count/pods", *_NAMES)}
    for pod in pods:
        for name, value in usage(pod).items():
            sums[name] += value
    return sums


def exceeded(quota: Object, pod: Object, used: Mapping[str, Decimal]) -> str | None:
    """Return why a quota refuses a new pod, or None.

    Args:
        quota: the ResourceQuota.
        pod: the new one.
        used: by all other pods of the namespace.
    """
    hard: Object = dig(quota, "spec", "hard") or {}
    name, wanted = quota["metadata"]["name"], usage(pod)
    unsaid = [limit for limit in sorted(hard) if limit in _NAMES and not _says(pod, limit)]
    if unsaid:
        return f"failed quota: {name}: must specify {_unsaid(pod, unsaid)}"
    over = [
        limit
        for limit in sorted(hard)
        if wanted.get(limit) and used[limit] + wanted[limit] > parse_quantity(str(hard[limit]))
    ]
    if not over:
        return None

    def listed(values: Mapping[str, object]) -> str:
        return ",".join(f"{limit}={values[limit]}" for limit in over)

    asked = {limit: shown_quantity(limit, wanted[limit]) for limit in over}
    taken = {limit: shown_quantity(limit, used[limit]) for limit in over}
    return (
        f"exceeded quota: {name}, requested: {listed(asked)}, "
        f"used: {listed(taken)}, limited: {listed(hard)}"
    )


def _silent(pod: Object, limit: str) -> list[str]:
    """Return the containers that do not say how much they need of what a quota limits."""
    side, kind = _NAMES[limit]
    spec = pod["spec"]
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    return [c["name"] for c in containers if dig(c, "resources", side, kind) is None]


def _says(pod: Object, limit: str) -> bool:
    return not _silent(pod, limit)


def _unsaid(pod: Object, limits: list[str]) -> str:
    return "; ".join(f"{limit} for: {','.join(_silent(pod, limit))}" for limit in limits)


def admit_pod(store: Store, pod: Object) -> None:
    """Refuse a pod that a quota of its namespace has no room for.

    Raises:
        ApiError: 403; 400 for a request or limit that is no quantity.
    """
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    quotas = _in(store, RESOURCE_QUOTAS, namespace)
    if not quotas:
        return
    try:
        used = total(_in(store, PODS, namespace))
        reasons = (exceeded(quota, pod, used) for quota in quotas if not _scoped(quota))
        why = next((reason for reason in reasons if reason is not None), None)
    except ValueError as error:
        raise bad_request(f"resources: {error}") from error
    if why is not None:
        raise forbidden("", "pods", name, why)


class QuotaController:
    """Keeps status.used equal to what the pods of a namespace use.

    Args:
        store: read and written.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def handle(self, collection: CollectionKey, event: Event) -> None:
        """Follow one write to a pod or a quota."""
        if collection not in (PODS, RESOURCE_QUOTAS):
            return
        namespace = event.stored.object["metadata"]["namespace"]
        quotas = _in(self._store, RESOURCE_QUOTAS, namespace)
        if not quotas:
            return
        used = total(_in(self._store, PODS, namespace))
        for quota in quotas:
            hard: Object = dig(quota, "spec", "hard") or {}
            shown = {
                name: shown_quantity(name, used[name]) for name in sorted(hard) if name in used
            }
            status = {"hard": hard, "used": shown}
            if quota.get("status") != status:
                key = (namespace, quota["metadata"]["name"])
                self._store.put(RESOURCE_QUOTAS, key, {**quota, "status": status})


def _scoped(quota: Object) -> bool:
    return bool(dig(quota, "spec", "scopes") or dig(quota, "spec", "scopeSelector"))


def _in(store: Store, collection: CollectionKey, namespace: str) -> list[Object]:
    objects = store.collection(collection).objects
    return [stored.object for key, stored in objects.items() if key[0] == namespace]
