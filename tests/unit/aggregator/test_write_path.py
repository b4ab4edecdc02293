"""Both reconcilers against a cluster that fails at any one write: they converge, nothing is twice.

The scenario: three servers are created; number 1 asks for WaitToBeDeleted and number 2 acts once
and for all; the set is scaled to two; an id is reserved.
"""

import json

import pytest
from jsonpointer import JsonPointer

from aggregator.kube.resources import (
    CONFIGMAPS,
    CONTROLLERREVISIONS,
    GAMESERVERS,
    GAMESERVERSETS,
    NETWORKPOLICIES,
    PODS,
    SERVICES,
)
from shared.api import names
from shared.api.ownership import Writer, writer_of
from tests.support.memory_cluster import Fault, conflict, crash, unavailable
from tests.support.world import SET_KEY, World, start, verdicts


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
    companions = (CONTROLLERREVISIONS, NETWORKPOLICIES, SERVICES)
    resources = (CONFIGMAPS, PODS, GAMESERVERS, GAMESERVERSETS, *companions)
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
        writer = Writer.CLAIMS if write.kind == GAMESERVERS.plural else write.writer
        return {(path, writer) for path in paths}
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
