"""Who leads, from what is seen of the lease; and that there are never two, whatever happens."""

from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from aggregator.kube.election import (
    Create,
    LeaseRecord,
    LeaseTimes,
    Renew,
    Sighting,
    Take,
    Wait,
    claimed_spec,
    decide,
    parse_lease,
    released_spec,
    sight,
)
from aggregator.kube.errors import Unavailable
from aggregator.kube.leadership import Leadership
from aggregator.kube.lease import Candidate, LeaderElection
from aggregator.kube.resources import ObjectKey
from tests.support.memory_cluster import MemoryCluster

LEASE = ObjectKey("gamekeeper-system", "gamekeeper-aggregator")
EARLIER = "2026-01-02T03:00:00.000000Z"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
STAMP = "2026-01-02T03:04:05.678901Z"


def record(holder: str = "other", **fields: Any) -> LeaseRecord:
    known = {"duration": 15, "acquired": EARLIER, "transitions": 3, "resource_version": "7"}
    return LeaseRecord(holder=holder, **(known | fields))


@pytest.mark.parametrize(
    ("seen", "since", "now", "step"),
    [
        pytest.param(None, 0, 0, Create(), id="there is no lease"),
        pytest.param(record("me"), 0, 0, Renew(), id="mine"),
        pytest.param(record("me"), 0, 1000, Renew(), id="mine for long"),
        pytest.param(record(""), 100, 100, Take(), id="released"),
        pytest.param(record(), 100, 100, Wait("other"), id="another's, just seen"),
        pytest.param(record(), 100, 114.9, Wait("other"), id="another's, almost over"),
        pytest.param(record(), 100, 115, Take(), id="another's, over"),
        pytest.param(record(duration=60), 100, 115, Wait("other"), id="its own duration counts"),
        pytest.param(record(duration=1), 100, 101, Take(), id="a short one"),
    ],
)
def test_a_candidate_takes_only_what_nobody_keeps(seen, since, now, step) -> None:
    assert decide(Sighting(seen, since), "me", now) == step


def test_a_record_is_watched_from_when_it_was_first_seen() -> None:
    first = sight(None, record(), 10)
    again = sight(first, record(), 20)
    renewed = sight(again, record(resource_version="8"), 30)
    assert (first, again, renewed) == (
        Sighting(record(), 10),
        Sighting(record(), 10),
        Sighting(record(resource_version="8"), 30),
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            {
                "holderIdentity": "other",
                "leaseDurationSeconds": 30,
                "acquireTime": EARLIER,
                "leaseTransitions": 3,
            },
            record(duration=30),
            id="whole",
        ),
        pytest.param(None, record("", acquired="", transitions=0), id="empty"),
        pytest.param(
            {"holderIdentity": None, "leaseDurationSeconds": None, "leaseTransitions": None},
            record("", acquired="", transitions=0),
            id="emptied by a person",
        ),
    ],
)
def test_a_lease_is_read_as_other_programs_write_it(spec, expected) -> None:
    assert parse_lease({"metadata": {"resourceVersion": "7"}, "spec": spec}) == expected


@pytest.mark.parametrize(
    ("before", "acquired", "transitions"),
    [
        pytest.param(None, STAMP, 0, id="the first"),
        pytest.param(record("me"), EARLIER, 3, id="renewed"),
        pytest.param(record("other"), STAMP, 4, id="taken from another"),
        pytest.param(record(""), STAMP, 4, id="taken from nobody"),
    ],
)
def test_the_lease_says_since_when_and_after_how_many(before, acquired, transitions) -> None:
    assert claimed_spec(before, "me", 15, NOW) == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": acquired,
        "renewTime": STAMP,
        "leaseTransitions": transitions,
    }


def test_a_released_lease_names_nobody_and_is_over_at_once() -> None:
    assert released_spec(NOW) == {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "renewTime": STAMP,
    }


@pytest.mark.parametrize("times", [(15, 15.0, 2.0), (15, 10.0, 10.0), (15, 10.0, 0.0)])
def test_times_that_let_two_lead_are_refused(times) -> None:
    with pytest.raises(ValueError, match="retry_period < renew_deadline < duration"):
        LeaseTimes(*times)


def test_times_keep_their_proportions() -> None:
    assert LeaseTimes.of_duration(15) == LeaseTimes(15, 10.0, 2.0) == LeaseTimes()


# -- never two ---------------------------------------------------------------------------------


