"""What the fleet looks like at a scrape, read from the caches. No I/O.

Nothing has to be kept in step, and a set that is gone leaves no series behind. OpenKruiseGame's
names are offered too, so that its dashboards go on working.
Source: OpenKruiseGame's documentation of its controller's metrics (names, labels, and the values
of gsStatus).
"""

from __future__ import annotations

from collections import Counter as Tally
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from aggregator.agent_state import agent_state
from aggregator.caches import set_key
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric

    from aggregator.caches import Caches
    from aggregator.kube.resources import ObjectKey
    from shared.api.gameserverset import GameServerSet

    _Counts = Tally[tuple[str, ...]]

# Custom opsStates can come from a probe's output; the rarest share a series beyond so many.
_MOST_OPS_STATES = 32
_OTHER = "other"
_OPS_STATES = (
    names.OPS_STATE_NONE,
    names.OPS_STATE_WAIT_TO_BE_DELETED,
    names.OPS_STATE_MAINTAINING,
    names.OPS_STATE_ALLOCATED,
    names.OPS_STATE_KILL,
)
_OKG_STATUSES = frozenset({"current", "ready", "available", "maintaining", "waitToBeDeleted"})


class FleetCollector(Collector):
    """Sets, servers and agents as the caches show them, while this process leads.

    Args:
        caches: filled by the reflectors, with the ledger.
        leading: whether this process leads; a standby shows nothing.
        monotonic: seconds, of the ledger's clock.
    """

    def __init__(
        self, caches: Caches, leading: Callable[[], bool], monotonic: Callable[[], float]
    ) -> None:
        self._caches = caches
        self._leading = leading
        self._monotonic = monotonic

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges."""
        if not self._leading():
            return
        states: _Counts = Tally()
        ops_states: _Counts = Tally()
        verdicts: _Counts = Tally()
        for server in self._caches.servers.values():
            namespace = server.metadata.namespace
            owner = _name(self._caches.set_key_of(server))
            states[namespace, owner, server.status.current_state] += 1
            ops_states[namespace, owner, server.spec.ops_state] += 1
            for each in server.status.service_qualities_conditions:
                verdicts[namespace, owner, each.name, each.status] += 1
        ops_states = _bounded(ops_states)
        yield _gauge(
            "gamekeeper_gameservers",
            "GameServers by state.",
            ("namespace", "gameserverset", "state"),
            states,
        )
        yield _gauge(
            "gamekeeper_gameservers_ops_state",
            "GameServers by opsState.",
            ("namespace", "gameserverset", "ops_state"),
            ops_states,
        )
        yield _gauge(
            "gamekeeper_service_quality_verdicts",
            "GameServers by the verdict of each service quality.",
            ("namespace", "gameserverset", "quality", "status"),
            verdicts,
        )
        yield from self._sets()
        yield self._agents()
        yield from _okg_servers(states, ops_states)

    def _sets(self) -> Iterable[Metric]:
        replicas: _Counts = Tally()
        okg: _Counts = Tally()
        for key, owner in self._caches.sets.items():
            for kind, count in _replicas(owner).items():
                replicas[key.namespace, key.name, kind] = count
                if kind in _OKG_STATUSES:
                    okg[key.name, key.namespace, kind] = count
        yield _gauge(
            "gamekeeper_gameserverset_replicas",
            "Game servers of a set: desired, and in its status.",
            ("namespace", "gameserverset", "kind"),
            replicas,
        )
        yield _gauge(
            "okg_gameserversets_replicas_count",
            "The number of replicas per GameServerSet, as OpenKruiseGame names it.",
            ("gssName", "gssNs", "gsStatus"),
            okg,
        )

    def _agents(self) -> Metric:
        agents: _Counts = Tally()
        now = self._monotonic()
        for pod in self._caches.pods.values():
            owner = _name(set_key(pod))
            state = agent_state(pod, self._caches.ledger, now)
            agents[pod.metadata.namespace, owner, state] += 1
        labels = ("namespace", "gameserverset", "state")
        return _gauge("gamekeeper_agents", "Pods by the state of their agent.", labels, agents)


def _replicas(owner: GameServerSet) -> dict[str, int]:
    status = owner.status
    return {
        "desired": owner.spec.replicas,
        "current": status.current_replicas,
        "ready": status.ready_replicas,
        "available": status.available_replicas,
        "updated": status.updated_replicas,
        "maintaining": status.maintaining_replicas,
        "waitToBeDeleted": status.wait_to_be_deleted_replicas,
        "preDelete": status.pre_delete_replicas,
    }


def _okg_servers(states: _Counts, ops_states: _Counts) -> Iterable[Metric]:
    by_state: _Counts = Tally()
    for (*_, state), count in states.items():
        by_state[(state,)] += count
    help_text = "The number of game servers per state, as OpenKruiseGame names it."
    yield _gauge("okg_gameservers_state_count", help_text, ("state",), by_state)
    yield _gauge(
        "okg_gameservers_opsState_count",
        "The number of game servers per opsState, as OpenKruiseGame names it.",
        ("opsState", "gssName", "namespace"),
        Tally(
            {
                (ops_state, owner, namespace): count
                for (namespace, owner, ops_state), count in ops_states.items()
            }
        ),
    )


def _bounded(counts: _Counts) -> _Counts:
    """Return the counts with the rarest custom opsStates of all sets joined."""
    totals: Tally[str] = Tally()
    for (*_, ops_state), count in counts.items():
        totals[ops_state] += count
    kept = set(_OPS_STATES)
    custom = sorted(totals.keys() - kept, key=lambda each: (-totals[each], each))
    kept.update(custom[:_MOST_OPS_STATES])
    bounded: _Counts = Tally()
    for (namespace, owner, ops_state), count in counts.items():
        bounded[namespace, owner, ops_state if ops_state in kept else _OTHER] += count
    return bounded


def _gauge(name: str, documentation: str, labels: tuple[str, ...], values: _Counts) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for key, count in sorted(values.items()):
        family.add_metric(key, count)
    return family


def _name(key: ObjectKey | None) -> str:
    return key.name if key is not None else ""
