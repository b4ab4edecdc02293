"""What the reconcilers read: the last known sets, servers and pods, and the reports. No I/O.

The stores are filled by reflectors and the ledger by the report intake; the indexes are named
here so that whoever fills and whoever reads agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.kube.resources import ObjectKey
from aggregator.kube.store import Store
from aggregator.pods import Pod
from shared.api import names

if TYPE_CHECKING:
    from aggregator.ledger import Ledger
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

    def set_key_of(self, server: GameServer) -> ObjectKey | None:
        """Return the key of the set of a server: of its pod's if there is one, else its own."""
        pod = self.pods.get(ObjectKey(server.metadata.namespace, server.metadata.name))
        key = set_key(pod) if pod is not None else None
        return key or set_key(server)


def set_key(item: Pod | GameServer) -> ObjectKey | None:
    """Return the key of the set that an object names, None without one.

    An owner reference beats the label, which anybody can change. A GameServer that its pod owns has
    nothing but the label.
    """
    if isinstance(item, Pod):
        name = item.set_name
    else:
        refs = item.metadata.owner_references
        sets = (each.name for each in refs if each.kind == names.GAMESERVERSET_KIND)
        name = next(sets, item.metadata.labels.get(names.OWNER_LABEL, ""))
    return ObjectKey(item.metadata.namespace, name) if name else None
