"""What a former set, or somebody else, left under the names of a set."""

import pytest

from aggregator.kube.resources import (
    CONTROLLERREVISIONS,
    GAMESERVERS,
    GAMESERVERSETS,
    NETWORKPOLICIES,
    PODS,
    SERVICES,
    ObjectKey,
)
from shared.api import names
from shared.errors import TransientError
from tests.support.builders import SET_UID
from tests.support.memory_cluster import Fault
from tests.support.standing_set import (
    FAULTS,
    IN_PLACE,
    change_image,
    images,
    standing,
    status,
    template,
)
from tests.support.world import SET_KEY, World


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
