"""Whatever people, probes and crashes do: in the end exactly the right servers exist."""

import asyncio
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.gameserverset.ids import parse_reserve_list
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from shared.api import names
from tests.support.builders import game_server_set, probe_report, quality
from tests.support.memory_cluster import Fault, MemoryCluster, conflict, crash, unavailable
from tests.support.world import SET_KEY, Clock, World

IDLE = quality(
    "idle", {"state": True, "opsState": "WaitToBeDeleted"}, {"state": False, "opsState": "None"}
)
IDS = st.integers(0, 5)


def key_of(id_: int) -> ObjectKey:
    return ObjectKey("games", f"minecraft-{id_}")


async def set_replicas(world: World, replicas: int) -> None:
    world.edit_set(replicas=replicas)


async def set_reserved(world: World, ids: list[int]) -> None:
    world.edit_set(reserveGameServerIds=ids)


async def report_verdict(world: World, id_: int, status: str) -> None:
    world.verdicts[key_of(id_).name] = (probe_report("idle", status),)


async def set_strategy(world: World, strategy: str) -> None:
    world.edit_set(scaleStrategy={"scaleDownStrategyType": strategy})


async def set_image(world: World, image: str) -> None:
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["spec"]
    spec = {"containers": [{"name": "game", "image": image}]}
    world.edit_set(gameServerTemplate=stored["gameServerTemplate"] | {"spec": spec})


async def set_policy(world: World, policy: str) -> None:
    world.edit_set(updateStrategy={"rollingUpdate": {"podUpdatePolicy": policy}})


async def end_pod(world: World, id_: int) -> None:
    pod = world.cluster.all(PODS).get(key_of(id_))
    if pod is not None:
        world.cluster.version += 1
        pod["metadata"]["resourceVersion"] = str(world.cluster.version)
        pod["status"] = {"phase": "Failed"}


async def set_state(world: World, id_: int, ops_state: str) -> None:
    server = world.cluster.all(GAMESERVERS).get(key_of(id_))
    # A rule of the API server refuses another opsState while the server is claimed.
    if server is not None and "deletion" not in server["spec"]:
        world.edit_server(key_of(id_).name, opsState=ops_state)


async def delete_pod(world: World, id_: int) -> None:
    if key_of(id_) in world.cluster.all(PODS):
        world.cluster.mark_deleted(key_of(id_))


async def delete_server(world: World, id_: int) -> None:
    world.cluster.objects.pop((GAMESERVERS.plural, key_of(id_)), None)


async def fail_soon(world: World, writes: int, error: object, after: bool) -> None:
    world.cluster.fault = Fault(len(world.cluster.writes) + writes, error, after)


async def wait_a_little(world: World) -> None:
    await world.step()


async def wait_long(world: World) -> None:
    await world.settle()


STEPS = st.one_of(
    st.tuples(st.just(set_replicas), st.integers(0, 5)),
    st.tuples(st.just(set_reserved), st.lists(IDS, max_size=3)),
    st.tuples(st.just(report_verdict), IDS, st.sampled_from(["True", "False", "Unknown"])),
    st.tuples(st.just(set_state), IDS, st.sampled_from(["Allocated", "Maintaining", "Kill"])),
    st.tuples(st.just(set_strategy), st.sampled_from(["General", "ReserveIds"])),
    st.tuples(st.just(set_image), st.sampled_from(["game:1", "game:2"])),
    st.tuples(st.just(set_policy), st.sampled_from(["ReCreate", "InPlaceIfPossible"])),
    st.tuples(st.just(end_pod), IDS),
    st.tuples(st.just(delete_pod), IDS),
    st.tuples(st.just(delete_server), IDS),
    st.tuples(
        st.just(fail_soon),
        st.integers(0, 6),
        st.sampled_from([unavailable, conflict, crash]),
        st.booleans(),
    ),
    st.tuples(st.just(wait_a_little)),
    st.tuples(st.just(wait_long)),
)


def check(world: World, *, keeps: bool) -> None:
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    reserved, _ = parse_reserve_list(stored["spec"].get("reserveGameServerIds", ()))
    pods, servers = world.cluster.all(PODS), world.cluster.all(GAMESERVERS)
    ids = sorted(int(key.name.rpartition("-")[2]) for key in pods)
    assert len(ids) == stored["spec"]["replicas"] == stored["status"]["currentReplicas"]
    assert not [id_ for id_ in ids if id_ in reserved]
    assert stored["status"]["updatedReplicas"] == len(ids)
    assert names.ACCOUNTED_ANNOTATION not in stored["metadata"]["annotations"]
    # With reclaimPolicy Delete the server of a pod that was deleted by hand waits for a new pod.
    assert servers.keys() >= pods.keys() if keeps else servers.keys() == pods.keys()
    for key, pod in pods.items():
        server = servers[key]
        assert "deletion" not in server["spec"]
        assert server["spec"]["opsState"] != names.OPS_STATE_KILL
        assert server["status"]["podUid"] == pod["metadata"]["uid"]
        assert pod["metadata"]["labels"][names.OPS_STATE_LABEL] == server["spec"]["opsState"]


class Patches:
    """What `Clock.install` needs of pytest's monkeypatch, for one example of hypothesis."""

    def __init__(self):
        self.active = []

    def setattr(self, target, value):
        replacement = patch(target, value)
        replacement.start()
        self.active.append(replacement)

    def undo(self):
        for replacement in self.active:
            replacement.stop()


async def play(clock: Clock, steps, reclaim: str) -> None:
    cluster = MemoryCluster()
    template = {"spec": {"containers": [{"name": "game"}]}, "reclaimPolicy": reclaim}
    owner = game_server_set(replicas=2, qualities=(IDLE,), template=template)
    body = owner.model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster.objects[GAMESERVERSETS.plural, SET_KEY] = body
    world = World(cluster, clock)
    # Agents always report: their silence is no matter of this test.
    for id_ in range(20):
        await report_verdict(world, id_, "Unknown")
    for action, *values in steps:
        await action(world, *values)
    cluster.fault = None
    await world.settle()
    check(world, keeps=reclaim == "Delete")
    cluster.writes.clear()
    await world.settle()
    assert cluster.writes == []


@pytest.mark.timeout(60)
@settings(max_examples=60)
@given(st.lists(STEPS, max_size=14), st.sampled_from(["Cascade", "Delete"]))
def test_everything_converges_and_then_is_still(steps, reclaim):
    patches = Patches()
    clock = Clock()
    clock.install(patches)
    try:
        asyncio.run(play(clock, steps, reclaim))
    finally:
        patches.undo()
