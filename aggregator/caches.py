"""What the reconcilers read: the last known sets, servers and pods, and the reports. No I/O.

The stores are filled by reflectors and the ledger by the report intake; the indexes are named
here so that whoever fills and whoever reads agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.kube.resources import ObjectKey
from aggregator.kube.store import Store
from shared.api import names

if TYPE_CHECKING:
    from aggregator.ledger import Ledger
    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet

_OWNER_UID = "owner-uid"


def _index_pod(pod: Pod) -> list[str]:
    return [pod.controller_uid] if pod.controller_uid else []


def _pods() -> Store[Pod]:
    return Store({_OWNER_UID: _index_pod})


@dataclass(frozen=True, slots=True)
class Caches:
    """The stores and the ledger of one aggregator."""

    ledger: Ledger
    sets: Store[GameServerSet] = field(default_factory=Store)
    servers: Store[GameServer] = field(default_factory=Store)
    pods: Store[Pod] = field(default_factory=_pods)

    def set_of(self, pod: Pod) -> GameServerSet | None:
        """Return the set that controls a pod, None when it is gone or another of the same name."""
        key = set_key(pod)
        owner = self.sets.get(key) if key is not None else None
        if owner is None or owner.metadata.uid != pod.controller_uid:
            return None
        return owner

    def pods_of(self, owner: GameServerSet) -> list[Pod]:
        """Return the pods that a set controls, terminating ones included."""
        return self.pods.by_index(_OWNER_UID, owner.metadata.uid)


def set_key(pod_or_server: Pod | GameServer) -> ObjectKey | None:
    """Return the key of the set that an object names in its label, None without one."""
    metadata = pod_or_server.metadata
    owner = metadata.labels.get(names.OWNER_LABEL)
    return ObjectKey(metadata.namespace, owner) if owner else None
