"""The write path with caches that lag behind, and with people who act at the same time."""

import json

import pytest

from aggregator.gameserverset.creations import UNSHOWN_SECONDS
from aggregator.kube.errors import Conflict, Rejected, TransientError, Unavailable
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS, ObjectKey
from shared.api import names
from shared.api.gameserverset import GameServerSet
from tests.support.builders import probe_report
from tests.support.memory_cluster import Fault, Write, unavailable
from tests.support.world import SET_KEY, World, start, verdicts


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
    [(1, False), (1, True)],
    ids=["deletion refused", "answer to the deletion lost"],
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
    with pytest.raises(Conflict, match="minecraft-2 has no GameServer yet"):
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


QUOTA = "exceeded quota: pods=1"


def refuse_after(world: World, count: int, error: Exception) -> None:
    """Refuse every pod after the first `count`."""

    def refuse(write):
        if (write.verb, write.kind) == ("create", "pods") and len(world.cluster.created) >= count:
            raise error

    world.cluster.on_write = refuse


def pods_asked_for(world: World) -> list[str]:
    writes = world.cluster.writes
    return [write.name for write in writes if (write.verb, write.kind) == ("create", "pods")]


async def test_pods_that_the_api_server_refuses_are_told_and_asked_for_again_in_a_while(clock):
    world = start(clock)
    world.edit_set(replicas=9)
    world.catch_up()
    refuse_after(world, 1, Rejected("Forbidden", QUOTA, 403))
    result = await world.sets.reconcile(SET_KEY)
    assert pods_asked_for(world) == ["minecraft-0", "minecraft-1", "minecraft-2"]
    assert world.events.events == [
        ("minecraft", "Warning", "FailedCreate", f"cannot create pods: {QUOTA}")
    ]
    stored = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]
    conditions = {each["type"]: each for each in stored["status"]["conditions"]}
    told = {key: conditions["ReplicaFailure"][key] for key in ("status", "reason", "message")}
    assert told == {
        "status": "True",
        "reason": "FailedCreate",
        "message": f"cannot create pods: {QUOTA}",
    }
    assert (stored["spec"]["replicas"], result.requeue_after_seconds) == (9, 1.0)


async def test_a_quota_that_is_lifted_completes_the_set(clock):
    world = start(clock)
    refuse_after(world, 1, Rejected("Forbidden", QUOTA, 403))
    for _ in range(6):
        await world.step()
    assert world.cluster.created == ["minecraft-0"]
    world.cluster.on_write = lambda _: None
    await world.settle()
    assert world.cluster.created == ["minecraft-0", "minecraft-1", "minecraft-2"]
    conditions = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["status"]["conditions"]
    assert "ReplicaFailure" not in [each["type"] for each in conditions]


async def test_a_creation_that_may_work_at_once_is_tried_again_with_backoff(clock):
    world = start(clock)
    world.catch_up()
    refuse_after(world, 1, TransientError("ServiceUnavailable", "overloaded"))
    with pytest.raises(TransientError, match="overloaded"):
        await world.sets.reconcile(SET_KEY)
    assert pods_asked_for(world) == ["minecraft-0", "minecraft-1", "minecraft-2"]
    assert (world.events.events, world.cluster.writes[-1].subresource) == ([], "status")


async def test_an_edge_decided_on_an_old_server_is_refused(clock):
    world = start(clock)
    await world.settle()
    world.verdicts["minecraft-1"] = verdicts("True", "False")
    world.catch_up()
    world.edit_server("minecraft-1", opsState="Allocated")
    with pytest.raises(Conflict):
        await world.servers.reconcile(ObjectKey("games", "minecraft-1"))
    server = world.cluster.objects[GAMESERVERS.plural, ObjectKey("games", "minecraft-1")]
    assert server["spec"]["opsState"] == "Allocated"


@pytest.mark.parametrize("replicas", [2, 5], ids=["deletions", "creations"])
async def test_nothing_is_decided_before_the_cache_shows_our_own_writes(clock, replicas):
    world = start(clock)
    await world.settle()
    world.edit_set(replicas=replicas)
    world.catch_up()
    await world.sets.reconcile(SET_KEY)
    written = len(world.cluster.writes)
    await world.sets.reconcile(SET_KEY)
    assert len(world.cluster.writes) == written
    assert not world.expectations.satisfied(SET_KEY, clock.seconds)


async def test_a_pod_that_came_and_went_unseen_is_waited_for_a_few_seconds_only(clock):
    world = start(clock)
    world.catch_up()
    await world.sets.reconcile(SET_KEY)
    # A list instead of a watch: no event tells that this pod was there, nor that it is gone.
    del world.cluster.objects[PODS.plural, ObjectKey("games", "minecraft-1")]
    world.catch_up()
    written = len(world.cluster.writes)
    result = await world.sets.reconcile(SET_KEY)
    assert (result.requeue_after_seconds, len(world.cluster.writes)) == (UNSHOWN_SECONDS, written)
    clock.seconds += UNSHOWN_SECONDS
    result = await world.sets.reconcile(SET_KEY)
    assert (result.requeue_after_seconds, len(world.cluster.writes)) == (0.0, written)
    await world.sets.reconcile(SET_KEY)
    assert pods_asked_for(world)[-1] == "minecraft-1"


def lose_the_answer(world: World, verb: str, *, done: bool) -> None:
    """Let the answer to the next write of this kind to a pod be lost."""

    def look(write: Write) -> None:
        if (write.verb, write.kind) == (verb, "pods"):
            world.cluster.fault = Fault(len(world.cluster.writes) - 1, unavailable, done)
            world.cluster.on_write = lambda _: None

    world.cluster.on_write = look


