"""Updates of running servers, against a cluster in memory."""

import copy

import pytest

from aggregator.kube.errors import Conflict, Rejected
from aggregator.kube.resources import CONTROLLERREVISIONS, PODS, ObjectKey
from shared.api import names
from tests.support.memory_cluster import Fault, MemoryCluster
from tests.support.standing_set import (
    FAULTS,
    IN_PLACE,
    change_image,
    images,
    standing,
    states,
    status,
    template,
)
from tests.support.world import SET_KEY, World


def unavailable_now(world: World, replicas: int) -> int:
    """Servers that should exist and are missing, going, not Ready or being updated."""
    available = [
        pod
        for pod in world.cluster.all(PODS).values()
        if "deletionTimestamp" not in pod["metadata"]
        and names.UPDATE_ANNOTATION not in pod["metadata"].get("annotations", {})
        and (pod.get("status") or {}).get("phase") == "Running"
    ]
    return replicas - len(available)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("policy", ["ReCreate", "InPlaceIfPossible"])
async def test_a_rollout_never_disturbs_more_than_it_may(clock, policy, most):
    rolling = {"podUpdatePolicy": policy, "maxUnavailable": most}
    world = await standing(clock, replicas=5, rolling=rolling)
    seen = []
    world.cluster.on_write = lambda _: seen.append(unavailable_now(world, 5))
    change_image(world)
    await world.settle()
    assert set(images(world).values()) == {"game:2"}
    assert (max(seen), len(images(world))) == (most, 5)
    assert (status(world)["updatedReplicas"], status(world)["availableReplicas"]) == (5, 5)
    assert status(world)["currentRevision"] == status(world)["updateRevision"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("policy", ["ReCreate", "InPlaceIfPossible"])
async def test_one_fault_at_any_write_of_a_rollout_changes_nothing(clock, policy, fault):
    error, after = FAULTS[fault]
    settled = await standing(clock, rolling={"podUpdatePolicy": policy})
    objects, version = settled.cluster.objects, settled.cluster.version
    number = 0
    while True:
        cluster = MemoryCluster(Fault(number, error, after))
        cluster.objects, cluster.version = copy.deepcopy(objects), version
        world = World(cluster, clock)
        seen: list[int] = []
        cluster.on_write = lambda _, world=world, seen=seen: seen.append(unavailable_now(world, 3))
        change_image(world)
        await world.settle()
        assert (number, set(images(world).values()), max(seen)) == (number, {"game:2"}, 1)
        assert (number, states(world)) == (number, dict.fromkeys("012", "Ready"))
        if len(cluster.writes) <= number:
            break
        number += 1
    assert number > 8, "the scenario writes less than it should"


CLAIMED = {"reason": "Autoscaler", "podUid": "pod", "at": "2026-01-02T03:04:05Z"}


@pytest.mark.parametrize(
    "change",
    [{"opsState": "Allocated"}, {"deletion": CLAIMED}],
    ids=["allocated", "claimed"],
)
@pytest.mark.parametrize("policy", ["ReCreate", "InPlaceIfPossible"])
async def test_a_server_that_changed_after_the_plan_is_not_restarted(clock, policy, change):
    world = await standing(clock, replicas=1, rolling={"podUpdatePolicy": policy})
    change_image(world)
    world.catch_up()
    world.edit_server("minecraft-0", **change)
    with pytest.raises(Conflict, match="ServerChanged"):
        await world.sets.reconcile(SET_KEY)
    assert (world.cluster.deleted, images(world)) == ([], {"0": "game:1"})


async def test_an_image_is_changed_in_place_and_the_server_shows_it(clock):
    world = await standing(clock, rolling=IN_PLACE)
    uids = {key: pod["metadata"]["uid"] for key, pod in world.cluster.all(PODS).items()}
    change_image(world)
    await world.step()
    await world.step()
    assert states(world) == {"0": "Ready", "1": "Ready", "2": "Updating"}
    assert images(world) == {"0": "game:1", "1": "game:1", "2": "game:2"}
    await world.settle()
    assert set(images(world).values()) == {"game:2"}
    after = {key: pod["metadata"]["uid"] for key, pod in world.cluster.all(PODS).items()}
    assert (after, world.cluster.deleted) == (uids, [])
    for pod in world.cluster.all(PODS).values():
        assert names.UPDATE_ANNOTATION not in pod["metadata"]["annotations"]


async def test_an_update_in_place_waits_for_its_hook(clock):
    hook = {"inPlaceUpdate": {"labelsHandler": {"busy": "yes"}}}
    metadata = {"metadata": {"labels": {"busy": "yes"}}}
    world = await standing(clock, rolling=IN_PLACE, lifecycle=hook, template=template() | metadata)
    change_image(world)
    await world.settle()
    assert states(world) == {"0": "Ready", "1": "Ready", "2": "PreUpdate"}
    assert set(images(world).values()) == {"game:1"}
    pod = world.cluster.objects[PODS.plural, ObjectKey("games", "minecraft-2")]["metadata"]
    world.cluster.version += 1
    pod["labels"]["busy"] = "no"
    pod["resourceVersion"] = str(world.cluster.version)
    await world.settle()
    assert images(world) == {"0": "game:1", "1": "game:1", "2": "game:2"}
    assert states(world) == {"0": "Ready", "1": "PreUpdate", "2": "Ready"}
    # The user gives up: who was only marked goes back into service.
    change_image(world, "game:1")
    world.edit_set(lifecycle=None)
    await world.settle()
    assert (set(images(world).values()), set(states(world).values())) == ({"game:1"}, {"Ready"})


async def test_the_image_of_one_server_survives_an_update_of_the_others(clock):
    world = await standing(clock, rolling=IN_PLACE)
    world.edit_server("minecraft-1", containers=[{"name": "game", "image": "game:9"}])
    await world.settle()
    assert images(world) == {"0": "game:1", "1": "game:9", "2": "game:1"}
    change_image(world)
    await world.settle()
    assert images(world) == {"0": "game:2", "1": "game:9", "2": "game:2"}
    world.edit_server("minecraft-1", containers=[])
    await world.settle()
    assert set(images(world).values()) == {"game:2"}
    assert world.cluster.deleted == []


async def test_the_image_of_one_server_survives_its_pod_with_reclaim_policy_delete(clock):
    world = await standing(clock, template=template() | {"reclaimPolicy": "Delete"})
    world.edit_server("minecraft-1", containers=[{"name": "game", "image": "game:9"}])
    await world.settle()
    world.cluster.mark_deleted(ObjectKey("games", "minecraft-1"))
    await world.settle()
    assert (images(world)["1"], world.cluster.created) == ("game:9", ["minecraft-1"])


async def test_a_partition_leaves_servers_behind_even_when_they_are_made_again(clock):
    world = await standing(clock, rolling=IN_PLACE | {"partition": 2})
    change_image(world)
    await world.settle()
    assert images(world) == {"0": "game:1", "1": "game:1", "2": "game:2"}
    world.cluster.mark_deleted(ObjectKey("games", "minecraft-0"))
    world.restart()
    await world.settle()
    assert images(world) == {"0": "game:1", "1": "game:1", "2": "game:2"}


def progressing(world: World) -> tuple[str, str]:
    (found,) = [each for each in status(world)["conditions"] if each["type"] == "Progressing"]
    return found["status"], found["reason"]


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        ({"type": "OnDelete"}, "OnDelete"),
        ({"rollingUpdate": {"paused": True}}, "UpdatePaused"),
        ({"rollingUpdate": {"maxUnavailable": 0}}, "NoneMayBeUnavailable"),
    ],
    ids=["OnDelete", "paused", "none may be unavailable"],
)
async def test_an_update_that_waits_says_so_until_somebody_deletes_the_pods(
    clock, strategy, reason
):
    world = await standing(clock, replicas=2)
    world.edit_set(updateStrategy=strategy)
    change_image(world)
    await world.settle()
    assert (progressing(world), world.cluster.deleted) == (("False", reason), [])
    world.cluster.mark_deleted(ObjectKey("games", "minecraft-0"))
    await world.settle()
    assert images(world) == {"0": "game:2", "1": "game:1"}
    assert progressing(world) == ("False", reason)
    world.cluster.mark_deleted(ObjectKey("games", "minecraft-1"))
    await world.settle()
    assert images(world) == {"0": "game:2", "1": "game:2"}
    assert progressing(world) == ("False", "Complete")


