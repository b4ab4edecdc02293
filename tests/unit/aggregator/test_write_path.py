"""Both reconcilers against a cluster that fails at any one write: they converge, nothing is twice.

The scenario: three servers are created; number 1 asks for WaitToBeDeleted and number 2 acts once
and for all; the set is scaled to two; an id is reserved.
"""

import json

import pytest
from jsonpointer import JsonPointer

from aggregator.kube.errors import Conflict, Rejected, TransientError, Unavailable
from aggregator.kube.resources import CONFIGMAPS, GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from shared.api import names
from shared.api.ownership import Writer, writer_of
from tests.support.builders import game_server_set, probe_report, quality
from tests.support.memory_cluster import Fault, MemoryCluster, conflict, crash, unavailable
from tests.support.world import SET_KEY, Clock, World

IDLE = quality(
    "idle", {"state": True, "opsState": "WaitToBeDeleted"}, {"state": False, "opsState": "None"}
)
ONCE = quality("once", {"state": True, "labels": {"team": "red"}}, permanent=True)


def start(clock, fault=None) -> World:
    cluster = MemoryCluster(fault)
    owner = game_server_set(replicas=3, qualities=(IDLE, ONCE))
    body = owner.model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster.objects[GAMESERVERSETS.plural, SET_KEY] = body
    return World(cluster, clock)


def verdicts(idle, once):
    return probe_report("idle", idle), probe_report("once", once)


async def play(world: World) -> None:
    await world.settle()
    for id_ in range(4):
        world.verdicts[f"minecraft-{id_}"] = verdicts("False", "False")
    world.verdicts["minecraft-1"] = verdicts("True", "False")
    world.verdicts["minecraft-2"] = verdicts("False", "True")
    await world.settle()
    world.edit_set(replicas=2)
    await world.settle()
    world.verdicts["minecraft-2"] = verdicts("False", "False")
    await world.settle()
    world.verdicts["minecraft-1"] = verdicts("False", "False")
    world.verdicts["minecraft-2"] = verdicts("False", "True")
    world.edit_set(reserveGameServerIds=[0])
    await world.settle()


def outcome(world: World):
    """What there is in the end, without times and versions."""
    servers = {}
    for key, server in world.cluster.all(GAMESERVERS).items():
        metadata = server["metadata"]
        records = json.loads(metadata["annotations"][names.VERDICTS_ANNOTATION])
        pod = world.cluster.all(PODS)[key]["metadata"]
        servers[key.name] = {
            "spec": server["spec"],
            "team": metadata["labels"].get("team"),
            "records": {
                name: (each["status"], each.get("fields")) for name, each in records.items()
            },
            "label": pod["labels"][names.OPS_STATE_LABEL],
            "bound": server["status"]["podUid"] == pod["uid"],
            "conditions": [
                (each["name"], each["status"])
                for each in server["status"]["serviceQualitiesConditions"]
            ],
        }
    status = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["status"]
    return {
        "servers": servers,
        "current": status["currentReplicas"],
        "ready": status["readyReplicas"],
        "deleted": sorted(world.cluster.deleted),
        "created": sorted(world.cluster.created),
    }


SERVER = {
    "spec": {"opsState": "None", "updatePriority": 0, "deletionPriority": 0},
    "team": None,
    "records": {
        "idle": ("False", None),
        "once": ("False", None),
    },
    "label": "None",
    "bound": True,
    "conditions": [("idle", "False"), ("once", "False")],
}
EXPECTED = {
    "servers": {
        "minecraft-1": SERVER,
        "minecraft-2": SERVER
        | {
            "team": "red",
            "records": {
                "idle": ("False", None),
                "once": ("True", {"labels": {"team": "red"}}),
            },
            "conditions": [("idle", "False"), ("once", "True")],
        },
    },
    "current": 2,
    "ready": 2,
    "deleted": ["minecraft-0", "minecraft-1"],
    "created": ["minecraft-0", "minecraft-1", "minecraft-1", "minecraft-2"],
}


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    clock.install(monkeypatch)
    return clock


async def test_the_scenario_without_a_fault(clock):
    world = start(clock)
    await play(world)
    assert outcome(world) == EXPECTED


