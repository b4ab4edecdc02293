"""The aggregator's metrics: what it counts as it goes, and the fleet as it stands at a scrape.

Labels are closed sets, or as many as there are sets and qualities: never the name of a server,
which comes and goes. What the fleet looks like and what the controllers did is told by the leader
alone, so that a sum over all aggregators counts everything once.
Source: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections import Counter as Tally
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from aggregator.fleet_metrics import FleetCollector
from aggregator.status.changes import actions
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.metrics_core import Metric

    from aggregator.caches import Caches
    from shared.api.gameserver import GameServer

# The limits are p50 20 ms and p99 100 ms; an agent joins changes for 50 ms before it reports them.
_LATENCY_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

# By set and quality: actions that ran.
_ActionKey = tuple[str, str, str, str]


class Metrics:
    """Counts, and renders everything for a scrape.

    Args:
        caches: what the fleet looks like.
        leading: whether this process leads.
        controllers: name, keys that wait now and outcomes so far of each controller.
        monotonic: seconds, of the ledger's clock.
    """

    def __init__(
        self,
        caches: Caches,
        leading: Callable[[], bool],
        controllers: Callable[[], Iterable[tuple[str, int, Mapping[str, int]]]],
        monotonic: Callable[[], float] = monotonic_seconds,
    ) -> None:
        self._caches = caches
        self._leading = leading
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._actions: Tally[_ActionKey] = Tally()
        self._reports = Counter(
            "gamekeeper_reports",
            "Reports of agents, by how they were answered.",
            ["outcome"],
            registry=self._registry,
        )
        self._report_outcomes: dict[str, Counter] = {}
        self._reviews = Counter(
            "gamekeeper_token_reviews",
            "Tokens of agents that the API server was asked about.",
            ["outcome"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "gamekeeper_action_latency_seconds",
            "From a verdict in the agent to the decision about it, as their two clocks tell.",
            buckets=_LATENCY_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(FleetCollector(caches, leading, monotonic))
        self._registry.register(_Process(leading, controllers))
        self._registry.register(_Actions(caches, self._actions))

    def count_report(self, outcome: str) -> None:
        """Count a report by how it was answered; a closed set, see `intake.routes`."""
        # `labels` costs several times as much as counting.
        series = self._report_outcomes.get(outcome)
        if series is None:
            series = self._report_outcomes[outcome] = self._reports.labels(outcome)
        series.inc()

    def count_review(self, outcome: str) -> None:
        """Count a TokenReview by its outcome; a closed set, see `intake.auth`."""
        self._reviews.labels(outcome).inc()

    def server_changed(self, old: GameServer | None, new: GameServer | None) -> None:
        """Count the actions that ran between two states of an object."""
        if old is None or new is None or not self._leading():
            return
        owner = self._caches.set_key_of(new)
        for action in actions(old, new):
            name = owner.name if owner is not None else ""
            self._actions[new.metadata.namespace, name, action.quality, action.status] += 1
        for seconds in _latencies(old, new):
            self._latency.observe(seconds)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the exposition and its content type; may run in a thread of its own.

        Whatever it reads is taken out of a cache by one call, which is atomic, and is never changed
        afterwards. With 10,000 servers that takes a tenth of a second, too long for the event loop.

        Args:
            accept: header of the scrape.
        """
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type


def _latencies(old: GameServer, new: GameServer) -> Iterable[float]:
    """Yield the seconds from verdict to action, of qualities that acted on a new verdict."""
    former = {each.name: each for each in old.status.service_qualities_conditions}
    for condition in new.status.service_qualities_conditions:
        acted, turned = condition.last_action_transition_time, condition.last_transition_time
        before = former.get(condition.name)
        if acted is None or turned is None or before is None:
            continue
        is_new = before.last_action_transition_time != acted
        if is_new and before.last_transition_time != turned:
            # Clocks of nodes differ: a negative latency is one of zero.
            yield max(0.0, (acted - turned).total_seconds())


class _Process(Collector):
    """This process: whether it leads, and what its controllers do."""

    def __init__(
        self,
        leading: Callable[[], bool],
        controllers: Callable[[], Iterable[tuple[str, int, Mapping[str, int]]]],
    ) -> None:
        self._leading = leading
        self._controllers = controllers

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges and counters."""
        leader = GaugeMetricFamily("gamekeeper_leader", "1 where this process leads.")
        leader.add_metric((), float(self._leading()))
        yield leader
        depth = GaugeMetricFamily(
            "gamekeeper_workqueue_depth", "Keys that wait for a worker.", labels=["controller"]
        )
        runs = CounterMetricFamily(
            "gamekeeper_reconciles",
            "Runs of a controller by outcome, since this process began to lead.",
            labels=["controller", "outcome"],
        )
        for name, waiting, outcomes in self._controllers():
            depth.add_metric([name], waiting)
            for outcome, count in sorted(outcomes.items()):
                runs.add_metric([name, outcome], count)
        yield depth
        yield runs


class _Actions(Collector):
    """Executed actions; those of a set that is gone are forgotten with it, and its series end."""

    def __init__(self, caches: Caches, counted: Tally[_ActionKey]) -> None:
        self._caches = caches
        self._counted = counted

    def collect(self) -> Iterable[Metric]:
        """Yield the counter."""
        sets = {(key.namespace, key.name) for key in self._caches.sets.keys()}  # noqa: SIM118
        for key in list(self._counted):
            if key[:2] not in sets:
                self._counted.pop(key, None)
        family = CounterMetricFamily(
            "gamekeeper_service_quality_actions",
            "Times that the actions of a quality ran, by its verdict.",
            labels=["namespace", "gameserverset", "quality", "status"],
        )
        for key, count in sorted(self._counted.items()):
            family.add_metric(key, count)
        yield family
