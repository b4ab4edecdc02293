"""Builds the answers of the status API from caches, ledger and histories. Reads memory only.

What goes over all servers of a set lets the event loop run in between, one set at a time, and is
remembered for a moment: however many people look, reports come first.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from heapq import nsmallest
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from aggregator.agent_state import REPORTING, agent_state
from aggregator.answer_cache import AnswerCache, Remembered
from aggregator.caches import set_key
from aggregator.gameserver.observed import Observed
from aggregator.kube.resources import ObjectKey
from aggregator.status import documents
from aggregator.status.explain import decisions, explain
from shared.clock import monotonic_seconds, utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from datetime import datetime

    from aggregator.caches import Caches
    from aggregator.status.explain import ExplainedQuality
    from aggregator.status.history import RunHistory, ServerHistory
    from shared.api.gameserverset import GameServerSet
    from shared.protocol.report import ProbeReport

T = TypeVar("T")
_Order = tuple[str, str, int, str]

# A server takes about 0.1 ms, so nobody waits for longer than a millisecond or two.
_SERVERS_AT_A_TIME = 10
# For how long the document of a set is good, at least; and as a multiple of what it took: a set of
# 10,000 servers takes a second or two, and looking it over must not be all that a leader does.
_FRESH_SECONDS = 1.0
_FRESH_FACTOR = 4.0
# Documents of the sets that somebody looks at now; each has up to half a megabyte.
_REMEMBERED_SETS = 8
# A set document stays below a megabyte; the list of servers has them all, part by part.
_MOST_SERVERS = 500
_MOST_DIGITS = 18
# Each part of a list sorts all keys, which are the same as of the part before.
_REMEMBERED_ORDERS = 20_000


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list is asked for.

    Attributes:
        namespace: empty for all.
        limit: number of items.
        after: the last item of the part before; None for the first part.
    """

    namespace: str
    limit: int
    after: ObjectKey | None = None