class _Turn:
    """Hands control to the test: a request or an answer is on its way."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass
class _Lab:
    """Candidates on one API server, each with a clock of its own; the test is the scheduler."""

    offsets: tuple[float, ...]
    rates: tuple[float, ...]
    now: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster()
        self.leaderships = [
            Leadership(lambda i=i: self.offsets[i] + self.now * self.rates[i])
            for i in range(len(self.offsets))
        ]
        self.candidates = [
            LeaderElection(self, Candidate(LEASE, f"candidate-{i}"), leadership)  # type: ignore[arg-type]
            for i, leadership in enumerate(self.leaderships)
        ]
        self.running: list[Coroutine[Any, Any, bool] | None] = [None] * len(self.candidates)

    async def _request(self, verb: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        await _Turn()
        fault = self.faults.pop() if self.faults else "none"
        if fault == "request lost":
            raise Unavailable("Lost", "the request was lost", outcome_unknown=True)
        answer = _finish(verb(*args))
        await _Turn()
        if fault == "answer lost":
            raise Unavailable("Lost", "the answer was lost", outcome_unknown=True)
        return answer

    async def get(self, *args: Any) -> Any:
        return await self._request(self.cluster.get, *args)

    async def create(self, *args: Any) -> Any:
        return await self._request(self.cluster.create, *args)

    async def patch(self, *args: Any) -> Any:
        return await self._request(self.cluster.patch, *args)

    def step(self, number: int) -> None:
        """Let one candidate go on to its next request or answer."""
        attempt = self.running[number]
        if attempt is None:
            attempt = self.running[number] = self.candidates[number]._attempt()
        try:
            attempt.send(None)
        except StopIteration:
            self.running[number] = None

    def leaders(self) -> list[int]:
        return [i for i, leadership in enumerate(self.leaderships) if leadership.leading]

    def close(self) -> None:
        for attempt in self.running:
            if attempt is not None:
                attempt.close()


def _finish(effect: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine of the fake, which only ever yields to the event loop."""
    try:
        while True:
            effect.send(None)
    except StopIteration as stop:
        return stop.value


# What happens next. An attempt of a standby takes five steps, a renewal three; the waits are on
# both sides of every limit there is.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2), st.integers(1, 6)),
        st.sampled_from([1.0, 2.0, 4.0, 8.0, 10.0, 11.0, 14.0, 16.0, 18.0]),
        st.sampled_from(["request lost", "answer lost"]),
    ),
    min_size=8,
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(
    steps=STEPS,
    offsets=st.tuples(*[st.floats(0, 1e6)] * 3),
    rates=st.tuples(*[st.floats(0.85, 1.15)] * 3),
)
def test_there_are_never_two_leaders_whatever_is_lost_or_paused(steps, offsets, rates) -> None:
    """A pair lets a candidate go on, a number lets time pass, a word is the next fault.

    Clocks differ by their offsets and drift; a candidate that gets no step is a paused process.
    """
    lab = _Lab(offsets, rates)
    with capture_logs():
        for step in steps:
            match step:
                case (number, times):
                    for _ in range(times):
                        lab.step(number)
                case float():
                    lab.now += step
                case _:
                    lab.faults.append(step)
            assert len(lab.leaders()) <= 1
    lab.close()


def test_the_laboratory_does_elect_one_after_the_other() -> None:
    """A property about leaders says nothing where nobody ever leads."""
    lab = _Lab((0.0, 50.0, 7.0), (1.0, 1.0, 1.0))
    led: list[list[int]] = []
    with capture_logs():
        # The first is paused for good after a while; the two others go on looking.
        for steps in ([0, 0, 1, 1, 2, 2] * 4, [1, 1, 2, 2] * 8):
            for number in steps:
                lab.step(number)
                lab.now += 1
                led.append(lab.leaders())
    lab.close()
    assert [key for key, _ in groupby(led)][:4] == [[], [0], [], [1]]


@pytest.mark.parametrize(
    ("late", "leaders"), [pytest.param(9, [0], id="in time"), pytest.param(10, [], id="too late")]
)
def test_a_term_counts_from_the_request_not_from_its_answer(late, leaders) -> None:
    lab = _Lab((0.0,), (1.0,))
    for _ in range(4):  # there is none, it is created: two requests, two answers on their way
        lab.step(0)
    lab.now += late
    lab.step(0)
    assert (lab.running, lab.leaders()) == ([None], leaders)
