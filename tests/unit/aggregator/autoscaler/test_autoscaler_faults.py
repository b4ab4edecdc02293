"""Writes that fail, answers that are lost: nothing is done twice and nobody goes for another."""

import pytest

from aggregator.autoscaler.apply import Applier
from aggregator.autoscaler.autoscaling import Autoscaling
from aggregator.autoscaler.own_claims import OwnClaims
from aggregator.kube.errors import Unavailable
from aggregator.kube.resources import GAMESERVERS
from aggregator.scaling.policy import Policy
from shared.api.ownership import Writer, writer_of
from tests.support.autoscaled_world import SET_KEY, autoscaled, install
from tests.support.builders import NOW
from tests.support.memory_cluster import Fault, conflict, unavailable
from tests.support.scaling import MARKED

pytestmark = pytest.mark.timeout(60)
FREE = {"scaleDown": {"stabilizationWindowSeconds": 0, "waitToBeDeletedSeconds": 10}}


@pytest.fixture
def clock(clock, monkeypatch):
    install(clock, monkeypatch)
    return clock


@pytest.mark.parametrize("after", [False, True], ids=["it was not done", "it was done"])
@pytest.mark.parametrize("error", [unavailable, conflict])
async def test_each_write_may_fail_and_the_set_still_comes_to_what_is_wanted(clock, error, after):
    plain = autoscaled(clock, replicas=4, minAvailable=3, behavior=FREE)
    count = await play(plain)
    assert count > 0
    for number in range(count):
        world = autoscaled(clock, replicas=4, minAvailable=3, behavior=FREE)
        fault_at(world, number, error, after)
        await play(world)
        assert sorted(world.removed) == ["minecraft-1"], number
        assert world.states() == {"None": 3}, number
        assert world.spec_replicas() == 3, number


async def play(world) -> int:
    """Mark one of four servers and let it go; return how many writes the autoscaler asked for."""
    await world.run(10)
    world.edit_server("minecraft-1", opsState=MARKED)
    await world.run(60)
    return sum(write.writer == "aggregator.autoscaler" for write in world.cluster.writes)


def fault_at(world, number, error, after) -> None:
    """Let the autoscaler's write with this number fail."""
    seen = [0]

    def watch(write):
        if world.cluster.writer == "aggregator.autoscaler":
            if seen[0] == number:
                total = len(world.cluster.writes) - 1
                world.cluster.fault = Fault(total, error, after)
            seen[0] += 1

    world.cluster.on_write = watch


async def test_every_field_that_is_written_has_its_writer(clock):
    world = autoscaled(clock, replicas=1, minAvailable=3, behavior=FREE)
    await world.run(20)
    world.edit_server("minecraft-1", opsState=MARKED)
    await world.run(40)
    ours = [w for w in world.cluster.writes if w.writer == "aggregator.autoscaler"]
    kinds = {(write.kind, write.subresource) for write in ours}
    assert kinds == {
        ("gameserversets", None),
        ("gameservers", None),
        ("gameserversetautoscalers", "status"),
    }
    assert writer_of("GameServerSetAutoscaler", ("status",)) is Writer.AUTOSCALER
    for write in ours:
        if write.kind == "gameserversets":
            assert write.body.keys() == {"metadata", "spec"}
            assert write.body["spec"].keys() == {"replicas"}
            assert write.body["metadata"].keys() == {"uid", "resourceVersion"}


async def test_marked_servers_are_removed_by_name_for_as_long_as_keda_asks(clock):
    world = autoscaled(clock, replicas=5, mode="Off")
    await world.run(10)
    autoscaling = Autoscaling(world.cluster, world.events, world.caches, 1)
    remover = autoscaling._remover
    remover.ask(SET_KEY, Policy(0, 100))
    for id_ in (1, 3):
        world.edit_server(f"minecraft-{id_}", opsState=MARKED)
    await world.run(6)
    result = await remover.reconcile(SET_KEY)
    assert result.changes == ("claim 2",)
    # The cache does not show the claims yet: nobody is claimed twice.
    assert (await remover.reconcile(SET_KEY)).changes == ()
    await world.run(20)
    assert sorted(world.removed) == ["minecraft-1", "minecraft-3"]
    assert world.spec_replicas() == 3
    clock.seconds += 200
    await remover.reconcile(SET_KEY)
    assert not remover.knows(SET_KEY)


async def test_a_claim_whose_answer_was_lost_is_looked_up_at_once_or_later(clock):
    world = autoscaled(clock, replicas=2, mode="Off")
    await world.run(10)
    applier = Applier(world.cluster, world.events)
    server = world.caches.servers.get(SET_KEY._replace(name="minecraft-1"))
    pod_uid = server.metadata.owner_references[0].uid
    world.cluster.fault = Fault(len(world.cluster.writes), unavailable, after=True)
    world.cluster.failures["get"].append(unavailable())
    removed = await applier.remove([(server, pod_uid)], NOW)
    key = SET_KEY._replace(name="minecraft-1")
    assert (removed.claimed, removed.uncertain) == ([], {key: pod_uid})

    other = world.caches.servers.get(SET_KEY._replace(name="minecraft-0"))
    other_uid = other.metadata.owner_references[0].uid
    world.cluster.fault = Fault(len(world.cluster.writes), unavailable, after=True)
    removed = await applier.remove([(other, other_uid)], NOW)
    assert (removed.claimed, removed.uncertain) == ([other_uid], {})

    claims = OwnClaims()
    gone = SET_KEY._replace(name="gone")
    claims.note([], {key: pod_uid, key._replace(name="minecraft-0"): "another", gone: "gone-uid"})
    await applier.settle(claims)
    assert claims == OwnClaims({pod_uid})
    stored = world.cluster.objects[GAMESERVERS.plural, key]
    assert stored["spec"]["deletion"]["reason"] == "Autoscaler"


async def test_while_the_api_server_cannot_be_asked_a_claim_stays_uncertain(clock):
    world = autoscaled(clock, replicas=1, mode="Off")
    await world.run(10)
    claims = OwnClaims()
    uncertain = {SET_KEY._replace(name="minecraft-0"): "pod-uid"}
    claims.note([], uncertain)
    world.cluster.failures["get"].append(unavailable())
    with pytest.raises(Unavailable):
        await Applier(world.cluster, world.events).settle(claims)
    assert claims == OwnClaims(uncertain=uncertain)


@pytest.mark.parametrize(
    ("interference", "told"),
    [
        pytest.param({"opsState": "Allocated"}, ["spared minecraft-1"], id="it got busy"),
        pytest.param(
            {"deletion": {"reason": "ScaleDown", "podUid": "u", "at": "2026-01-01T00:00:00Z"}},
            ["claimed by another minecraft-1"],
            id="another claimed it first",
        ),
    ],
)
async def test_the_log_tells_why_a_victim_was_not_claimed(clock, interference, told):
    world = autoscaled(clock, replicas=2, mode="Off")
    await world.run(10)
    server = world.caches.servers.get(SET_KEY._replace(name="minecraft-1"))
    world.edit_server("minecraft-1", **interference)
    removed = await Applier(world.cluster, world.events).remove([(server, "pod-uid")], NOW)
    assert (removed.told, removed.claimed, removed.uncertain) == (told, [], {})
