"""Deletions of every kind against a cluster that fails at any one write: each counts once.

Three servers stand; then one of them is to go, for one of the reasons there are. Whatever fails or
crashes at whatever write, the same server goes, nobody else does, and the spec says the same in the
end.
"""

import copy

import pytest

from aggregator.claims import ClaimResult, claim
from aggregator.gameserverset.accounting import parse_accounted
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from shared.api.gameserver import GameServer
from tests.support.builders import NOW, game_server_set
from tests.support.memory_cluster import Fault, MemoryCluster, conflict, crash, unavailable
from tests.support.world import SET_KEY, Clock, World

RESERVE = {"scaleStrategy": {"scaleDownStrategyType": "ReserveIds"}}


async def kill(world: World) -> None:
    world.edit_server("minecraft-1", opsState="Kill")


async def kill_two(world: World) -> None:
    world.edit_server("minecraft-1", opsState="Kill")
    world.edit_server("minecraft-2", opsState="Kill")


async def scale_down(world: World) -> None:
    world.edit_server("minecraft-1", opsState="WaitToBeDeleted")
    world.edit_set(replicas=2)


async def reserve(world: World) -> None:
    world.edit_set(reserveGameServerIds=[1])


async def kill_and_scale_down(world: World) -> None:
    world.edit_server("minecraft-1", opsState="Kill")
    world.edit_set(replicas=2)


async def kill_and_reserve(world: World) -> None:
    world.edit_server("minecraft-1", opsState="Kill")
    world.edit_set(reserveGameServerIds=[1])


async def autoscale(world: World) -> None:
    """Claim as the autoscaler does."""
    key = ObjectKey("games", "minecraft-1")
    stored = GameServer.model_validate(world.cluster.objects[GAMESERVERS.plural, key])
    pod_uid = world.cluster.objects[PODS.plural, key]["metadata"]["uid"]
    before, world.cluster.fault = world.cluster.fault, None
    result = await claim(world.cluster, stored, pod_uid, "Autoscaler", NOW)
    assert result is ClaimResult.WON
    if before is not None:
        number = before.number + 1
        world.cluster.fault = Fault(number, before.error, before.after)


# What is asked for, fields of the set, and then: who goes, who stays, replicas, the reserve list.
SCENARIOS = {
    "Kill": (kill, {}, [1], [0, 2], 2, []),
    "Kill, ReserveIds": (kill, RESERVE, [1], [0, 2], 2, [1]),
    "two Kills": (kill_two, {}, [1, 2], [0], 1, []),
    "Autoscaler": (autoscale, {}, [1], [0, 2], 2, []),
    "Autoscaler, ReserveIds": (autoscale, RESERVE, [1], [0, 2], 2, [1]),
    "ScaleDown": (scale_down, {}, [1], [0, 2], 2, []),
    "ScaleDown, ReserveIds": (scale_down, RESERVE, [1], [0, 2], 2, [1]),
    "Reserved": (reserve, {}, [1], [0, 2, 3], 3, [1]),
    "Reserved, ReserveIds": (reserve, RESERVE, [1], [0, 2, 3], 3, [1]),
    "Kill and scale-down": (kill_and_scale_down, {}, [1], [0, 2], 2, []),
    "Kill and reserve": (kill_and_reserve, {}, [1], [0, 2], 2, [1]),
}
FAULTS = {
    "refused": (unavailable, False),
    "answer lost": (unavailable, True),
    "conflict": (conflict, False),
    "crash before": (crash, False),
    "crash after": (crash, True),
}


async def standing(clock: Clock, fields: dict) -> World:
    """Three running servers."""
    cluster = MemoryCluster()
    owner = game_server_set(replicas=3, **fields)
    body = owner.model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster.objects[GAMESERVERSETS.plural, SET_KEY] = body
    world = World(cluster, clock)
    await world.settle()
    cluster.writes.clear()
    cluster.created.clear()
    return world


def outcome(world: World):
    spec = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["spec"]
    return (
        sorted(int(name[-1]) for name in world.cluster.deleted),
        sorted(int(key.name[-1]) for key in world.cluster.all(PODS)),
        spec["replicas"],
        list(spec.get("reserveGameServerIds", [])),
    )


def remembered(world: World):
    metadata = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["metadata"]
    return parse_accounted(metadata.get("annotations") or {})


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_one_fault_at_any_write_changes_nothing_in_the_end(clock, scenario, fault):
    ask, fields, *expected = SCENARIOS[scenario]
    error, after = FAULTS[fault]
    settled = await standing(clock, fields)
    objects, version = settled.cluster.objects, settled.cluster.version
    number = 0
    while True:
        cluster = MemoryCluster(Fault(number, error, after))
        cluster.objects, cluster.version = copy.deepcopy(objects), version
        world = World(cluster, clock)
        await ask(world)
        await world.settle()
        assert (number, *outcome(world)) == (number, *expected)
        assert (number, remembered(world)) == (number, ())
        if len(cluster.writes) <= number:
            break
        number += 1
    assert number > 3, "the scenario writes less than it should"


