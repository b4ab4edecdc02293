"""Objects that go with a set: its headless Service, NetworkPolicy, PodDisruptionBudget. Pure.

They are made when they are absent and belong to the set, so they go with it. One of that name that
is somebody else's stays as it is.
Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/ and
https://kubernetes.io/docs/tasks/run-application/configure-pdb/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aggregator.gameserverset.revision import owner_reference
from shared.api import names

if TYPE_CHECKING:
    from shared.api.gameserverset import GameServerSet

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CompanionSettings:
    """Which companions sets get.

    Attributes:
        network_isolation: a NetworkPolicy that cuts off servers whose networkDisabled is true.
        allocated_disruption_budget: a PodDisruptionBudget that keeps drains from Allocated servers.
    """

    network_isolation: bool = True
    allocated_disruption_budget: bool = False


def render_companions(owner: GameServerSet, settings: CompanionSettings) -> list[Json]:
    """Return the companions that a set should have."""
    wanted = []
    if not owner.spec.service_name:
        # A name that the user gave belongs to a Service of the user's.
        wanted.append(_service(owner))
    if settings.network_isolation:
        wanted.append(_network_policy(owner))
    if settings.allocated_disruption_budget:
        wanted.append(_disruption_budget(owner))
    return wanted


def _service(owner: GameServerSet) -> Json:
    spec = {
        "clusterIP": "None",
        # A server finds its peers before it is Ready, as with a StatefulSet's governing Service.
        "publishNotReadyAddresses": True,
        "selector": _selector(owner),
    }
    return _object(owner, "v1", "Service", owner.metadata.name) | {"spec": spec}


def _network_policy(owner: GameServerSet) -> Json:
    """Return a policy that names a direction and no peer: nothing comes in.

    Best effort: a policy of somebody else that allows traffic wins, and established connections may
    live on.
    """
    disabled = {names.NETWORK_DISABLED_LABEL: "true"}
    spec = {
        "podSelector": {"matchLabels": _selector(owner) | disabled},
        "policyTypes": ["Ingress"],
    }
    name = f"{owner.metadata.name}-network-disabled"
    return _object(owner, "networking.k8s.io/v1", "NetworkPolicy", name) | {"spec": spec}


def _disruption_budget(owner: GameServerSet) -> Json:
    allocated = {names.OPS_STATE_LABEL: names.OPS_STATE_ALLOCATED}
    spec = {
        "maxUnavailable": 0,
        "selector": {"matchLabels": _selector(owner) | allocated},
    }
    name = f"{owner.metadata.name}-allocated"
    return _object(owner, "policy/v1", "PodDisruptionBudget", name) | {"spec": spec}


def _selector(owner: GameServerSet) -> dict[str, str]:
    return {names.OWNER_LABEL: owner.metadata.name}


def _object(owner: GameServerSet, api_version: str, kind: str, name: str) -> Json:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.metadata.namespace,
            "labels": _selector(owner),
            "ownerReferences": [owner_reference(owner)],
        },
    }