async def test_ten_revisions_are_kept_beside_those_in_use(clock):
    world = await standing(clock, replicas=1, rolling=IN_PLACE)
    for number in range(2, 15):
        change_image(world, f"game:{number}")
        await world.settle()
    numbers = sorted(each["revision"] for each in world.cluster.all(CONTROLLERREVISIONS).values())
    assert (len(numbers), numbers[-1]) == (12, 14)
    change_image(world, "game:13")
    await world.settle()
    newest = max(world.cluster.all(CONTROLLERREVISIONS).values(), key=lambda each: each["revision"])
    assert newest["revision"] == 15
    assert newest["data"]["template"]["spec"]["containers"][0]["image"] == "game:13"


async def test_without_the_right_to_read_revisions_nothing_is_updated_but_all_else_goes_on(clock):
    world = await standing(clock, rolling=IN_PLACE)
    world.restart()

    def refuse(write):
        if write.kind == CONTROLLERREVISIONS.plural:
            raise Rejected("Forbidden", "controllerrevisions is forbidden", 403)

    world.cluster.on_write = refuse
    change_image(world)
    world.edit_set(replicas=4)
    world.catch_up()
    with pytest.raises(Rejected, match="controllerrevisions is forbidden"):
        await world.sets.reconcile(SET_KEY)
    assert (world.cluster.created, world.cluster.deleted) == (["minecraft-3"], [])
    assert images(world)["0"] == "game:1"
