"""What a change in the caches means: which keys the leader looks at again. No I/O.

A watch event or a report only adds keys to the queues of the present term; on a standby it adds
none, and a new term begins with all keys. So losing any event costs time, never truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.kube.resources import ObjectKey
from shared.clock import monotonic_seconds, utc_now

if TYPE_CHECKING:
    from aggregator.caches import Caches
    from aggregator.external_scaler import ExternalScaler
    from aggregator.metrics import Metrics
    from aggregator.pods import Pod
    from aggregator.probe_lists import ProbeLists
    from aggregator.status.history import ServerHistory
    from aggregator.term import PresentTerm
    from shared.api.autoscaler import GameServerSetAutoscaler
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet

    Named = GameServerSet | GameServerSetAutoscaler | GameServer | Pod


class Changes:
    """Is told by the watches, and tells everybody whom a change concerns.

    Args:
        caches: as they are after the change.
        present: the term whose controllers get the keys, if this process leads.
        probes: forgets sets that are gone.
        history: of what happened to each server.
        metrics: counts changes of servers.
        scaler: wakes streams of KEDA; None without a port for it.
    """

    def __init__(
        self,
        caches: Caches,
        present: PresentTerm,
        probes: ProbeLists,
        history: ServerHistory,
        metrics: Metrics,
        scaler: ExternalScaler | None,
    ) -> None:
        self._caches = caches
        self._present = present
        self._probes = probes
        self._history = history
        self._metrics = metrics
        self._scaler = scaler

    def set_changed(self, old: GameServerSet | None, new: GameServerSet | None) -> None:
        """Have a set reconciled, and its servers too when its spec changed."""
        item = new or old
        if item is None:
            return
        self._tell_scaler(_key(item))
        if new is None:
            self._probes.forget(item)
        term = self._present.term
        if term is None:
            return
        term.look_at_set(_key(item))
        if new is not None and old is not None and _respecified(old, new):
            # Qualities may be others now: conditions and probe lists follow.
            for pod in self._caches.pods_of(new):
                term.look_at_server(_key(pod))

    def server_changed(self, old: GameServer | None, new: GameServer | None) -> None:
        """Have a server and its set reconciled."""
        item = new or old
        if item is None:
            return
        self._history.record(_key(item), old, new, utc_now())
        self._metrics.server_changed(old, new)
        owner = self._caches.set_key_of(item)
        self._tell_scaler(owner)
        if self._present.term is not None:
            self._present.term.look_at_server(_key(item))
            self._present.term.look_at_set(owner)

    def pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """Have the server of a pod and its set reconciled."""
        item = new or old
        if item is None:
            return
        if new is None:
            self._caches.ledger.forget(item.metadata.uid)
        elif new.is_probed:
            self._caches.ledger.expect(new.metadata.uid, monotonic_seconds())
        if self._present.term is not None:
            self._present.term.pod_changed(item, gone=new is None)

    def autoscaler_changed(
        self, old: GameServerSetAutoscaler | None, new: GameServerSetAutoscaler | None
    ) -> None:
        """Have an autoscaler reconciled."""
        item = new or old
        if item is not None and self._present.term is not None:
            self._present.term.autoscaling.look_at(_key(item))

    def look_at_server(self, key: ObjectKey) -> None:
        """Have a server reconciled: something around it has changed."""
        if self._present.term is not None:
            self._present.term.look_at_server(key)

    def _tell_scaler(self, set_key: ObjectKey | None) -> None:
        if self._scaler is not None:
            self._scaler.changed(set_key)


def _key(item: Named) -> ObjectKey:
    return ObjectKey(item.metadata.namespace, item.metadata.name)


def _respecified(old: GameServerSet, new: GameServerSet) -> bool:
    return old.metadata.generation != new.metadata.generation