def show_set(world: World) -> None:
    """Let the cache show the set only."""
    body = json.dumps(world.cluster.objects[GAMESERVERSETS.plural, SET_KEY])
    world.caches.sets.put(SET_KEY, GameServerSet.model_validate_json(body))


@pytest.mark.parametrize("done", [True, False], ids=["it was done", "it was not"])
async def test_a_creation_without_an_answer_is_looked_up_before_the_next_decision(clock, done):
    world = start(clock)
    world.edit_set(replicas=1)
    world.catch_up()
    lose_the_answer(world, "create", done=done)
    with pytest.raises(Unavailable):
        await world.sets.reconcile(SET_KEY)
    world.edit_set(reserveGameServerIds=[0])
    show_set(world)
    await world.sets.reconcile(SET_KEY)
    await world.sets.reconcile(SET_KEY)
    asked = ["minecraft-0"] if done else ["minecraft-0", "minecraft-1"]
    assert pods_asked_for(world) == asked
    await world.settle()
    assert [key.name for key in world.cluster.all(PODS)] == ["minecraft-1"]


@pytest.mark.parametrize("done", [True, False], ids=["it was done", "it was not"])
async def test_a_deletion_without_an_answer_disturbs_nobody_else(clock, done):
    world = start(clock)
    await world.settle()
    template = {"spec": {"containers": [{"name": "game", "image": "game:2"}]}}
    world.edit_set(gameServerTemplate=template)
    world.catch_up()
    lose_the_answer(world, "delete", done=done)
    with pytest.raises(Unavailable):
        await world.sets.reconcile(SET_KEY)
    # A person would rather have this one updated last, and of all pods the cache shows nothing.
    show_set(world)
    world.edit_server("minecraft-2", updatePriority=-1)
    world.show_server("minecraft-2")
    await world.sets.reconcile(SET_KEY)
    assert world.cluster.deleted == (["minecraft-2"] if done else ["minecraft-1"])


async def test_a_creation_that_is_there_but_not_shown_is_waited_for(clock):
    world = start(clock)
    world.catch_up()
    await world.sets.reconcile(SET_KEY)
    written = len(world.cluster.writes)
    clock.seconds += UNSHOWN_SECONDS
    await world.sets.reconcile(SET_KEY)
    await world.sets.reconcile(SET_KEY)
    assert len(world.cluster.writes) == written


async def test_the_status_of_a_set_is_written_at_most_once_a_second(clock):
    world = start(clock)
    await world.settle()
    world.edit_server("minecraft-0", opsState="Allocated")
    world.catch_up()
    await world.sets.reconcile(SET_KEY)
    world.edit_server("minecraft-1", opsState="Allocated")
    world.catch_up()
    clock.seconds += 0.25
    written = len(world.cluster.writes)
    result = await world.sets.reconcile(SET_KEY)
    assert (result.requeue_after_seconds, len(world.cluster.writes)) == (0.75, written)
    clock.seconds += 0.75
    await world.sets.reconcile(SET_KEY)
    status = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["status"]
    assert status["allocatedReplicas"] == 2


async def test_a_status_is_not_written_onto_a_set_that_the_cache_shows_too_old(clock):
    world = start(clock)
    await world.settle()
    for id_ in range(2):
        world.edit_server(f"minecraft-{id_}", opsState="Allocated")
        # Only the servers are shown: the set lags behind our own write of its status.
        world.show_server(f"minecraft-{id_}")
        clock.seconds += 2
        await world.sets.reconcile(SET_KEY)
    statuses = [write for write in world.cluster.writes if write.kind == GAMESERVERSETS.plural]
    assert statuses[-1].body["status"]["allocatedReplicas"] == 1
    await world.settle()
    status = world.cluster.objects[GAMESERVERSETS.plural, SET_KEY]["status"]
    assert status["allocatedReplicas"] == 2


async def test_a_result_that_changes_every_time_is_remembered_once_in_ten_seconds(clock):
    world = start(clock)
    await world.settle()
    world.verdicts["minecraft-0"] = verdicts("False", "False")
    await world.settle()
    clock.seconds += 20
    world.cluster.writes.clear()
    for round_ in range(10):
        probes = (probe_report("idle", "False", str(round_)), probe_report("once", "False"))
        world.verdicts["minecraft-0"] = probes
        await world.step()
    remembered = [
        write
        for write in world.cluster.writes
        if write.kind == GAMESERVERS.plural and write.subresource is None
    ]
    assert len(remembered) == 2, "ten rounds of two seconds"


async def test_a_pod_that_does_not_run_yet_has_no_agent_to_lose(clock):
    world = start(clock)
    await world.step()
    await world.step()
    clock.seconds += 60
    await world.step()
    reasons = {
        condition["reason"]
        for server in world.cluster.all(GAMESERVERS).values()
        for condition in server["status"]["serviceQualitiesConditions"]
    }
    assert reasons == {"NoReport"}


async def test_a_change_is_told_once_while_the_cache_shows_the_pod_as_it_was(clock):
    world = start(clock)
    await world.settle()
    key = ObjectKey(SET_KEY.namespace, "minecraft-0")
    world.edit_server("minecraft-0", opsState="Allocated")
    world.show_server("minecraft-0")
    await world.servers.reconcile(key)
    world.show_server("minecraft-0")
    with pytest.raises(Conflict):
        await world.servers.reconcile(key)
    told = [event for event in world.events.events if event[2] == names.REASON_STATE_CHANGED]
    assert told == [("minecraft-0", "Normal", "GsStateChanged", "opsState None -> Allocated")]