class StatusViews:
    """What is known now, as documents.

    Args:
        caches: filled by the reflectors, with the ledger.
        runs: of probes.
        history: of GameServers.
        wanted_revision: the probe list that the agents of a set should run.
        monotonic: seconds, of the ledger's clock.
        now: wall-clock time.
    """

    def __init__(
        self,
        caches: Caches,
        runs: RunHistory,
        history: ServerHistory,
        wanted_revision: Callable[[GameServerSet], str],
        monotonic: Callable[[], float] = monotonic_seconds,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._caches = caches
        self._runs = runs
        self._history = history
        self._wanted_revision = wanted_revision
        self._monotonic = monotonic
        self._now = now
        self._since = now()
        self._sets: AnswerCache[ObjectKey, documents.SetDocument | None] = AnswerCache(
            _REMEMBERED_SETS, _REMEMBERED_SETS, monotonic
        )
        self._one_survey = asyncio.Semaphore(1)

    def server(self, key: ObjectKey) -> documents.ServerDocument | None:
        """Return everything about one server, None when neither it nor its pod exists."""
        observed = self._observe(key)
        server, pod = observed.server, observed.pod
        if server is None and pod is None:
            return None
        uid = pod.metadata.uid if pod is not None else ""
        return documents.ServerDocument(
            summary=self._summary(key, observed),
            pod_uid=uid,
            network_disabled=server.spec.network_disabled if server is not None else None,
            agent=self._agent(observed),
            qualities=tuple(
                self._quality(each, observed.reports.get(each.name), uid)
                for each in explain(observed)
            ),
            actions=self._history.actions(key),
            transitions=self._history.transitions(key),
            observed_since=self._since,
        )

    async def game_server_set(self, key: ObjectKey) -> documents.SetDocument | None:
        """Return everything about one set, a moment old; None when it does not exist."""

        async def look() -> Remembered[documents.SetDocument | None]:
            async with self._one_survey:
                begin = self._monotonic()
                document = await self._look_over(key)
                took = self._monotonic() - begin
            return Remembered(document, max(_FRESH_SECONDS, _FRESH_FACTOR * took))

        return self._sets.fresh(key) or await self._sets.get(key, look)

    async def _look_over(self, key: ObjectKey) -> documents.SetDocument | None:
        owner = self._caches.sets.get(key)
        if owner is None:
            return None
        survey, now = _Survey(), self._now()
        found: list[tuple[_Order, documents.ServerSummary]] = []
        async for each in politely(self._keys_of(owner)):
            observed = self._observe(each)
            summary = self._summary(each, observed)
            survey.count(summary, observed)
            found.append((_order(each), summary))
        # To sort them all would take long, and nobody else gets the event loop meanwhile.
        shown = nsmallest(_MOST_SERVERS, found, key=itemgetter(0))
        return documents.SetDocument(
            summary=survey.summary(key, owner),
            generation=owner.metadata.generation,
            observed_generation=owner.status.observed_generation,
            conditions=tuple(
                documents.ConditionDocument(each.type, each.status, each.reason, each.message)
                for each in owner.status.conditions
            ),
            qualities=survey.qualities(owner),
            servers=tuple(summary for _, summary in shown),
            servers_omitted=survey.servers - len(shown),
            observed_at=now,
            observed_since=self._since,
        )

    async def servers(self, part: Part, game_server_set: str = "") -> documents.Page:
        """Return a part of the servers, of one set if it is named."""
        keys = self._caches.servers.keys()
        if game_server_set:
            keys = [
                key
                for key, server in self._caches.servers.items()
                if _is_of(self._caches.set_key_of(server), game_server_set)
            ]
        page, following = _page(keys, part)
        items = [self._summary(key, self._observe(key)) async for key in politely(page)]
        return documents.Page(tuple(items), following)

    async def game_server_sets(self, part: Part) -> documents.Page:
        """Return a part of the sets."""
        page, following = _page(self._caches.sets.keys(), part)
        items = []
        async with self._one_survey:
            for key in page:
                owner = self._caches.sets.get(key)
                if owner is None:
                    continue
                survey = _Survey()
                async for each in politely(self._keys_of(owner)):
                    survey.count(self._summary(each, self._observe(each)))
                items.append(survey.summary(key, owner))
        return documents.Page(tuple(items), following)

    def _keys_of(self, owner: GameServerSet) -> list[ObjectKey]:
        pods = self._caches.pods_of(owner)
        return [ObjectKey(pod.metadata.namespace, pod.metadata.name) for pod in pods]

    def _observe(self, key: ObjectKey) -> Observed:
        caches = self._caches
        pod, server = caches.pods.get(key), caches.servers.get(key)
        accepted = caches.ledger.get(pod.metadata.uid) if pod is not None else None
        probed = pod is not None and pod.is_probed
        owner = caches.set_of(pod) if pod is not None else None
        if pod is None and server is not None and (owner_key := set_key(server)) is not None:
            owner = caches.sets.get(owner_key)
        return Observed(
            pod=pod,
            server=server,
            owner=owner,
            report=accepted.report if accepted is not None else None,
            lost=probed
            and pod is not None
            and caches.ledger.is_lost(pod.metadata.uid, self._monotonic()),
            remembered_at=None,
            now=self._now(),
        )

    def _summary(self, key: ObjectKey, observed: Observed) -> documents.ServerSummary:
        server = observed.server
        spec = server.spec if server is not None else None
        item = observed.pod or server
        owner = set_key(item) if item is not None else None
        return documents.ServerSummary(
            namespace=key.namespace,
            name=key.name,
            game_server_set=owner.name if owner is not None else "",
            state=server.status.current_state if server is not None else "",
            ops_state=spec.ops_state if spec is not None else "",
            deletion_priority=spec.deletion_priority if spec is not None else 0,
            update_priority=spec.update_priority if spec is not None else 0,
            agent=self._agent_state(observed),
            verdicts={
                probe.name: f"{probe.status.value}({probe.result or probe.reason or 'empty'})"
                for probe in observed.reports.values()
            },
            deletion=spec.deletion.reason if spec is not None and spec.deletion else None,
        )

    def _agent(self, observed: Observed) -> documents.AgentDocument:
        state, pod, report = self._agent_state(observed), observed.pod, observed.report
        wanted = self._wanted_revision(observed.owner) if observed.owner is not None else None
        if pod is None or report is None:
            return documents.AgentDocument(state, wanted_probes_revision=wanted)
        ledger, now = self._caches.ledger, self._monotonic()
        accepted = ledger.get(pod.metadata.uid)
        return documents.AgentDocument(
            state=state,
            version=report.agent_version,
            epoch=report.epoch,
            sequence=report.sequence,
            received_at=accepted.received_at if accepted is not None else None,
            silent_seconds=round(ledger.seconds_silent(pod.metadata.uid, now), 1),
            lost_in_seconds=round(max(0.0, ledger.seconds_until_lost(pod.metadata.uid, now)), 1),
            probes_revision=report.probes_revision,
            wanted_probes_revision=wanted,
            containers=report.containers,
        )

    def _agent_state(self, observed: Observed) -> str:
        return agent_state(observed.pod, self._caches.ledger, self._monotonic())

    def _quality(
        self, explained: ExplainedQuality, verdict: ProbeReport | None, pod_uid: str
    ) -> documents.QualityDocument:
        return documents.QualityDocument(
            name=explained.name,
            permanent=explained.permanent,
            decision=explained.decision.value,
            message=explained.message,
            verdict=verdict,
            acted_on=explained.acted_on,
            actions=explained.actions,
            fields=explained.fields,
            runs=self._runs.runs(pod_uid, explained.name),
        )


class _Survey:
    """Counts over the servers of one set."""

    def __init__(self) -> None:
        self.servers = 0
        self._ops_states: Counter[str] = Counter()
        self._agents: Counter[str] = Counter()
        self._verdicts: dict[str, Counter[str]] = {}
        self._decisions: dict[str, Counter[str]] = {}

    def count(self, summary: documents.ServerSummary, observed: Observed | None = None) -> None:
        """Count one server; its qualities too if `observed` is given."""
        self.servers += 1
        self._ops_states[summary.ops_state] += 1
        self._agents[summary.agent] += 1
        if observed is None:
            return
        reports = observed.reports if summary.agent == REPORTING else {}
        for name, decision in decisions(observed).items():
            status = reports[name].status.value if name in reports else "Unknown"
            self._verdicts.setdefault(name, Counter())[status] += 1
            self._decisions.setdefault(name, Counter())[decision.value] += 1

    def summary(self, key: ObjectKey, owner: GameServerSet) -> documents.SetSummary:
        """Return the summary of the set."""
        return documents.SetSummary(
            namespace=key.namespace,
            name=key.name,
            replicas=owner.spec.replicas,
            current_replicas=owner.status.current_replicas,
            ready_replicas=owner.status.ready_replicas,
            ops_states=dict(sorted(self._ops_states.items())),
            agents=dict(sorted(self._agents.items())),
        )

    def qualities(self, owner: GameServerSet) -> tuple[documents.SetQuality, ...]:
        """Return the counts of each quality of the set."""
        return tuple(
            documents.SetQuality(
                quality.name,
                quality.permanent,
                dict(sorted(self._verdicts.get(quality.name, Counter()).items())),
                dict(sorted(self._decisions.get(quality.name, Counter()).items())),
            )
            for quality in owner.spec.service_qualities
        )


def _is_of(owner: ObjectKey | None, name: str) -> bool:
    return owner is not None and owner.name == name


async def politely(items: Sequence[T]) -> AsyncIterator[T]:
    """Yield items that take about 0.1 ms each, and let others run now and then."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % _SERVERS_AT_A_TIME == 0:
            await asyncio.sleep(0)


@lru_cache(maxsize=_REMEMBERED_ORDERS)
def _order(key: ObjectKey) -> _Order:
    """Return what sorts keys as people count: minecraft-2 before minecraft-10."""
    base = key.name.rstrip("0123456789")
    ordinal = key.name[len(base) :]
    if not 1 <= len(ordinal) <= _MOST_DIGITS:
        return key.namespace, key.name, -1, key.name
    return key.namespace, base, int(ordinal), key.name


def _page(keys: Iterable[ObjectKey], part: Part) -> tuple[list[ObjectKey], str | None]:
    wanted = sorted(
        (
            key
            for key in keys
            if (not part.namespace or key.namespace == part.namespace)
            and (part.after is None or _order(key) > _order(part.after))
        ),
        key=_order,
    )
    page = wanted[: part.limit]
    return page, str(page[-1]) if len(wanted) > part.limit else None
