"""Volume claims of a set: made before pods, kept or deleted as its policy says."""

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
from tests.support.builders import SET_UID
from tests.support.standing_set import standing, template
from tests.support.world import SET_KEY, World

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
