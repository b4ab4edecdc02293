"""Time series: the real reconcilers of set, server and autoscaler, minutes of virtual time."""

import pytest

from tests.support.autoscaled_world import Pods, autoscaled, install
from tests.support.builders import probe_report
from tests.support.scaling import MARKED
from tests.support.world import IDLE

# Minutes of virtual time with a hundred servers take seconds where both cores are busy.
pytestmark = pytest.mark.timeout(60)

FREE = {"scaleDown": {"stabilizationWindowSeconds": 0, "waitToBeDeletedSeconds": 30}}


@pytest.fixture
def clock(clock, monkeypatch):
    install(clock, monkeypatch)
    return clock


def allocate(world, ids):
    for id_ in ids:
        world.edit_server(f"minecraft-{id_}", opsState="Allocated")


async def test_a_set_grows_to_what_it_shall_keep(clock):
    world = autoscaled(clock, replicas=1, minAvailable=3)
    await world.run(60)
    assert world.states() == {"None": 3}
    assert world.replicas == [1, 3]
    assert world.status()["desiredReplicas"] == 3
    assert world.condition("ScalingActive") == ("True", "ValidPolicy")


async def test_a_marked_server_goes_after_its_dwell_and_nobody_else(clock):
    world = autoscaled(clock, replicas=20, behavior=FREE)
    await world.run(20)
    world.edit_server("minecraft-7", opsState=MARKED)
    await world.run(28)
    assert world.removed == []
    await world.run(20)
    assert world.removed == ["minecraft-7"]
    assert world.states() == {"None": 19}
    assert world.spec_replicas() == 19


async def test_a_server_that_takes_its_mark_back_in_time_stays(clock):
    world = autoscaled(clock, replicas=3, behavior=FREE)
    await world.run(20)
    world.edit_server("minecraft-1", opsState=MARKED)
    await world.run(20)
    world.edit_server("minecraft-1", opsState="None")
    await world.run(6)
    world.edit_server("minecraft-1", opsState=MARKED)
    await world.run(20)
    assert world.removed == []
    await world.run(30)
    assert world.removed == ["minecraft-1"]


@pytest.mark.parametrize("grace", [60, 120, 600])
async def test_servers_that_terminate_slowly_are_not_counted_as_idle(clock, grace):
    world = autoscaled(
        clock,
        replicas=30,
        pods=Pods(grace_seconds=grace),
        minAvailable=3,
        behavior=FREE,
    )
    await world.run(20)
    allocate(world, range(20, 30))
    world.edit_autoscaler(maxAvailable=10)
    await world.run(60)
    await world.run(grace + 60, pace=20)
    assert world.states() == {"None": 10, "Allocated": 10}
    assert sorted(world.removed) == sorted(f"minecraft-{id_}" for id_ in range(10, 20))
    assert world.spec_replicas() == 20


async def test_slow_boot_asks_for_no_more(clock):
    world = autoscaled(clock, replicas=1, pods=Pods(boot_seconds=90), minAvailable=10)
    await world.run(300)
    assert world.states() == {"None": 10}
    assert world.replicas == [1, 5, 10]


async def test_nine_marked_and_one_idle_at_the_ceiling_come_to_three_idle(clock):
    world = autoscaled(clock, replicas=10, minAvailable=3, maxReplicas=10, behavior=FREE)
    await world.run(20)
    for id_ in range(1, 10):
        world.edit_server(f"minecraft-{id_}", opsState=MARKED)
    await world.run(120)
    assert world.states() == {"None": 3}
    assert set(world.removed) == {f"minecraft-{id_}" for id_ in range(1, 10)}


async def test_a_hundred_allocated_get_ten_more(clock):
    world = autoscaled(clock, replicas=100, minAvailable=10, maxReplicas=500)
    await world.run(6)
    allocate(world, range(100))
    await world.run(60, pace=15)
    assert world.states() == {"Allocated": 100, "None": 10}


async def test_a_restart_in_the_middle_of_a_window_begins_it_again_and_keeps_the_dwell(clock):
    window = {"stabilizationWindowSeconds": 60, "waitToBeDeletedSeconds": 40}
    world = autoscaled(clock, replicas=5, maxAvailable=3, behavior={"scaleDown": window})
    await world.run(20)
    world.edit_server("minecraft-0", opsState=MARKED)
    await world.run(20)
    world.restart()
    await world.run(30)
    # The dwell began before the restart, the window with it.
    assert world.removed == ["minecraft-0"]
    await world.run(40)
    assert world.removed == ["minecraft-0", "minecraft-4"]
    assert world.states() == {"None": 3}


async def test_after_a_time_off_a_window_begins_again(clock):
    window = {"stabilizationWindowSeconds": 60}
    world = autoscaled(clock, replicas=5, maxAvailable=3, behavior={"scaleDown": window})
    await world.run(20)
    world.edit_autoscaler(mode="Off")
    await world.run(120, pace=10)
    world.edit_autoscaler(mode="Active")
    await world.run(50, pace=5)
    assert world.removed == []
    await world.run(30, pace=5)
    assert world.states() == {"None": 3}


async def test_a_set_goes_to_nothing_and_comes_back(clock):
    world = autoscaled(clock, replicas=2, behavior=FREE)
    await world.run(20)
    for id_ in range(2):
        world.edit_server(f"minecraft-{id_}", opsState=MARKED)
    await world.run(60)
    assert (world.states(), world.spec_replicas()) == ({}, 0)
    world.edit_autoscaler(minAvailable=2)
    await world.run(30)
    assert (world.states(), world.spec_replicas()) == ({"None": 2}, 2)