EDGES = {
    ("minecraft-1", "Normal", "ServiceQualityAction", "idle=True(empty)"),
    ("minecraft-2", "Normal", "ServiceQualityAction", "once=True(empty)"),
}
FAULTS = {
    "refused": (unavailable, False),
    "answer lost": (unavailable, True),
    "conflict": (conflict, False),
    "crash before": (crash, False),
    "crash after": (crash, True),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", FAULTS)
async def test_one_fault_at_any_write_changes_nothing_in_the_end(clock, kind):
    error, after = FAULTS[kind]
    number = 0
    while True:
        world = start(clock, Fault(number, error, after))
        await play(world)
        assert (number, outcome(world)) == (number, EXPECTED)
        if len(world.cluster.writes) <= number:
            break
        number += 1
    assert number > 30, "the scenario writes less than it should"


async def test_what_is_done_is_told_once(clock):
    world = start(clock)
    await play(world)
    told = [
        (name, type_, reason, message.partition(":")[0])
        for name, type_, reason, message in world.events.events
        if reason == names.REASON_SERVICE_QUALITY_ACTION
    ]
    assert (sorted(told), len(told)) == (sorted(EDGES), len(EDGES))


async def test_an_idle_system_writes_nothing(clock):
    world = start(clock)
    await play(world)
    world.cluster.writes.clear()
    clock.seconds += 25
    for _ in range(5):
        await world.step()
    assert world.cluster.writes == []


async def test_an_edge_costs_at_most_three_writes(clock):
    world = start(clock)
    await world.settle()
    world.verdicts["minecraft-1"] = verdicts("False", "False")
    await world.settle()
    world.cluster.writes.clear()
    world.verdicts["minecraft-1"] = verdicts("True", "False")
    await world.settle()
    assert [(write.kind, write.subresource) for write in world.cluster.writes] == [
        ("gameservers", None),
        ("gameservers", "status"),
        ("pods", None),
        ("gameserversets", "status"),
    ]


def kind_of(write) -> str:
    resources = (CONFIGMAPS, PODS, GAMESERVERS, GAMESERVERSETS)
    return next(each.kind for each in resources if each.plural == write.kind)


def fields_of(body, path=()):
    """The paths that a merge patch sets or removes, without its preconditions."""
    if not isinstance(body, dict) or not body:
        return {path}
    found = set().union(*(fields_of(value, (*path, name)) for name, value in body.items()))
    return found - {("metadata", "uid"), ("metadata", "resourceVersion")}


def written_by(write):
    """Pairs of a field and who wrote it."""
    if write.verb != "patch":
        return {((), write.writer)}
    if isinstance(write.body, list):
        pointers = (each["path"] for each in write.body if each["op"] != "test")
        paths = [tuple(JsonPointer(pointer).parts) for pointer in pointers]
        return {(path, Writer.CLAIMS) for path in paths}
    return {(path, write.writer) for path in fields_of(write.body)}


async def test_every_field_has_one_writer(clock):
    world = start(clock)
    await play(world)
    for write in world.cluster.writes:
        for path, writer in written_by(write):
            assert (path, writer_of(kind_of(write), path)) == (path, writer)
    assert {write.writer for write in world.cluster.writes} == {
        Writer.GAMESERVER,
        Writer.GAMESERVERSET,
    }


# -- caches that lag behind --------------------------------------------------------------------


def claimed(world: World) -> set[str]:
    servers = world.cluster.all(GAMESERVERS).items()
    return {key.name for key, server in servers if "deletion" in server["spec"]}


async def scaled_down(clock) -> World:
    """Three servers of which one has to go, and caches that know it."""
    world = start(clock)
    await world.settle()
    world.edit_set(replicas=2)
    world.catch_up()
    return world


@pytest.mark.parametrize(
    ("write", "after"),
    [(0, True), (1, False), (1, True)],
    ids=["answer to the claim lost", "deletion refused", "answer to the deletion lost"],
)
async def test_a_claim_that_the_cache_does_not_show_yet_takes_no_second_victim(clock, write, after):
    world = await scaled_down(clock)
    world.cluster.fault = Fault(len(world.cluster.writes) + write, unavailable, after)
    with pytest.raises(Unavailable):
        await world.sets.reconcile(SET_KEY)
    # Another one becomes the better victim, and of all changes the cache shows just this one.
    world.edit_server("minecraft-0", opsState="WaitToBeDeleted")
    world.show_server("minecraft-0")
    await world.sets.reconcile(SET_KEY)
    assert claimed(world) == {"minecraft-2"}
    await world.settle()
    assert (world.cluster.deleted, claimed(world)) == (["minecraft-2"], set())


async def test_a_claim_that_was_not_done_is_decided_again(clock):
    world = await scaled_down(clock)
    world.cluster.fault = Fault(len(world.cluster.writes), unavailable)
    with pytest.raises(Unavailable):
        await world.sets.reconcile(SET_KEY)
    world.edit_server("minecraft-0", opsState="WaitToBeDeleted")
    await world.settle()
    assert world.cluster.deleted == ["minecraft-0"]


async def test_a_server_that_changed_its_mind_is_spared_and_nobody_dies_in_its_place(clock):
    world = await scaled_down(clock)
    world.edit_server("minecraft-2", opsState="Allocated")
    with pytest.raises(Conflict, match="minecraft-2 changed before it could be claimed"):
        await world.sets.reconcile(SET_KEY)
    assert (world.cluster.deleted, claimed(world)) == ([], set())
    await world.settle()
    assert world.cluster.deleted == ["minecraft-1"]


async def test_a_pod_that_is_gone_when_its_deletion_comes_does_not_block_the_set(clock):
    world = await scaled_down(clock)
    key = ObjectKey("games", "minecraft-2")

    def delete_by_hand(write):
        if write.kind == GAMESERVERS.plural and write.name == key.name:
            del world.cluster.objects[PODS.plural, key]
            # The cache shows that before our own deletion is on its way.
            world.catch_up()

    world.cluster.on_write = delete_by_hand
    await world.sets.reconcile(SET_KEY)
    world.cluster.on_write = lambda _: None
    world.edit_set(replicas=3)
    await world.settle()
    assert sorted(each.name for each in world.cluster.all(PODS)) == [
        "minecraft-0",
        "minecraft-1",
        "minecraft-2",
    ]


async def test_the_server_of_an_older_pod_is_never_claimed_for_its_successor(clock):
    world = await scaled_down(clock)
    key = ObjectKey("games", "minecraft-2")
    world.cluster.objects[PODS.plural, key]["metadata"]["uid"] = "successor"
    world.cluster.objects[PODS.plural, key]["metadata"]["resourceVersion"] = "9999"
    world.catch_up()
    await world.sets.reconcile(SET_KEY)
    assert (world.cluster.deleted, claimed(world)) == ([], set())


@pytest.mark.parametrize("labels", [{}, None], ids=["owner label removed", "no labels at all"])
async def test_a_server_whose_labels_a_person_removed_can_still_be_scaled_down(clock, labels):
    world = start(clock)
    await world.settle()
    metadata = world.cluster.objects[GAMESERVERS.plural, ObjectKey("games", "minecraft-2")][
        "metadata"
    ]
    metadata["resourceVersion"] = str(world.cluster.version)
    metadata.pop("labels")
    if labels is not None:
        metadata["labels"] = labels
    world.edit_set(replicas=2)
    await world.settle()
    assert world.cluster.deleted == ["minecraft-2"]


async def test_a_server_that_was_deleted_by_hand_is_made_again_with_defaults(clock):
    world = start(clock)
    await world.settle()
    key = ObjectKey("games", "minecraft-1")
    world.edit_server("minecraft-1", opsState="Allocated")
    await world.settle()
    del world.cluster.objects[GAMESERVERS.plural, key]
    await world.settle()
    assert world.cluster.objects[GAMESERVERS.plural, key]["spec"]["opsState"] == "None"


async def test_a_set_that_is_being_deleted_is_left_alone(clock):
    world = start(clock)
    world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["metadata"]["deletionTimestamp"] = (
        "2026-01-02T03:04:05Z"
    )
    await world.settle()
    assert world.cluster.writes == []


@pytest.mark.parametrize(
    "error",
    [
        TransientError("Quota", "exceeded quota: pods=1"),
        # No retry would be right for what is wrong with the pod; a quota is lifted without a word.
        Rejected("Forbidden", "exceeded quota: pods=1", 403),
    ],
    ids=["transient", "rejected"],
)
async def test_refused_creations_stop_early_are_told_and_the_status_says_what_is_there(
    clock, error
):
    world = start(clock, Fault(2, lambda: error))
    world.edit_set(replicas=9)
    world.catch_up()
    with pytest.raises(TransientError, match="exceeded quota"):
        await world.sets.reconcile(SET_KEY)
    created = [write.name for write in world.cluster.writes if write.kind == "pods"]
    assert created == ["minecraft-0", "minecraft-1", "minecraft-2"]
    assert world.events.events == [
        ("minecraft", "Warning", "FailedCreate", "cannot create pods: exceeded quota: pods=1")
    ]
    assert world.cluster.writes[-1].subresource == "status"
