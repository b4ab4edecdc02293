"""The gate: what passes it, and what does not."""

import asyncio
from typing import Any

import pytest

from aggregator.kube.errors import NotLeading, Unavailable
from aggregator.kube.fenced import FencedClient
from aggregator.kube.leadership import Leadership
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import (
    GAMESERVERS,
    LEASES,
    PODS,
    SUBJECTACCESSREVIEWS,
    TOKENREVIEWS,
    ObjectKey,
)
from aggregator.kube.transport import Selection
from tests.support.kube import FakeKubeClient

KEY = ObjectKey("games", "minecraft-0")
PATCH = MergePatch({"spec": {"opsState": "None"}})

WRITES = {
    "create": lambda client: client.create(PODS, "games", {"metadata": {"name": "new"}}),
    "patch": lambda client: client.patch(GAMESERVERS, KEY, PATCH),
    "patch of a status": lambda client: client.patch(GAMESERVERS, KEY, PATCH, "status"),
    "patch of a lease": lambda client: client.patch(LEASES, KEY, PATCH),
    "delete": lambda client: client.delete(PODS, KEY, uid="uid-minecraft-0"),
}


async def _list(client: FencedClient) -> Any:
    return await client.list(PODS)


async def _watch(client: FencedClient) -> Any:
    async for line in client.watch(Selection(PODS), "1", 60):
        return line
    return None


READS = {
    "get": lambda client: client.get(GAMESERVERS, KEY),
    "list": _list,
    "watch": _watch,
    "review of a token": lambda client: client.create(TOKENREVIEWS, "", {"metadata": {}}),
    "review of an access": lambda client: client.create(SUBJECTACCESSREVIEWS, "", {"spec": {}}),
}


def lab(seconds: float | None) -> tuple[FakeKubeClient, FencedClient]:
    """A fake API server, and the gate of a process that leads for so long, or not at all."""
    kube = FakeKubeClient()
    for resource in (GAMESERVERS, PODS, LEASES):
        kube.put(resource, "minecraft-0")
    kube.watches[PODS.plural].append([{"type": "BOOKMARK"}])
    leadership = Leadership(lambda: 100.0)
    if seconds is not None:
        leadership.extend(100.0 + seconds)
    return kube, FencedClient(kube, leadership)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "seconds", [pytest.param(None, id="never led"), pytest.param(0, id="the lease is over")]
)
async def test_who_does_not_lead_writes_nothing(write: str, seconds: float | None) -> None:
    kube, client = lab(seconds)
    with pytest.raises(NotLeading):
        await WRITES[write](client)
    assert kube.calls == []


@pytest.mark.parametrize("write", WRITES)
async def test_the_leader_writes(write: str) -> None:
    kube, client = lab(1.0)
    await WRITES[write](client)
    assert [verb for verb, _ in kube.calls] == [write.partition(" ")[0]]


@pytest.mark.parametrize("read", READS)
async def test_everybody_may_ask(read: str) -> None:
    _, client = lab(None)
    await READS[read](client)


@pytest.mark.looptime
async def test_a_write_is_given_up_when_the_lease_could_end() -> None:
    class Hanging(FakeKubeClient):
        async def patch(self, *args: Any) -> Any:
            await asyncio.Event().wait()

    loop = asyncio.get_running_loop()
    leadership = Leadership(loop.time)
    leadership.extend(loop.time() + 4)
    started = loop.time()
    with pytest.raises(Unavailable) as given_up:
        await FencedClient(Hanging(), leadership).patch(PODS, KEY, PATCH)
    assert (given_up.value.outcome_unknown, loop.time() - started) == (True, pytest.approx(4))


def test_leadership_ends_by_itself_and_is_never_shortened_by_a_late_answer() -> None:
    clock = {"now": 0.0}
    leadership = Leadership(lambda: clock["now"])

    def remaining(now: float) -> tuple[bool, float]:
        clock["now"] = now
        return leadership.leading, leadership.remaining_seconds

    seen = [remaining(0)]
    leadership.extend(10)
    leadership.extend(8)
    seen += [remaining(9), remaining(10)]
    leadership.extend(20)
    seen.append(remaining(10))
    leadership.end()
    seen.append(remaining(10))
    assert seen == [(False, 0), (True, 1), (False, 0), (True, 10), (False, 0)]
