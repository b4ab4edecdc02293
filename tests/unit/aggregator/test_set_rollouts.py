"""Updates, replacements, adoptions and what belongs to a set, against a cluster in memory."""

import copy

import pytest

from aggregator.kube.errors import Conflict, Rejected
from aggregator.kube.resources import (
    CONTROLLERREVISIONS,
    GAMESERVERS,
    GAMESERVERSETS,
    NETWORKPOLICIES,
    PERSISTENTVOLUMECLAIMS,
    PODS,
    SERVICES,
    ObjectKey,
)
from shared.api import names
from shared.errors import TransientError
from tests.support.builders import SET_UID, game_server_set
from tests.support.memory_cluster import Fault, MemoryCluster, conflict, crash, unavailable
from tests.support.world import SET_KEY, Clock, World

IN_PLACE = {"podUpdatePolicy": "InPlaceIfPossible"}
FAULTS = {
    "refused": (unavailable, False),
    "answer lost": (unavailable, True),
    "conflict": (conflict, False),
    "crash before": (crash, False),
    "crash after": (crash, True),
}


def template(image="game:1", **spec):
    return {"spec": {"containers": [{"name": "game", "image": image}]} | spec}


async def standing(clock: Clock, *, replicas=3, rolling=None, **fields) -> World:
    """Running servers of `game:1`."""
    cluster = MemoryCluster()
    fields = {"template": template()} | fields
    owner = game_server_set(
        replicas=replicas, updateStrategy={"rollingUpdate": rolling or {}}, **fields
    )
    body = owner.model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster.objects[GAMESERVERSETS.plural, SET_KEY] = body
    world = World(cluster, clock)
    await world.settle()
    cluster.writes.clear()
    cluster.created.clear()
    return world


def change_image(world: World, image="game:2") -> None:
    spec = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["spec"]
    world.edit_set(gameServerTemplate=spec["gameServerTemplate"] | template(image))


def images(world: World) -> dict[str, str]:
    return {
        key.name[-1]: pod["spec"]["containers"][0]["image"]
        for key, pod in sorted(world.cluster.all(PODS).items())
    }


def states(world: World) -> dict[str, str]:
    servers = sorted(world.cluster.all(GAMESERVERS).items())
    return {key.name[-1]: each["status"]["currentState"] for key, each in servers}


def status(world: World):
    return world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["status"]


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


async def test_a_kill_of_a_pod_that_ended_is_not_lost_with_it(clock):
    world = await standing(clock, replicas=2)
    kill_pod(world, 1)
    world.catch_up()
    world.edit_server("minecraft-1", opsState="Kill")
    with pytest.raises(Conflict, match="ServerChanged"):
        await world.sets.reconcile(SET_KEY)
    await world.settle()
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    assert (stored["spec"]["replicas"], states(world)) == (1, {"0": "Ready"})


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


def kill_pod(world: World, id_: int, phase="Failed") -> None:
    pod = world.cluster.objects[PODS.plural, ObjectKey("games", f"minecraft-{id_}")]
    world.cluster.version += 1
    pod["metadata"]["resourceVersion"] = str(world.cluster.version)
    pod["status"] = {"phase": phase}


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_a_pod_that_ended_is_made_again_at_once_and_then_with_back_off(clock, phase):
    world = await standing(clock)
    kill_pod(world, 1, phase)
    await world.settle()
    assert (world.cluster.deleted, world.cluster.created) == (["minecraft-1"], ["minecraft-1"])
    kill_pod(world, 1, phase)
    await world.step()
    await world.step()
    assert world.cluster.deleted == ["minecraft-1"]
    told = {each["type"]: each["message"] for each in status(world)["conditions"]}
    assert told["CrashLooping"].startswith("the pods of minecraft-1 end again and again")
    clock.seconds += 10
    await world.settle()
    assert world.cluster.deleted == ["minecraft-1", "minecraft-1"]
    assert "CrashLooping" not in [each["type"] for each in status(world)["conditions"]]


def revisions(world: World) -> list[dict]:
    return list(world.cluster.all(CONTROLLERREVISIONS).values())


