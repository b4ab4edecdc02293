"""Events are written in the background, counted up, limited, and never in anybody's way."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from structlog.testing import capture_logs

from aggregator.kube.errors import Rejected, Throttled, Unavailable
from aggregator.kube.events import EventRecorder
from aggregator.kube.resources import EVENTS, GAMESERVERS, NODES, ObjectKey, ObjectReference
from tests.support.kube import FakeKubeClient

pytestmark = pytest.mark.looptime

SERVER = ObjectReference(GAMESERVERS, ObjectKey("games", "a-0"), "uid-a-0")
OTHER = ObjectReference(GAMESERVERS, ObjectKey("games", "a-1"), "uid-a-1")


@pytest.fixture
def client() -> FakeKubeClient:
    return FakeKubeClient()


@pytest.fixture
def recorder(client: FakeKubeClient) -> EventRecorder:
    return EventRecorder(client, monotonic=lambda: asyncio.get_running_loop().time())


async def written(recorder: EventRecorder) -> None:
    """Let the recorder write all it has."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(recorder.run())
        await recorder.flush()
        running.cancel()


def stored(client: FakeKubeClient) -> list[dict[str, Any]]:
    return [value for (plural, _), value in client.objects.items() if plural == EVENTS.plural]


async def test_an_event_says_what_happened_to_which_object(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    recorder.record(SERVER, "Warning", "GsStateChanged", "None -> Maintaining")
    assert client.calls == []
    await written(recorder)
    [event] = stored(client)
    name = event["metadata"].pop("name")
    assert name.startswith("a-0.")
    assert event.pop("firstTimestamp") == event.pop("lastTimestamp")
    del event["metadata"]["uid"], event["metadata"]["resourceVersion"]
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "games"},
        "involvedObject": {
            "apiVersion": "game.kruise.io/v1alpha1",
            "kind": "GameServer",
            "namespace": "games",
            "name": "a-0",
            "uid": "uid-a-0",
        },
        "reason": "GsStateChanged",
        "message": "None -> Maintaining",
        "type": "Warning",
        "count": 1,
        "source": {"component": "gamekeeper"},
        "reportingComponent": "gamekeeper",
    }


