"""The reflector against a scripted API server, in virtual time."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from aggregator.kube.errors import Expired, Rejected, Throttled, Unavailable
from aggregator.kube.reflector import Pace, Reflector
from aggregator.kube.resources import PODS, ObjectKey
from aggregator.kube.store import Store
from aggregator.kube.transport import Selection
from shared.backoff import Backoff
from tests.support.kube import FakeKubeClient

pytestmark = pytest.mark.looptime

Change = tuple[str | None, str | None]


def decode(raw: bytes) -> str:
    """An object is its `value`; one without is what the API server let in and we cannot read."""
    value = json.loads(raw).get("value")
    if value is None:
        raise ValueError("has no value")
    return str(value)


def event(kind: str, name: str, version: int, uid: str = "", **fields: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "games",
        "name": name,
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
    }
    return {"type": kind, "object": {"metadata": metadata, **fields}}


def bookmark(version: int) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


class Observed:
    """A reflector that runs for some time and what could be seen of it."""

    def __init__(self, client: FakeKubeClient) -> None:
        self.client = client
        self.changes: list[Change] = []
        self.store: Store[str] = Store()
        self.list_times: list[float] = []

    def saw(self, old: str | None, new: str | None) -> None:
        self.changes.append((old, new))

    async def run(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        pace = Pace(Backoff(1.0, 8.0), share=lambda: 0.0, monotonic=loop.time)
        reflector = Reflector(self.client, Selection(PODS), self.store, decode, self.saw, pace=pace)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await reflector.run()
        self.synced = reflector.synced.is_set()

    @property
    def objects(self) -> dict[str, str]:
        return {key.name: value for key, value in self.store.items()}


@pytest.fixture
def client() -> FakeKubeClient:
    return FakeKubeClient()


@pytest.fixture
def observed(client: FakeKubeClient) -> Observed:
    return Observed(client)


async def test_a_list_fills_the_store_and_the_watch_goes_on_from_its_version(
    client: FakeKubeClient, observed: Observed
) -> None:
    client.put(PODS, "a", value="1")
    client.put(PODS, "b", value="2")
    client.watches["pods"].append(
        [
            event("ADDED", "c", 103, value="3"),
            event("MODIFIED", "a", 104, value="4"),
            event("DELETED", "b", 105, value="2"),
            asyncio.Event(),
        ]
    )
    await observed.run(10)
    assert (observed.objects, observed.synced) == ({"a": "4", "c": "3"}, True)
    assert observed.changes == [(None, "1"), (None, "2"), (None, "3"), ("1", "4"), ("2", None)]
    assert client.watched_from == ["102"]


async def test_a_broken_watch_is_resumed_from_the_last_version_without_a_list(
    client: FakeKubeClient, observed: Observed
) -> None:
    client.watches["pods"].extend(
        [
            [event("ADDED", "a", 103, value="1"), 5.0],
            [bookmark(150), Unavailable("ConnectionFailed", "reset")],
            [5.0],
        ]
    )
    await observed.run(20)
    assert client.watched_from == ["100", "103", "150", "150"]
    assert client.calls == [("list", "pods")]
    assert observed.changes == [(None, "1")]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(Expired("Expired", "too old"), id="410 as status"),
        pytest.param(
            {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}},
            id="410 inside the stream",
        ),
        pytest.param(b"<html>", id="a line that is no JSON"),
        pytest.param(b'{"type":"ADDED","object":{"kind":"Pod"}}', id="an object without metadata"),
    ],
)
async def test_after_a_gap_the_list_tells_every_difference_that_nobody_told(
    client: FakeKubeClient, observed: Observed, damage: Any
) -> None:
    client.put(PODS, "same", value="same")
    client.put(PODS, "changed", value="old")
    client.put(PODS, "gone", value="gone")
    client.put(PODS, "replaced", uid="u1", value="first")
    proceed = asyncio.Event()
    client.watches["pods"].append([proceed, damage])
    async with asyncio.TaskGroup() as group:
        group.create_task(observed.run(20))
        await asyncio.sleep(2)
        observed.changes.clear()
        client.put(PODS, "changed", value="new")
        del client.objects["pods", ObjectKey("games", "gone")]
        client.put(PODS, "replaced", uid="u2", value="second")
        client.put(PODS, "added", value="added")
        proceed.set()
    assert observed.changes == [
        ("old", "new"),
        ("first", None),
        (None, "second"),
        (None, "added"),
        ("gone", None),
    ]
    assert observed.objects == {
        "same": "same",
        "changed": "new",
        "replaced": "second",
        "added": "added",
    }


async def test_an_object_that_cannot_be_decoded_is_said_once_and_stops_nothing(
    client: FakeKubeClient, observed: Observed
) -> None:
    client.put(PODS, "good", value="1")
    client.put(PODS, "bad")
    client.watches["pods"].append(
        [
            event("MODIFIED", "bad", 103),
            event("MODIFIED", "good", 104),
            event("ADDED", "next", 105, value="2"),
            event("MODIFIED", "bad", 106, value="repaired"),
            asyncio.Event(),
        ]
    )
    with capture_logs() as logs:
        await observed.run(10)
    # The last good version of an object stays when a newer one cannot be read.
    assert observed.objects == {"good": "1", "next": "2", "bad": "repaired"}
    assert [line["key"] for line in logs if line["log_level"] == "error"] == [
        "games/bad",
        "games/good",
    ]


async def test_a_namesake_that_cannot_be_decoded_does_not_pass_for_the_one_before(
    client: FakeKubeClient, observed: Observed
) -> None:
    client.put(PODS, "a", uid="u1", value="1")
    client.watches["pods"].append([event("MODIFIED", "a", 103, uid="u2"), asyncio.Event()])
    await observed.run(5)
    assert (observed.objects, observed.changes) == ({}, [(None, "1"), ("1", None)])


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param([], id="EOF at once"),
        pytest.param([Unavailable("Http500", "broken")], id="500"),
        pytest.param([Rejected("Forbidden", "no right", 403)], id="403, which can be granted"),
        pytest.param([b"garbage"], id="garbage"),
    ],
)
async def test_a_server_that_always_fails_is_asked_ever_more_slowly(
    client: FakeKubeClient, observed: Observed, failure: list[Any]
) -> None:
    client.watches["pods"].extend([list(failure) for _ in range(100)])
    await observed.run(60)
    # Waits of 0.5, 1, 2, 4, 4, ... seconds.
    assert len(client.watched_from) == 18


async def test_a_list_that_fails_is_made_again_and_retry_after_is_kept(
    client: FakeKubeClient, observed: Observed
) -> None:
    client.put(PODS, "a", value="1")
    client.failures["list"].extend(
        [Unavailable("ConnectionFailed", "refused"), Throttled("TooManyRequests", "wait", 30.0)]
    )
    await observed.run(29)
    assert (observed.synced, observed.objects) == (False, {})
    client.failures["list"].append(Throttled("TooManyRequests", "wait", 30.0))
    await observed.run(31)
    assert (observed.synced, observed.objects) == (True, {"a": "1"})


async def test_a_good_event_ends_a_row_of_failures(
    client: FakeKubeClient, observed: Observed
) -> None:
    down = Unavailable("ConnectionFailed", "refused")
    good = [event("ADDED", "a", 103, value="1"), down]
    client.watches["pods"].extend([[down], [down], [down], good, [down]])
    with capture_logs() as logs:
        await observed.run(30)
    assert [line["failures"] for line in logs] == [1, 2, 3, 1, 2]


async def test_a_big_list_lets_other_tasks_run(client: FakeKubeClient, observed: Observed) -> None:
    for number in range(1000):
        client.put(PODS, f"p{number}", value=str(number))
    turns: list[int] = []

    async def count() -> None:
        while len(observed.store) < 1000:
            turns.append(len(observed.store))
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(observed.run(1))
        group.create_task(count())
    assert max(after - before for before, after in pairwise(turns)) <= 64


async def test_a_refresh_lists_again_and_says_when_the_store_equals_that(
    client: FakeKubeClient,
) -> None:
    """The watch lags without a sign of it: what it does not tell is found all the same."""
    store: Store[str] = Store()
    changes: list[Change] = []
    client.put(PODS, "a", value="1")
    reflector = Reflector(
        client, Selection(PODS), store, decode, lambda old, new: changes.append((old, new))
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reflector.run())
        await reflector.synced.wait()
        await asyncio.sleep(1)
        client.put(PODS, "b", value="2")
        await asyncio.sleep(60)
        assert [key.name for key in store.keys()] == ["a"]  # noqa: SIM118 - a store is no dict
        await reflector.refresh()
        assert [key.name for key in store.keys()] == ["a", "b"]  # noqa: SIM118
        await asyncio.sleep(1)
        running.cancel()
    assert (changes, client.watched_from) == ([(None, "1"), (None, "2")], ["101", "102"])


async def test_a_refresh_that_comes_while_a_list_is_made_has_another_made(
    client: FakeKubeClient,
) -> None:
    """The list may have begun before what it is asked for was written."""
    store: Store[str] = Store()
    reflector = Reflector(client, Selection(PODS), store, decode, lambda _old, _new: None)
    async with asyncio.TaskGroup() as tasks:
        refreshing = tasks.create_task(reflector.refresh())
        await asyncio.sleep(0)
        running = tasks.create_task(reflector.run())
        await refreshing
        again = tasks.create_task(reflector.refresh())
        await again
        running.cancel()
    assert client.calls == [("list", "pods")] * 2


async def test_an_object_that_is_none_of_ours_does_not_exist(client: FakeKubeClient) -> None:
    store: Store[str] = Store()
    changes: list[Change] = []

    def ours(raw: bytes) -> str | None:
        value = decode(raw)
        return None if value == "foreign" else value

    client.put(PODS, "a", value="1")
    client.put(PODS, "b", value="foreign")
    client.watches["pods"].append(
        [
            event("MODIFIED", "b", 103, value="foreign"),
            event("MODIFIED", "a", 104, value="foreign"),
            event("DELETED", "b", 105, value="foreign"),
            asyncio.Event(),
        ]
    )
    reflector = Reflector(
        client, Selection(PODS), store, ours, lambda old, new: changes.append((old, new))
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await reflector.run()
    assert (changes, len(store)) == ([(None, "1"), ("1", None)], 0)


async def test_a_refused_list_has_been_tried_and_one_that_got_no_answer_has_not(
    client: FakeKubeClient,
) -> None:
    client.failures["list"].extend(
        [Unavailable("Away", "no answer"), Rejected("Forbidden", "nodes is forbidden", 403)]
    )
    reflector = Reflector(
        client,
        Selection(PODS),
        Store(),
        decode,
        lambda _old, _new: None,
        Pace(Backoff(1.0, 8.0), share=lambda: 0.0),
    )
    seen = []
    with capture_logs():
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reflector.run())
            for _ in range(3):
                await asyncio.sleep(0.3)
                seen.append((reflector.tried.is_set(), reflector.synced.is_set()))
            await asyncio.sleep(2)
            seen.append((reflector.tried.is_set(), reflector.synced.is_set()))
            running.cancel()
    assert seen == [(False, False), (True, False), (True, False), (True, True)]