def orphan(world: World) -> None:
    """Delete the set, leave its dependents, and apply it again."""
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    world.cluster.version += 1
    stored["metadata"] |= {"uid": "later", "resourceVersion": str(world.cluster.version)}
    del stored["status"]
    for (plural, _), each in world.cluster.objects.items():
        if plural != GAMESERVERS.plural:
            world.cluster.version += 1
            owners = each["metadata"].get("ownerReferences", ())
            kept = [owner for owner in owners if owner["uid"] != SET_UID]
            each["metadata"]["ownerReferences"] = kept
            each["metadata"]["resourceVersion"] = str(world.cluster.version)


async def test_orphans_of_a_former_set_are_adopted_and_not_made_again(clock):
    world = await standing(clock)
    orphan(world)
    world.restart()
    await world.settle()
    assert (world.cluster.deleted, world.cluster.created) == ([], [])
    for resource in (PODS, CONTROLLERREVISIONS, SERVICES):
        for each in world.cluster.all(resource).values():
            assert [owner["uid"] for owner in each["metadata"]["ownerReferences"]] == ["later"]
    assert status(world).get("collisionCount") is None
    assert status(world)["updatedReplicas"] == 3


@pytest.mark.parametrize("label", ["minecraft-6d5f8c7b9", None], ids=["foreign", "none"])
@pytest.mark.parametrize("fault", [None, *FAULTS])
async def test_nobody_is_recreated_for_being_adopted(clock, label, fault):
    world = await standing(clock, rolling={"maxUnavailable": "100%"})
    orphan(world)
    for pod in world.cluster.all(PODS).values():
        del pod["metadata"]["labels"][names.REVISION_LABEL]
        pod["metadata"]["labels"] |= {names.REVISION_LABEL: label} if label else {}
    if fault is not None:
        make, written = FAULTS[fault]
        world.cluster.fault = Fault(len(world.cluster.writes) + 1, make, written)
    world.restart()
    await world.settle()
    assert (world.cluster.deleted, world.cluster.created) == ([], [])
    assert (status(world)["updatedReplicas"], status(world)["currentReplicas"]) == (3, 3)
    # From then on they are servers like any other.
    change_image(world)
    await world.settle()
    assert sorted(world.cluster.deleted) == ["minecraft-0", "minecraft-1", "minecraft-2"]
    assert set(images(world).values()) == {"game:2"}


async def test_orphans_of_a_former_template_are_updated_from_the_revision_that_was_left(clock):
    world = await standing(clock, rolling=IN_PLACE)
    former = {revision["metadata"]["name"] for revision in revisions(world)}
    orphan(world)
    change_image(world)
    world.restart()
    await world.settle()
    assert (world.cluster.deleted, world.cluster.created) == ([], [])
    assert set(images(world).values()) == {"game:2"}
    kept = {
        each["metadata"]["name"]: each["metadata"]["ownerReferences"] for each in revisions(world)
    }
    assert len(kept) == 2
    assert former < kept.keys()
    assert {owner["uid"] for owners in kept.values() for owner in owners} == {"later"}


async def test_what_a_former_set_left_is_waited_for(clock):
    world = await standing(clock)
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    world.cluster.version += 1
    stored["metadata"] |= {"uid": "later", "resourceVersion": str(world.cluster.version)}
    world.restart()
    for _ in range(3):
        await world.step()
    assert (world.cluster.deleted, world.cluster.created) == ([], [])
    for resource in (PODS, CONTROLLERREVISIONS, SERVICES, NETWORKPOLICIES, GAMESERVERS):
        for key in world.cluster.all(resource):
            del world.cluster.objects[resource.plural, key]
    await world.settle()
    assert len(world.cluster.created) == 3
    for resource in (PODS, CONTROLLERREVISIONS, SERVICES):
        for each in world.cluster.all(resource).values():
            assert each["metadata"]["ownerReferences"][0]["uid"] == "later"
    assert status(world).get("collisionCount") is None


