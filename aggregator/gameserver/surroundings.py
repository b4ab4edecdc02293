"""What a decision about one server needs to know of others, read from the caches. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.binding import claim_on
from aggregator.gameserver.conditions import Surroundings
from aggregator.kube.resources import (
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    ObjectKey,
)
from shared.api import names

if TYPE_CHECKING:
    from aggregator.caches import Caches
    from aggregator.pods import Pod
    from shared.api.gameserverset import GameServerSet


def surroundings_of(pod: Pod, caches: Caches) -> Surroundings:
    """Return the node and the volumes of a pod, as far as they can be read."""
    namespace = pod.metadata.namespace
    found = {name: caches.claims.get(ObjectKey(namespace, name)) for name in pod.claim_names}
    claims = {name: claim for name, claim in found.items() if claim is not None}
    bound = {claim.spec.volume_name for claim in claims.values()}
    volumes = {name: caches.volumes.get(ObjectKey("", name)) for name in bound}
    return Surroundings(
        node=caches.nodes.get(ObjectKey("", pod.spec.node_name)),
        claims=claims,
        volumes={name: volume for name, volume in volumes.items() if volume is not None},
        knows_nodes=NODES.plural in caches.readable,
        knows_volumes={PERSISTENTVOLUMECLAIMS.plural, PERSISTENTVOLUMES.plural} <= caches.readable,
    )


def has_too_few(owner: GameServerSet, caches: Caches) -> bool:
    """Tell whether a set has fewer servers that stay than it wants: it is going to create some."""
    staying = 0
    for pod in caches.pods_of(owner):
        key = ObjectKey(pod.metadata.namespace, pod.metadata.name)
        server = caches.servers.get(key)
        condemned = server is not None and server.spec.ops_state == names.OPS_STATE_KILL
        if not pod.terminating and not condemned and claim_on(server, pod) is None:
            staying += 1
    return staying < owner.spec.replicas
