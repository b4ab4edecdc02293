"""The aggregator against an API server that fails on purpose: it converges, and acts once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aggregator.app import Aggregator
from aggregator.kube import patch
from aggregator.kube.client import open_kube_client
from aggregator.kube.reflector import Pace, Reflector
from aggregator.kube.resources import CONFIGMAPS, GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from aggregator.kube.store import Store
from aggregator.kube.transport import Json, Selection
from shared.backoff import Backoff
from tests.support.builders import probe_report, report
from tests.support.faulty import Faulty, aggregating, deliver, until

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]

QUICK = Pace(Backoff(base_seconds=0.02, cap_seconds=0.2))


@asynccontextmanager
async def running(faulty: Faulty) -> AsyncIterator[Aggregator]:
    """Give a running aggregator of the namespace."""
    async with (
        open_kube_client(faulty.kubeconfig) as client,
        aggregating(faulty, client) as aggregator,
    ):
        yield aggregator


# -- the reflector ---------------------------------------------------------------------------


def config_map(name: str, value: str = "1") -> Json:
    return {"metadata": {"name": name}, "data": {"x": value}}


def decode(raw: bytes) -> str:
    value: str = json.loads(raw)["data"]["x"]
    return value


@asynccontextmanager
async def reflecting(faulty: Faulty) -> AsyncIterator[tuple[Store[str], list[Any]]]:
    """Give the store of a running reflector of config maps, and its differences."""
    store: Store[str] = Store()
    changes: list[Any] = []
    async with open_kube_client(faulty.kubeconfig) as client, asyncio.TaskGroup() as group:
        selection = Selection(CONFIGMAPS, faulty.namespace)
        reflector = Reflector(
            client, selection, store, decode, lambda old, new: changes.append((old, new)), QUICK
        )
        running = group.create_task(reflector.run())
        yield store, changes
        running.cancel()


def shown(store: Store[str]) -> Any:
    async def read() -> dict[str, str]:
        return {key.name: value for key, value in store.items()}

    return read


@pytest.mark.parametrize(
    ("action", "rule"),
    [
        pytest.param("drop", {"verb": "watch", "count": 3, "seconds": 0.05}, id="dropped watches"),
        pytest.param("gone", {"verb": "watch", "count": 3}, id="410 in the stream"),
        pytest.param("gone", {"verb": "list", "count": 2}, id="410 of a list"),
        pytest.param("error", {"count": 4}, id="500"),
        pytest.param("throttle", {"verb": "list", "count": 1, "seconds": 1}, id="429"),
        pytest.param("close-before", {"count": 4}, id="closed without an answer"),
        pytest.param("close-after", {"verb": "list", "count": 2}, id="lost lists"),
        pytest.param("delay", {"count": 3, "seconds": 0.2}, id="slow"),
    ],
)
async def test_the_reflector_ends_with_the_truth(
    faulty: Faulty, action: str, rule: dict[str, Any]
) -> None:
    for name in ("kept", "changed", "deleted"):
        await faulty.kube.create(CONFIGMAPS, faulty.namespace, config_map(name))
    number = await faulty.order(action, resource="configmaps", **rule)
    async with reflecting(faulty) as (store, changes):
        for value in ("2", "3"):
            key = ObjectKey(faulty.namespace, "changed")
            await faulty.kube.patch(CONFIGMAPS, key, patch.MergePatch({"data": {"x": value}}))
        await faulty.kube.delete(CONFIGMAPS, ObjectKey(faulty.namespace, "deleted"))
        await faulty.kube.create(CONFIGMAPS, faulty.namespace, config_map("made"))
        await until(shown(store), {"kept": "1", "changed": "3", "made": "1"})
        assert (await faulty.hits())[0] > 0
        await faulty.end(number)
        await faulty.kube.create(CONFIGMAPS, faulty.namespace, config_map("last"))
        await until(shown(store), {"kept": "1", "changed": "3", "made": "1", "last": "1"})
    # Every difference follows the one before it: nothing was told twice or in the wrong order.
    added = [new for old, new in changes if old is None]
    removed = [old for old, new in changes if new is None]
    assert len(added) - len(removed) == 4


async def test_a_drop_in_the_middle_of_changes_loses_none(faulty: Faulty) -> None:
    async with reflecting(faulty) as (store, changes):
        for number in range(10):
            await faulty.kube.create(CONFIGMAPS, faulty.namespace, config_map(f"m{number}"))
            if number % 3 == 0:
                await faulty.order("drop", verb="watch", resource="configmaps", count=1)
        await until(shown(store), {f"m{number}": "1" for number in range(10)})
    assert changes == [(None, "1")] * 10


async def test_the_reflector_catches_up_after_stale_reads(faulty: Faulty) -> None:
    await faulty.kube.create(CONFIGMAPS, faulty.namespace, config_map("old"))
    number = await faulty.order("stale", resource="configmaps")
    await faulty.kube.create(CONFIGMAPS, faulty.namespace, config_map("new"))
    async with reflecting(faulty) as (store, changes):
        await until(shown(store), {"old": "1"})
        await faulty.end(number)
        await until(shown(store), {"old": "1", "new": "1"})
    assert changes == [(None, "1"), (None, "1")]


# -- the whole aggregator --------------------------------------------------------------------


def game_server_set(replicas: int, **spec: Any) -> Json:
    container = {"name": "game", "image": "game:1"}
    template = {"spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    return {
        "apiVersion": GAMESERVERSETS.api_version,
        "kind": GAMESERVERSETS.kind,
        "metadata": {"name": "minecraft"},
        "spec": {"replicas": replicas, "gameServerTemplate": template, **spec},
    }


@asynccontextmanager
async def pod_events(faulty: Faulty) -> AsyncIterator[list[tuple[str, str]]]:
    """Give every creation and deletion of a pod, in order."""
    seen: list[tuple[str, str]] = []
    version = (await faulty.kube.list(PODS, faulty.namespace)).resource_version

    async def follow() -> None:
        async for line in faulty.kube.watch(Selection(PODS, faulty.namespace), version, 600):
            event = json.loads(line)
            if event["type"] in ("ADDED", "DELETED"):
                seen.append((event["type"], event["object"]["metadata"]["name"]))

    async with asyncio.TaskGroup() as group:
        running = group.create_task(follow())
        yield seen
        running.cancel()


THREE = ["minecraft-0", "minecraft-1", "minecraft-2"]
WRITE_FAULTS = [
    pytest.param("close-after", id="lost answers"),
    pytest.param("close-before", id="lost requests"),
    pytest.param("error", id="500"),
    pytest.param("conflict", id="409"),
    pytest.param("throttle", id="429"),
]


@pytest.mark.parametrize("action", WRITE_FAULTS)
async def test_a_set_gets_each_of_its_servers_once(faulty: Faulty, action: str) -> None:
    for resource in ("pods", "gameservers"):
        await faulty.order(action, verb="create", resource=resource, count=2)
    async with pod_events(faulty) as seen, running(faulty):
        await faulty.kube.create(GAMESERVERSETS, faulty.namespace, game_server_set(3))
        await until(lambda: faulty.names(GAMESERVERS), THREE)
        assert await faulty.names(PODS) == THREE
        assert await faulty.hits() == [2, 2]
        await until(lambda: sorted_of(seen), [("ADDED", name) for name in THREE])


async def sorted_of(seen: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(seen)


async def scale(faulty: Faulty, replicas: int) -> None:
    key = ObjectKey(faulty.namespace, "minecraft")
    document = patch.MergePatch({"spec": {"replicas": replicas}})
    await faulty.kube.patch(GAMESERVERSETS, key, document)


@pytest.mark.parametrize("action", WRITE_FAULTS)
async def test_a_scale_down_takes_its_victims_and_nobody_else(faulty: Faulty, action: str) -> None:
    async with running(faulty):
        await faulty.kube.create(GAMESERVERSETS, faulty.namespace, game_server_set(3))
        await until(lambda: faulty.names(GAMESERVERS), THREE)
        async with pod_events(faulty) as seen:
            await faulty.order(action, verb="patch", resource="gameservers", count=2)
            await faulty.order(action, verb="delete", resource="pods", count=2)
            await scale(faulty, 1)
            await until(lambda: faulty.names(GAMESERVERS), THREE[:1])
            victims = [("DELETED", name) for name in THREE[1:]]
            await until(lambda: sorted_of(seen), victims)
            # Nothing more follows: the set has what it wants.
            await until(lambda: current_replicas(faulty), 1)
            assert (sorted(seen), await faulty.names(PODS)) == (victims, THREE[:1])


async def current_replicas(faulty: Faulty) -> int:
    [owner] = await faulty.all(GAMESERVERSETS)
    # A set that was just created has no status.
    count: int = owner.get("status", {}).get("currentReplicas", 0)
    return count


QUALITY = {
    "name": "idle",
    "exec": {"command": ["probe.sh"]},
    "serviceQualityAction": [{"state": True, "opsState": "WaitToBeDeleted"}],
}


async def spec_of(faulty: Faulty) -> tuple[str, int]:
    [server] = await faulty.all(GAMESERVERS)
    return server["spec"]["opsState"], server["metadata"]["generation"]


@pytest.mark.parametrize("action", WRITE_FAULTS)
async def test_an_edge_acts_once(faulty: Faulty, action: str) -> None:
    """What a person sets afterwards stays, however often the write had to be tried."""
    async with running(faulty) as aggregator:
        body = game_server_set(1, serviceQualities=[QUALITY])
        await faulty.kube.create(GAMESERVERSETS, faulty.namespace, body)
        await until(lambda: faulty.names(GAMESERVERS), THREE[:1])
        [pod] = await faulty.all(PODS)
        await faulty.order(action, verb="patch", resource="gameservers", count=1)
        await faulty.order(action, verb="patch", resource="gameservers/status", count=1)
        whole = report(probe_report("idle"), pod_uid=pod["metadata"]["uid"])
        deliver(aggregator, ObjectKey(faulty.namespace, THREE[0]), whole)
        await until(lambda: spec_of(faulty), ("WaitToBeDeleted", 2))
        key = ObjectKey(faulty.namespace, THREE[0])
        allocated = patch.MergePatch({"spec": {"opsState": "Allocated"}})
        await faulty.kube.patch(GAMESERVERS, key, allocated)

        async def mirrored() -> str:
            [mirror] = await faulty.all(PODS)
            label: str = mirror["metadata"]["labels"]["game.kruise.io/gs-opsState"]
            return label

        # The mirror shows that the aggregator has seen it, and has left it alone.
        await until(mirrored, "Allocated")
        assert (await spec_of(faulty), await faulty.hits()) == (("Allocated", 3), [1, 1])


async def test_a_cache_that_lags_makes_no_server_twice(faulty: Faulty) -> None:
    """Its own writes are remembered until the cache shows them (SPEC 6.12)."""
    await faulty.kube.create(GAMESERVERSETS, faulty.namespace, game_server_set(2))
    stale = await faulty.order("stale", resource="pods")
    async with pod_events(faulty) as seen, running(faulty):
        await until(lambda: faulty.names(PODS), THREE[:2])
        # The set is looked at again while the cache shows none of its pods.
        await scale(faulty, 3)
        await faulty.end(stale)
        await until(lambda: faulty.names(GAMESERVERS), THREE)
        await until(lambda: current_replicas(faulty), 3)
    assert sorted(seen) == [("ADDED", name) for name in THREE]