async def test_the_state_of_a_former_sets_server_is_not_that_of_the_next(clock):
    kept = template() | {"reclaimPolicy": "Delete"}
    world = await standing(clock, replicas=2, template=kept)
    game = [{"name": "game", "image": "game:9"}]
    world.edit_server("minecraft-1", opsState="Maintaining", containers=game)
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    world.cluster.version += 1
    stored["metadata"] |= {"uid": "later", "resourceVersion": str(world.cluster.version)}
    # The garbage collector has taken everything but the GameServers.
    for resource in (PODS, CONTROLLERREVISIONS, SERVICES, NETWORKPOLICIES):
        for key in world.cluster.all(resource):
            del world.cluster.objects[resource.plural, key]
    world.restart()
    await world.settle()
    assert (stored["spec"]["replicas"], images(world)) == (2, {"0": "game:1", "1": "game:1"})
    for each in world.cluster.all(GAMESERVERS).values():
        assert each["spec"]["opsState"] == "None"
        assert [owner["uid"] for owner in each["metadata"]["ownerReferences"]] == ["later"]


async def test_a_revision_of_that_name_that_keeps_something_else_is_a_collision(clock):
    world = await standing(clock)
    before = status(world)["updateRevision"]
    (key,) = world.cluster.all(CONTROLLERREVISIONS)
    kept = world.cluster.objects[CONTROLLERREVISIONS.plural, key]
    kept["data"] = {"template": template("other:1")}
    world.restart()
    await world.settle()
    assert status(world)["collisionCount"] == 1
    assert status(world)["updateRevision"] != before
    assert len(world.cluster.all(CONTROLLERREVISIONS)) == 2


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


async def test_a_name_that_belongs_to_somebody_else_is_told_and_left_alone(clock):
    world = await standing(clock, replicas=1)
    foreign = {"metadata": {"labels": {}}, "spec": {"containers": []}}
    world.cluster.put(PODS, "minecraft-1", **foreign | {"status": {"phase": "Running"}})
    stored = world.cluster.objects[PODS.plural, ObjectKey("games", "minecraft-1")]
    # It is none of ours, so the cache of our pods does not have it.
    hidden = world.cluster.objects.pop((PODS.plural, ObjectKey("games", "minecraft-1")))
    assert hidden is stored

    async def step():
        world.catch_up()
        world.cluster.objects[PODS.plural, ObjectKey("games", "minecraft-1")] = stored
        clock.seconds += 2
        try:
            await world.sets.reconcile(SET_KEY)
        except TransientError:
            pass
        finally:
            del world.cluster.objects[PODS.plural, ObjectKey("games", "minecraft-1")]

    world.edit_set(replicas=2)
    await step()
    await step()
    told = {each["type"]: each["message"] for each in status(world)["conditions"]}
    assert told["NameTaken"].startswith("the names minecraft-1 belong to pods of somebody else")
    clock.seconds += 60
    await step()
    assert (world.cluster.created, world.cluster.deleted) == ([], [])
    clock.seconds += 60
    await world.settle()
    assert world.cluster.created == ["minecraft-1"]
    assert "NameTaken" not in [each["type"] for each in status(world)["conditions"]]


VOLUMES = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}


def claims(world: World) -> dict[str, list[str]]:
    found = sorted(world.cluster.all(PERSISTENTVOLUMECLAIMS).items())
    return {
        key.name: [owner["kind"] for owner in each["metadata"].get("ownerReferences") or ()]
        for key, each in found
    }