async def test_the_same_event_again_is_counted_and_another_one_is_written(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    for message in ("x", "x", "y", "x"):
        recorder.record(SERVER, "Normal", "R", message)
    recorder.record(OTHER, "Normal", "R", "x")
    await written(recorder)
    counts = [(e["involvedObject"]["name"], e["message"], e["count"]) for e in stored(client)]
    assert counts == [("a-0", "x", 3), ("a-0", "y", 1), ("a-1", "x", 1)]


async def test_after_ten_minutes_the_same_event_is_a_new_one(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    for _ in range(2):
        recorder.record(SERVER, "Normal", "R", "x")
        await written(recorder)
        await asyncio.sleep(601)
    assert [event["count"] for event in stored(client)] == [1, 1]


async def test_an_event_that_the_server_forgot_is_written_again(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    recorder.record(SERVER, "Normal", "R", "x")
    await written(recorder)
    client.objects.clear()
    recorder.record(SERVER, "Normal", "R", "x")
    await written(recorder)
    assert [event["count"] for event in stored(client)] == [1]


async def test_an_object_that_talks_without_end_is_muted_alone(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    for number in range(40):
        recorder.record(SERVER, "Normal", "R", str(number))
    recorder.record(OTHER, "Normal", "R", "heard")
    await written(recorder)
    assert (len(stored(client)), recorder.outcomes) == (26, Counter(muted=15, written=26))
    await asyncio.sleep(301)
    recorder.record(SERVER, "Normal", "R", "one more after five minutes")
    recorder.record(SERVER, "Normal", "R", "and no second one")
    await written(recorder)
    assert recorder.outcomes == Counter(muted=16, written=27)


async def test_an_api_server_that_is_away_for_a_moment_loses_no_event(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    client.failures["create"].extend(
        [Unavailable("ConnectionFailed", "refused"), Throttled("TooManyRequests", "wait", 20.0)]
    )
    recorder.record(SERVER, "Normal", "R", "x")
    start = asyncio.get_running_loop().time()
    await written(recorder)
    assert len(stored(client)) == 1
    assert asyncio.get_running_loop().time() - start == pytest.approx(20.5)


async def test_a_lost_answer_makes_no_second_event(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    create = client.create

    async def create_and_lose_the_answer(resource, namespace, body):
        client.create = create  # type: ignore[method-assign]
        await create(resource, namespace, body)
        raise Unavailable("Timeout", "no answer", outcome_unknown=True)

    client.create = create_and_lose_the_answer  # type: ignore[method-assign]
    recorder.record(SERVER, "Normal", "R", "x")
    await written(recorder)
    assert (len(stored(client)), recorder.outcomes) == (1, Counter(written=1))


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param([Rejected("Forbidden", "no right", 403)], id="refused"),
        pytest.param([Unavailable("ConnectionFailed", "refused")] * 4, id="away for long"),
    ],
)
async def test_what_cannot_be_written_is_dropped_and_the_next_one_is_written(
    client: FakeKubeClient, recorder: EventRecorder, failures: list[Exception]
) -> None:
    client.failures["create"].extend(failures)
    recorder.record(SERVER, "Normal", "R", "lost")
    recorder.record(SERVER, "Normal", "R", "kept")
    with capture_logs() as logs:
        await written(recorder)
    assert [event["message"] for event in stored(client)] == ["kept"]
    assert recorder.outcomes == Counter(failed=1, written=1)
    assert [line["event"] for line in logs] == ["event dropped"]


async def test_a_full_queue_drops_instead_of_waiting(client: FakeKubeClient) -> None:
    recorder = EventRecorder(client, capacity=1)
    recorder.record(SERVER, "Normal", "R", "x")
    recorder.record(SERVER, "Normal", "R", "y")
    assert recorder.outcomes == Counter(overflowed=1)


async def test_names_and_messages_stay_within_the_limits_of_the_api(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    node = ObjectReference(NODES, ObjectKey("", "n" * 253), "uid-n")
    recorder.record(node, "Normal", "R", "x" * 5000)
    await written(recorder)
    [event] = stored(client)
    assert (
        len(event["metadata"]["name"]),
        event["metadata"]["namespace"],
        len(event["message"]),
    ) == (253, "default", 1024)


async def ended_while(recorder: EventRecorder, *busy_with: str) -> float:
    """Record events, let the term end once the first of them is being written; return how long."""
    for message in busy_with:
        recorder.record(SERVER, "Normal", "R", message)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(recorder.run())
        await asyncio.sleep(0.01)
        since = asyncio.get_running_loop().time()
        running.cancel()
    return asyncio.get_running_loop().time() - since


async def test_what_waits_at_the_end_of_a_term_is_written(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    client.failures["create"].append(Throttled("TooMany", "slow down"))
    await ended_while(recorder, "a", "b", "c")
    assert [event["message"] for event in stored(client)] == ["a", "b", "c"]
    assert recorder.outcomes == Counter(written=3)


async def test_an_event_that_is_cut_off_by_the_end_is_written_once(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    create = client.create

    async def create_and_never_answer(resource, namespace, body):
        client.create = create  # type: ignore[method-assign]
        await create(resource, namespace, body)
        await asyncio.Event().wait()

    client.create = create_and_never_answer  # type: ignore[method-assign]
    await ended_while(recorder, "a", "b")
    assert [event["message"] for event in stored(client)] == ["a", "b"]


async def test_the_end_waits_half_a_second_at_most(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    client.create = never  # type: ignore[method-assign, assignment]
    with capture_logs() as logs:
        assert await ended_while(recorder, "a", "b") == pytest.approx(0.5)
    assert recorder.outcomes == Counter(failed=2)
    assert [(line["event"], line["count"], line["reason"]) for line in logs] == [
        ("events dropped", 2, "Timeout")
    ]


async def test_the_end_asks_a_server_that_is_away_once(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    client.failures["create"].extend([Unavailable("ConnectionFailed", "refused")] * 3)
    with capture_logs() as logs:
        assert await ended_while(recorder, "a", "b") == 0.0
    assert (len(client.calls), recorder.outcomes) == (2, Counter(failed=2))
    assert [(line["event"], line["reason"]) for line in logs] == [
        ("events dropped", "ConnectionFailed")
    ]


async def test_one_that_is_refused_at_the_end_does_not_hold_up_the_others(
    client: FakeKubeClient, recorder: EventRecorder
) -> None:
    client.failures["create"].extend(
        [Unavailable("ConnectionFailed", "refused"), Rejected("Forbidden", "no right", 403)]
    )
    with capture_logs():
        await ended_while(recorder, "a", "b")
    assert [event["message"] for event in stored(client)] == ["b"]
    assert recorder.outcomes == Counter(failed=1, written=1)
