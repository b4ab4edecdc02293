"""A set of running servers in a cluster in memory, for tests of what becomes of it."""

from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from tests.support.builders import game_server_set
from tests.support.memory_cluster import MemoryCluster, conflict, crash, unavailable
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


def kill_pod(world: World, id_: int, phase="Failed") -> None:
    pod = world.cluster.objects[PODS.plural, ObjectKey("games", f"minecraft-{id_}")]
    world.cluster.version += 1
    pod["metadata"]["resourceVersion"] = str(world.cluster.version)
    pod["status"] = {"phase": phase}