async def test_an_idle_set_costs_no_write(clock):
    world = autoscaled(clock, replicas=3, minAvailable=3, maxAvailable=5)
    await world.run(60)
    before = len(world.cluster.writes)
    await world.run(600, pace=10)
    assert world.cluster.writes[before:] == []


async def test_dry_run_writes_its_status_and_nothing_else(clock):
    world = autoscaled(clock, replicas=1, minAvailable=3, mode="DryRun")
    await world.run(60)
    assert world.replicas == [1]
    assert world.condition("ScalingActive") == ("False", "DryRun")
    assert world.status()["lastDecision"]["add"] == 2
    writes = [w for w in world.cluster.writes if w.writer == "aggregator.autoscaler"]
    assert {(w.kind, w.subresource) for w in writes} == {("gameserversetautoscalers", "status")}
    assert len(writes) <= 3


async def test_a_victim_that_got_busy_is_spared_and_nobody_goes_for_it(clock):
    world = autoscaled(clock, replicas=5, behavior=FREE)
    await world.run(20)
    world.edit_server("minecraft-2", opsState=MARKED)

    def allocate_in_between(write):
        # A matchmaker is faster: between the decision and its write.
        if write.kind == "gameservers" and isinstance(write.body, list):
            world.cluster.on_write = lambda _: None
            world.edit_server("minecraft-2", opsState="Allocated")

    world.cluster.on_write = allocate_in_between
    await world.run(120)
    assert world.removed == []
    assert world.states() == {"None": 4, "Allocated": 1}
    assert world.spec_replicas() == 5


async def test_a_quota_of_one_keeps_replicas_at_what_is_wanted(clock):
    world = autoscaled(clock, replicas=1, pods=Pods(quota=1), minAvailable=3)
    await world.run(240, pace=6)
    assert world.replicas == [1, 3]
    assert world.states() == {"None": 1}
    await world.run(200, pace=20)
    assert world.replicas == [1, 3]
    assert world.condition("ServersNotBecomingReady") == ("True", "TooSlow")


async def test_a_server_that_waits_for_its_hook_counts_as_gone_and_nobody_follows(clock):
    world = autoscaled(clock, replicas=4, behavior=FREE)
    world.edit_set(lifecycle={"preDelete": {"labelsHandler": {"drained": "false"}}})
    await world.run(20)
    for id_ in range(4):
        world.label(f"minecraft-{id_}", drained="false")
    world.edit_server("minecraft-1", opsState=MARKED)
    await world.run(120, pace=5)
    assert world.removed == []
    assert world.spec_replicas() == 3
    assert world.status()["counts"]["leaving"] == 1
    world.label("minecraft-1", drained="true")
    await world.run(20)
    assert world.removed == ["minecraft-1"]
    assert world.states() == {"None": 3}


async def test_a_share_is_kept_while_players_come_and_go(clock):
    half = {"minReplicas": 1, "minAvailable": "50%", "maxAvailable": "50%"}
    world = autoscaled(clock, replicas=10, mode="Off", behavior=FREE, **half)
    await world.run(10)
    allocate(world, range(8))
    world.edit_autoscaler(mode="Active")
    await world.run(60)
    assert world.states() == {"Allocated": 8, "None": 8}
    for id_ in range(4):
        world.edit_server(f"minecraft-{id_}", opsState="None")
    await world.run(60)
    assert world.states() == {"Allocated": 4, "None": 4}


async def test_where_the_probe_marks_every_empty_server_the_marked_are_kept_and_counted(clock):
    world = autoscaled(
        clock,
        replicas=3,
        qualities=(IDLE,),
        minAvailable=3,
        supplyOpsStates=[MARKED],
        behavior=FREE,
    )
    # Nobody is inside, but the probe says so only after a while.
    await world.run(20)
    world.verdicts = {f"minecraft-{id_}": (probe_report("idle", "True"),) for id_ in range(9)}
    await world.run(100, pace=5)
    assert (world.states(), world.removed, world.replicas) == ({MARKED: 3}, [], [3])
    world.verdicts["minecraft-0"] = (probe_report("idle", "False"),)
    await world.run(40)
    assert world.states() == {"None": 1, MARKED: 3}
    world.verdicts["minecraft-0"] = (probe_report("idle", "True"),)
    await world.run(60)
    assert (world.states(), world.removed) == ({MARKED: 3}, ["minecraft-3"])


async def test_the_same_pattern_without_telling_so_is_called_churning(clock):
    world = autoscaled(clock, replicas=2, minAvailable=2, pods=Pods(boot_seconds=6), behavior=FREE)

    def probe(_seconds):
        for name, ops_state in world.ops_states().items():
            if ops_state == "None":
                world.edit_server(name, opsState=MARKED)

    world.on_step = probe
    await world.run(240, pace=4)
    assert world.condition("Churning") == ("True", "NeverUsed")


async def test_a_schedule_holds_its_own_numbers_from_its_start_to_its_end(clock):
    # The world begins at 03:20:45 UTC.
    window = {"name": "rush", "start": "22 3 * * *", "end": "25 3 * * *", "minAvailable": 4}
    world = autoscaled(
        clock, replicas=1, minAvailable=1, maxAvailable=1, schedules=[window], behavior=FREE
    )
    await world.run(60)
    assert world.replicas == [1]
    await world.run(60)
    assert world.states() == {"None": 4}
    await world.run(240, pace=5)
    assert world.states() == {"None": 1}
