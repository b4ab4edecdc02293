"""What KEDA is answered, from memory: the metric, and whether a set may be more than zero.

The numbers are pure (`aggregator.scaling.keda_metric`); what is kept here is time, which KEDA does
not tell us about:

- how long the answer has stayed above spec.replicas. After three minutes something holds the HPA
  back, most likely its own maximum, and the present spec becomes the cap: then marked servers are
  freed instead of waiting for growth that never comes.
- how long a set has been empty without a break. KEDA may take it to zero after a minute of that; a
  change in between starts it again, also one that comes and goes between two polls.

Errors are the fail-safe: KEDA changes nothing after one. So whatever is not certain is an error and
never a guess. What was seen of a set counts for a second, so that who asks a hundred times costs no
more than who asks once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from aggregator.keda.metadata import refuse_value
from aggregator.scaling.census import take_census
from aggregator.scaling.demand import demand
from aggregator.scaling.keda_metric import is_empty, metric
from shared.clock import monotonic_seconds, utc_now
from shared.errors import TerminalError, TransientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta

    from aggregator.keda.metadata import ScalerRequest
    from aggregator.kube.resources import ObjectKey
    from aggregator.scaling.census import Census
    from aggregator.scaling.policy import Snapshot

ABOVE_SECONDS = 180.0
EMPTY_SECONDS = 60.0
FRESH_SECONDS = 1.0
# A stream looks again after this time although it was told of no change: for windows that end.
_LOOK_SECONDS = 15.0
_MOST_TRACKED = 10_000
# A census of ten thousand servers holds as many references.
_MOST_SEEN = 500


class UnknownSet(TerminalError):  # noqa: N818 - it names the fault, as its siblings do
    """There is no such set."""


class NotReady(TransientError):  # noqa: N818 - as above
    """The caches are not whole, or another aggregator leads."""


@dataclass(frozen=True, slots=True)
class ScaledObjectFacts:
    """What a ScaledObject says that KEDA does not send.

    Attributes:
        max_replicas: maxReplicaCount.
        metric_type: of the trigger that asks; empty when it is not found.
    """

    max_replicas: int
    metric_type: str = ""


class ScalerPorts(Protocol):
    """What the answers are made from; nothing here waits."""

    def ready(self) -> bool:
        """Tell whether the caches are whole and this process leads."""

    def snapshot(self, set_key: ObjectKey) -> Snapshot | None:
        """Return a set and its servers, None when it does not exist."""

    def facts(self, request: ScalerRequest) -> ScaledObjectFacts | None:
        """Return what the ScaledObject says, None when that is not known (yet)."""

    def claim_marked(self, request: ScalerRequest) -> None:
        """Have marked servers of the set removed by name, when they are ripe."""


@dataclass(slots=True)
class _Track:
    """What is kept of one question: since when something has been so, in monotonic seconds."""

    request: ScalerRequest
    above_since: float | None = None
    above_spec: int = 0
    empty_since: float | None = None


class Answers:
    """Answers questions about sets.

    Args:
        ports: where the sets come from.
    """

    def __init__(self, ports: ScalerPorts) -> None:
        self._ports = ports
        self._tracks: OrderedDict[ScalerRequest, _Track] = OrderedDict()
        # By set and dwell, which all questions about it share: the census, and when it was taken.
        self._seen: OrderedDict[tuple[ObjectKey, timedelta], tuple[Census, float]] = OrderedDict()
        # By set: the questions about it for which a minute of emptiness runs.
        self._emptying: dict[ObjectKey, set[ScalerRequest]] = {}
        self._changes: dict[ObjectKey, asyncio.Event] = {}
        self._closed = False

    def metric(self, request: ScalerRequest) -> int:
        """Return how many servers there should be.

        Raises:
            UnknownSet: there is no such set.
            NotReady: it is not known.
            UnsuitableMetric: KEDA's HPA would not understand the number.
        """
        track, census = self._look(request)
        facts = self._ports.facts(request)
        rules = request.rules
        if facts is not None:
            refuse_value(facts.metric_type)
            rules = replace(rules, cap=facts.max_replicas if rules.cap is None else rules.cap)
        if rules.claims:
            self._ports.claim_marked(request)
        answer = metric(census, request.policy, rules)
        if rules.cap is None and self._stayed_above(track, answer, census.spec):
            return metric(census, request.policy, replace(rules, cap=census.spec))
        return answer

    def is_active(self, request: ScalerRequest) -> bool:
        """Tell whether the set may be more than zero.

        Raises:
            UnknownSet: there is no such set.
            NotReady: it is not known.
        """
        track, census = self._look(request)
        if census.spec == 0:
            return demand(census, request.policy).deficit > 0
        since = track.empty_since
        return since is None or monotonic_seconds() - since < EMPTY_SECONDS

    async def activations(self, request: ScalerRequest) -> AsyncIterator[None]:
        """Yield at once if the set may be more than zero, and each time that it becomes so.

        It never says the opposite: KEDA would take the set to zero on the word of one moment. It
        ends when the scaler stops.

        Raises:
            UnknownSet: there is no such set.
            NotReady: it is not known.
        """
        was_active = False
        while not self._closed:
            is_active = self.is_active(request)
            if is_active and not was_active:
                yield
            was_active = is_active
            await self._change(request.set_key)
            # A set of a thousand servers changes all the time; what was seen has to be old first.
            await asyncio.sleep(FRESH_SECONDS)

    def changed(self, set_key: ObjectKey) -> None:
        """Note that a set or one of its servers changed."""
        event = self._changes.pop(set_key, None)
        if event is not None:
            event.set()
        # What comes and goes between two polls breaks the minute, too. Such sets are small.
        emptying = list(self._emptying.get(set_key, ()))
        if emptying and self._ports.ready():
            for request in emptying:
                self._note(self._tracks[request], self._take_census(request))

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for event in self._changes.values():
            event.set()
        self._changes.clear()

    def _look(self, request: ScalerRequest) -> tuple[_Track, Census]:
        if not self._ports.ready():
            raise NotReady("NotReady", "the caches are not whole yet, or another aggregator leads")
        census, taken_at = self._seen.get(_seen_key(request), (None, 0.0))
        if census is None or monotonic_seconds() - taken_at >= FRESH_SECONDS:
            census = self._take_census(request)
        if census is None:
            message = (
                f"there is no GameServerSet {request.set_key}: name the ScaledObject like the "
                "set, or set gameServerSet in the trigger's metadata"
            )
            raise UnknownSet("UnknownSet", message)
        track = self._tracks.setdefault(request, _Track(request))
        self._tracks.move_to_end(request)
        if len(self._tracks) > _MOST_TRACKED:
            oldest, _ = self._tracks.popitem(last=False)
            self._note_emptying(oldest, False)
        self._note(track, census)
        return track, census

    def _take_census(self, request: ScalerRequest) -> Census | None:
        """Look at a set now; None when it does not exist."""
        key = _seen_key(request)
        snapshot = self._ports.snapshot(request.set_key)
        if snapshot is None:
            self._seen.pop(key, None)
            return None
        census = take_census(snapshot, request.policy, utc_now())
        self._seen[key] = census, monotonic_seconds()
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        return census

    def _note(self, track: _Track, census: Census | None) -> None:
        """Note whether the set of a question is empty."""
        if census is None or not is_empty(census, track.request.policy):
            track.empty_since = None
        elif track.empty_since is None:
            track.empty_since = monotonic_seconds()
        self._note_emptying(track.request, track.empty_since is not None)

    def _note_emptying(self, request: ScalerRequest, runs: bool) -> None:
        requests = self._emptying.setdefault(request.set_key, set())
        if runs:
            requests.add(request)
        else:
            requests.discard(request)
        if not requests:
            del self._emptying[request.set_key]

    def _stayed_above(self, track: _Track, answer: int, spec: int) -> bool:
        """Tell whether the answer has been above the same spec for long."""
        now = monotonic_seconds()
        if answer <= spec:
            track.above_since = None
            return False
        if track.above_since is None or track.above_spec != spec:
            track.above_since, track.above_spec = now, spec
        return now - track.above_since >= ABOVE_SECONDS

    async def _change(self, set_key: ObjectKey) -> None:
        """Wait until the set changes, or for a while."""
        event = self._changes.setdefault(set_key, asyncio.Event())
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await event.wait()
        except TimeoutError:
            return


def _seen_key(request: ScalerRequest) -> tuple[ObjectKey, timedelta]:
    return request.set_key, request.policy.wait_to_be_deleted