async def test_volume_claims_are_made_before_pods_and_outlive_them(clock):
    world = await standing(clock, replicas=2, template=template() | VOLUMES)
    assert claims(world) == {"data-minecraft-0": [], "data-minecraft-1": []}
    world.edit_set(replicas=1)
    await world.settle()
    assert claims(world) == {"data-minecraft-0": [], "data-minecraft-1": []}
    world.edit_set(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete"})
    await world.settle()
    assert claims(world) == {
        "data-minecraft-0": ["GameServerSet"],
        "data-minecraft-1": ["GameServerSet"],
    }


async def test_no_server_gets_a_volume_claim_that_goes_with_a_former_set(clock):
    delete = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}
    world = await standing(clock, replicas=1, template=template() | VOLUMES, **delete)
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    world.cluster.version += 1
    stored["metadata"] |= {"uid": "later", "resourceVersion": str(world.cluster.version)}
    # The garbage collector has taken everything but the volume claim.
    for resource in (PODS, GAMESERVERS, CONTROLLERREVISIONS, SERVICES, NETWORKPOLICIES):
        for key in world.cluster.all(resource):
            del world.cluster.objects[resource.plural, key]
    world.restart()
    for _ in range(3):
        await world.step()
    ((key, claim),) = world.cluster.all(PERSISTENTVOLUMECLAIMS).items()
    owners = [each["uid"] for each in claim["metadata"]["ownerReferences"]]
    assert (owners, world.cluster.created) == ([SET_UID], [])
    del world.cluster.objects[PERSISTENTVOLUMECLAIMS.plural, key]
    await world.settle()
    (claim,) = world.cluster.all(PERSISTENTVOLUMECLAIMS).values()
    owners = [each["uid"] for each in claim["metadata"]["ownerReferences"]]
    assert (owners, world.cluster.created) == (["later"], ["minecraft-0"])


async def test_volume_claims_go_with_servers_that_are_scaled_down_and_are_waited_for(clock):
    policy = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}
    world = await standing(clock, replicas=2, template=template() | VOLUMES, **policy)
    world.cluster.mark_deleted(ObjectKey("games", "minecraft-1"))
    await world.settle()
    assert claims(world)["data-minecraft-1"] == []
    world.edit_set(replicas=1)
    await world.settle()
    assert claims(world) == {"data-minecraft-0": [], "data-minecraft-1": ["Pod"]}
    # Until the garbage collector has come no new pod binds the claim of the former one.
    world.edit_set(replicas=2)
    for _ in range(3):
        await world.step()
    assert world.cluster.created == ["minecraft-1"]
    key = ObjectKey("games", "data-minecraft-1")
    del world.cluster.objects[PERSISTENTVOLUMECLAIMS.plural, key]
    await world.settle()
    assert world.cluster.created == ["minecraft-1", "minecraft-1"]


async def test_a_forbidden_companion_stops_neither_growth_nor_status(clock):
    world = await standing(clock, replicas=1)
    world.restart()
    for key in world.cluster.all(SERVICES):
        del world.cluster.objects[SERVICES.plural, key]

    def refuse(write):
        if write.kind == SERVICES.plural:
            raise Rejected("Forbidden", "services is forbidden", 403)

    world.cluster.on_write = refuse
    world.edit_set(replicas=2)
    world.catch_up()
    with pytest.raises(Rejected, match="services is forbidden"):
        await world.sets.reconcile(SET_KEY)
    assert world.cluster.created == ["minecraft-1"]
    assert status(world)["replicas"] == 2


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


@pytest.mark.parametrize("how", ["update", "end", "delete"])
async def test_a_server_that_is_made_again_keeps_its_id_where_a_smaller_one_is_free(clock, how):
    world = await standing(clock, replicas=5)
    world.edit_server("minecraft-1", opsState="Kill")
    await world.settle()
    world.cluster.deleted.clear()
    if how == "update":
        change_image(world)
    elif how == "end":
        kill_pod(world, 4)
    else:
        world.cluster.mark_deleted(ObjectKey("games", "minecraft-4"))
    await world.settle()
    assert list(images(world)) == ["0", "2", "3", "4"]
    assert "minecraft-4" in world.cluster.deleted
    world.edit_set(replicas=5)
    await world.settle()
    assert list(images(world)) == ["0", "1", "2", "3", "4"]


async def test_a_paused_set_writes_its_status_only(clock):
    world = await standing(clock)
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    stored["metadata"]["annotations"] = {names.PAUSED_ANNOTATION: "true"}
    world.edit_set(replicas=1)
    change_image(world)
    world.edit_server("minecraft-0", opsState="Kill")
    await world.settle()
    written = {
        (write.kind, write.subresource)
        for write in world.cluster.writes
        if write.writer == "aggregator.gameserverset"
    }
    assert written == {(GAMESERVERSETS.plural, "status")}
    del world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["metadata"]["annotations"]
    world.edit_set()
    await world.settle()
    assert images(world) == {"1": "game:2"}