async def test_what_is_written_for_a_kill_and_in_which_order(clock):
    world = await standing(clock, RESERVE)
    await kill(world)
    await world.settle()
    written = [
        (write.verb, write.kind, write.name)
        for write in world.cluster.writes
        if write.subresource is None and write.writer == "aggregator.gameserverset"
    ]
    assert written == [
        ("patch", "gameservers", "minecraft-1"),
        ("patch", "gameserversets", "minecraft"),
        ("delete", "pods", "minecraft-1"),
        ("patch", "gameserversets", "minecraft"),
    ]


async def test_an_id_that_a_user_takes_out_of_the_list_stays_out(clock):
    world = await standing(clock, RESERVE)
    world.edit_set(replicas=2)
    await world.step()
    assert outcome(world) == ([2], [0, 1, 2], 2, [2])
    # Its pod still terminates, and its claim is still there.
    world.edit_set(reserveGameServerIds=[], replicas=3)
    await world.settle()
    assert outcome(world) == ([2], [0, 1, 2], 3, [])


async def test_the_same_id_can_be_killed_again_and_again(clock):
    world = await standing(clock, {})
    for _ in range(3):
        await kill(world)
        await world.settle()
        assert outcome(world)[1:3] == ([0, 2], 2)
        world.edit_set(replicas=3)
        await world.settle()
    assert (outcome(world)[1:3], world.cluster.deleted) == (([0, 1, 2], 3), ["minecraft-1"] * 3)


async def test_a_pod_that_somebody_deletes_before_its_kill_is_claimed_comes_back(clock):
    world = await standing(clock, {})
    await kill(world)
    world.cluster.mark_deleted(ObjectKey("games", "minecraft-1"))
    await world.settle()
    assert outcome(world) == ([1], [0, 1, 2], 3, [])


async def test_a_set_that_changed_after_the_plan_creates_and_claims_nothing(clock):
    world = await standing(clock, {})
    world.edit_set(replicas=5)
    world.catch_up()
    world.edit_set(replicas=3)
    with pytest.raises(Exception, match="StaleSet"):
        await world.sets.reconcile(SET_KEY)
    await world.settle()
    assert (outcome(world)[1], world.cluster.created) == ([0, 1, 2], [])


HOOK = {"lifecycle": {"preDelete": {"labelsHandler": {"drain": "me"}}}}


def label(world: World, id_: int, value: str) -> None:
    key = ObjectKey("games", f"minecraft-{id_}")
    world.cluster.version += 1
    metadata = world.cluster.objects[PODS.plural, key]["metadata"]
    metadata["labels"]["drain"] = value
    metadata["resourceVersion"] = str(world.cluster.version)


def state_of(world: World, id_: int) -> str:
    key = ObjectKey("games", f"minecraft-{id_}")
    return world.cluster.objects[GAMESERVERS.plural, key]["status"]["currentState"]


@pytest.mark.parametrize("fields", [{}, RESERVE], ids=["General", "ReserveIds"])
async def test_a_hook_holds_a_victim_and_lets_it_go(clock, fields):
    world = await standing(clock, HOOK | fields)
    label(world, 1, "me")
    await scale_down(world)
    await world.settle()
    assert (world.cluster.deleted, state_of(world, 1)) == ([], "PreDelete")
    status = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["status"]
    assert (status["preDeleteReplicas"], status["currentReplicas"]) == (1, 3)
    label(world, 1, "done")
    await world.settle()
    assert outcome(world) == ([1], [0, 2], 2, [1] if fields else [])


@pytest.mark.parametrize("fields", [{}, RESERVE], ids=["General", "ReserveIds"])
async def test_a_scale_down_is_taken_back_and_the_next_one_counts_again(clock, fields):
    world = await standing(clock, HOOK | fields)
    label(world, 1, "me")
    await scale_down(world)
    await world.settle()
    world.edit_set(replicas=3, reserveGameServerIds=[])
    await world.settle()
    assert (outcome(world), state_of(world, 1)) == (([], [0, 1, 2], 3, []), "Ready")
    assert remembered(world) == ()
    label(world, 1, "done")
    world.edit_set(replicas=2)
    await world.settle()
    assert outcome(world) == ([1], [0, 2], 2, [1] if fields else [])


async def test_a_kill_is_accounted_while_its_hook_is_waited_for(clock):
    world = await standing(clock, HOOK)
    label(world, 1, "me")
    await kill(world)
    await world.settle()
    assert outcome(world) == ([], [0, 1, 2], 2, [])
    # Growing does not take it back: a Kill is final.
    world.edit_set(replicas=3)
    await world.settle()
    assert (outcome(world), state_of(world, 1)) == (([], [0, 1, 2], 3, []), "PreDelete")
    label(world, 1, "done")
    await world.settle()
    assert outcome(world) == ([1], [0, 1, 2], 3, [])
