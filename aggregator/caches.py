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
    from collections.abc import Hashable

    from aggregator.infrastructure import Claim, Node, Volume
    from aggregator.ledger import Ledger
    from shared.api.autoscaler import GameServerSetAutoscaler
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet

_OWNER_UID = "owner-uid"
_SET = "set"
_NODE = "node"
_CLAIM = "claim"


def _index_pod(pod: Pod) -> list[Hashable]:
    return [pod.controller_uid] if pod.controller_uid else []


def _index_set(pod: Pod) -> list[Hashable]:
    key = set_key(pod)
    return [key] if key is not None else []


def _index_node(pod: Pod) -> list[Hashable]:
    return [pod.spec.node_name] if pod.spec.node_name else []


def _index_claims(pod: Pod) -> list[Hashable]:
    return [ObjectKey(pod.metadata.namespace, name) for name in pod.claim_names]


def _pods() -> Store[Pod]:
    indexers = {
        _OWNER_UID: _index_pod,
        _SET: _index_set,
        _NODE: _index_node,
        _CLAIM: _index_claims,
    }
    return Store(indexers)


def _index_target(autoscaler: GameServerSetAutoscaler) -> list[Hashable]:
    return [ObjectKey(autoscaler.metadata.namespace, autoscaler.spec.game_server_set_name)]


def _autoscalers() -> Store[GameServerSetAutoscaler]:
    return Store({_SET: _index_target})


@dataclass(frozen=True, slots=True)
class Caches:
    """The stores and the ledger of one aggregator.

    Attributes:
        readable: the plural names of those resources that can be read, of the ones that we can do
            without: nodes, claims and volumes.
    """

    ledger: Ledger
    sets: Store[GameServerSet] = field(default_factory=Store)
    servers: Store[GameServer] = field(default_factory=Store)
    pods: Store[Pod] = field(default_factory=_pods)
    autoscalers: Store[GameServerSetAutoscaler] = field(default_factory=_autoscalers)
    nodes: Store[Node] = field(default_factory=Store)
    claims: Store[Claim] = field(default_factory=Store)
    volumes: Store[Volume] = field(default_factory=Store)
    readable: set[str] = field(default_factory=set)

    def set_of(self, pod: Pod) -> GameServerSet | None:
        """Return the set that controls a pod, None when it is gone or another of the same name."""
        key = set_key(pod)
        owner = self.sets.get(key) if key is not None else None
        if owner is None or owner.metadata.uid != pod.controller_uid:
            return None
        return owner

    def pairs_of(self, owner: GameServerSet) -> list[tuple[Pod, GameServer | None]]:
        """Return the pods that a set controls, each with the GameServer of its name."""
        return [
            (pod, self.servers.get(ObjectKey(pod.metadata.namespace, pod.metadata.name)))
            for pod in self.pods_of(owner)
        ]

    def autoscalers_of(self, key: ObjectKey) -> list[ObjectKey]:
        """Return the keys of the autoscalers of a set."""
        found = self.autoscalers.by_index(_SET, key)
        return [ObjectKey(key.namespace, each.metadata.name) for each in found]

    def pods_of(self, owner: GameServerSet) -> list[Pod]:
        """Return the pods that a set controls, terminating ones included."""
        return self.pods.by_index(_OWNER_UID, owner.metadata.uid)

    def namesakes_of(self, owner: GameServerSet) -> list[Pod]:
        """Return orphans with the set's label, and pods of a set of its name that is gone."""
        key = ObjectKey(owner.metadata.namespace, owner.metadata.name)
        uid = owner.metadata.uid
        return [pod for pod in self.pods.by_index(_SET, key) if pod.controller_uid != uid]

    def pods_on(self, node: str) -> list[Pod]:
        """Return the pods that run on a node."""
        return self.pods.by_index(_NODE, node)

    def pods_with(self, claim: ObjectKey) -> list[Pod]:
        """Return the pods that mount a claim."""
        return self.pods.by_index(_CLAIM, claim)

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
