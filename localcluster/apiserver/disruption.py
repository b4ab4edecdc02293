"""Disruption budgets: how many pods of a budget may go now, and evictions that ask. No I/O.

A budget speaks of healthy pods: Ready ones that nobody is deleting. How many there should be comes
from the pods' owners with a scale subresource, or is the number of pods where minAvailable is a
number. An eviction reckons from the pods as they are now; the status only shows the result, so
two evictions at once cannot both take the last allowed disruption.

Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/ and k8s.io/kubernetes
pkg/registry/core/pod/storage/eviction.go, pkg/controller/disruption/disruption.go
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.builtin import DISRUPTION_BUDGETS, PODS
from localcluster.apiserver.deletion import DeleteOptions, parse_options
from localcluster.apiserver.errors import ApiError, Cause, bad_request, too_many_requests
from localcluster.apiserver.label_selector import selects
from localcluster.apiserver.objects import Object, dig, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from localcluster.apiserver.resources import Registry
    from localcluster.apiserver.store import CollectionKey, Event, ObjectKey, Store, Stored
    from localcluster.apiserver.verbs import Verbs

_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = (
    "This pod has more than one PodDisruptionBudget, "
    "which the eviction subresource does not support."
)
_FREE_PHASES = ("Pending", "Succeeded", "Failed")


def reckon(budget: Object, pods: list[Object], scales: Mapping[str, int]) -> Object:
    """Return the numbers of a budget's status.

    Args:
        budget: the PodDisruptionBudget.
        pods: those it selects.
        scales: replicas of each owner, by uid; owners without a scale are absent.
    """
    spec: Object = budget.get("spec") or {}
    owners = {owner["uid"] for pod in pods if (owner := _controller(pod)) is not None}
    expected = sum(scales.get(uid, 0) for uid in owners)
    if spec.get("maxUnavailable") is not None:
        desired = expected - _scaled(spec["maxUnavailable"], expected)
    else:
        least = spec.get("minAvailable", 1)
        if isinstance(least, int):
            expected = len(pods)
        desired = _scaled(least, expected)
    healthy = sum(is_healthy(pod) for pod in pods)
    desired = max(0, desired)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    return {
        "expectedPods": expected,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
    }


def is_healthy(pod: Object) -> bool:
    """Return whether a pod is Ready and nobody deletes it."""
    return not pod["metadata"].get("deletionTimestamp") and is_ready(pod)


def is_ready(pod: Object) -> bool:
    """Return whether a pod has the condition Ready."""
    conditions = dig(pod, "status", "conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _scaled(value: Any, whole: int) -> int:
    """Return a number, or a percentage of `whole` rounded up."""
    if isinstance(value, int):
        return value
    text = str(value)
    if not (text.endswith("%") and text[:-1].isdigit()):
        return 0
    return -(-int(text[:-1]) * whole // 100)


def _controller(pod: Object) -> Object | None:
    owners = pod["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


class Disruptions:
    """Budgets and evictions of one server; a Controller that keeps the budgets' status.

    Args:
        verbs: reads and writes.
        registry: knows which owners have a scale.
    """

    def __init__(self, verbs: Verbs, registry: Registry) -> None:
        self._verbs = verbs
        self._registry = registry

    def handle(self, collection: CollectionKey, event: Event) -> None:
        """Follow one write to a pod, a budget, or an owner with a scale."""
        resource = self._registry.of_collection(collection)
        scaled = resource is not None and resource.scale is not None
        if not scaled and collection not in (PODS, DISRUPTION_BUDGETS):
            return
        namespace = event.stored.object["metadata"].get("namespace", "")
        for budget in _in(self._verbs.store, DISRUPTION_BUDGETS, namespace):
            self._show(budget)

    def _show(self, budget: Object) -> None:
        status = self._status(budget, self._verbs.now())
        if budget.get("status") != status:
            metadata = budget["metadata"]
            key = (metadata["namespace"], metadata["name"])
            self._verbs.store.put(DISRUPTION_BUDGETS, key, {**budget, "status": status})

    def _status(self, budget: Object, now: datetime) -> Object:
        numbers = self._reckon(budget)
        enough = numbers["disruptionsAllowed"] > 0
        condition = {
            "type": "DisruptionAllowed",
            "status": "True" if enough else "False",
            "reason": "SufficientPods" if enough else "InsufficientPods",
            "message": "",
            "observedGeneration": budget["metadata"].get("generation", 1),
        }
        known = dig(budget, "status", "conditions") or [{}]
        same = known[0].get("status") == condition["status"]
        since = known[0].get("lastTransitionTime") if same else timestamp(now)
        return {
            **numbers,
            "observedGeneration": condition["observedGeneration"],
            "conditions": [{**condition, "lastTransitionTime": since}],
        }

    def _reckon(self, budget: Object) -> Object:
        namespace = budget["metadata"]["namespace"]
        pods = [
            pod
            for pod in _in(self._verbs.store, PODS, namespace)
            if _covers(budget, pod) and dig(pod, "status", "phase") not in ("Succeeded", "Failed")
        ]
        return reckon(budget, pods, self._scales(namespace, pods))

    def _scales(self, namespace: str, pods: list[Object]) -> dict[str, int]:
        found: dict[str, int] = {}
        for pod in pods:
            owner = _controller(pod)
            if owner is None or owner["uid"] in found:
                continue
            replicas = self._replicas(namespace, owner)
            if replicas is not None:
                found[owner["uid"]] = replicas
        return found

    def _replicas(self, namespace: str, owner: Object) -> int | None:
        """Return how many pods an owner wants; None where it has no scale or is another by now."""
        for resource in self._registry:
            served = (resource.api_version, resource.kind) == (owner["apiVersion"], owner["kind"])
            if served and resource.scale is not None:
                stored = self._verbs.store.get(resource.collection, (namespace, owner["name"]))
                if stored is not None and stored.object["metadata"]["uid"] == owner["uid"]:
                    return int(dig(stored.object, *resource.scale.spec_replicas) or 0)
        return None

    def evict(self, key: ObjectKey, eviction: Any, options: DeleteOptions) -> Stored:
        """Delete a pod if its budget allows it, and return its last or marked state.

        Args:
            key: of the pod.
            eviction: the request's body.
            options: of the deletion.

        Raises:
            ApiError: 400 for another pod's eviction, 404, 409, 429 when the budget does not allow
                it, 500 for a pod of several budgets.
        """
        resource = self._registry.of_collection(PODS)
        if resource is None or (dig(eviction, "metadata", "name") or key[1]) != key[1]:
            raise bad_request("name in URL does not match name in Eviction object")
        pod = self._verbs.get(resource, key).object
        if not _ignores_budgets(pod):
            self._check(pod)
        stored, _ = self._verbs.delete(resource, key, options)
        budgets = _in(self._verbs.store, DISRUPTION_BUDGETS, key[0])
        for budget in () if options.dry_run else budgets:
            # At once, so that whoever reads the budget next sees one disruption less.
            self._show(budget)
        return stored

    def _check(self, pod: Object) -> None:
        namespace = pod["metadata"]["namespace"]
        every = _in(self._verbs.store, DISRUPTION_BUDGETS, namespace)
        budgets = [budget for budget in every if _covers(budget, pod)]
        if len(budgets) > 1:
            raise ApiError(500, "", _SEVERAL)
        for budget in budgets:
            numbers = self._reckon(budget)
            if numbers["disruptionsAllowed"] > 0 or _may_go_unready(budget, pod, numbers):
                continue
            why = (
                f"The disruption budget {budget['metadata']['name']} needs "
                f"{numbers['desiredHealthy']} healthy pods and has "
                f"{numbers['currentHealthy']} currently"
            )
            raise too_many_requests(_VIOLATES, 0, Cause("DisruptionBudget", "", why))


def eviction_options(eviction: Any, *, dry_run: bool) -> DeleteOptions:
    """Return the options of an eviction's deletion; a dry run may stand in the query instead.

    Raises:
        ApiError: 400 for a body that is no Eviction, 422 for options out of range.
    """
    if not isinstance(eviction, dict):
        raise bad_request("the body of the request is not an Eviction")
    options = parse_options(eviction.get("deleteOptions") or {}, {})
    return replace(options, dry_run=options.dry_run or dry_run)


def _may_go_unready(budget: Object, pod: Object, numbers: Object) -> bool:
    """Return whether a pod that is not Ready may go although no disruption is allowed."""
    if is_ready(pod):
        return False
    if dig(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    enough = numbers["currentHealthy"] >= numbers["desiredHealthy"]
    return bool(enough and numbers["desiredHealthy"] > 0)


def _ignores_budgets(pod: Object) -> bool:
    ending = bool(pod["metadata"].get("deletionTimestamp"))
    return ending or dig(pod, "status", "phase") in _FREE_PHASES


def _covers(budget: Object, pod: Object) -> bool:
    selector = dig(budget, "spec", "selector")
    # An absent selector selects nothing, an empty one all pods of the namespace.
    return selector is not None and selects(selector, pod["metadata"].get("labels") or {})


def _in(store: Store, collection: CollectionKey, namespace: str) -> list[Object]:
    objects = store.collection(collection).objects
    return [stored.object for key, stored in objects.items() if key[0] == namespace]
