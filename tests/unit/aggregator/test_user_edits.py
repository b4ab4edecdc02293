"""What a person sets between a report and the write it leads to is never lost."""

import pytest

from aggregator.kube.resources import GAMESERVERS, ObjectKey
from shared.api import names
from tests.support.builders import game_server_set, probe_report, quality
from tests.support.memory_cluster import Fault, MemoryCluster, conflict, crash, unavailable
from tests.support.world import SET_KEY, World

KEY = ObjectKey(SET_KEY.namespace, "minecraft-0")
BUSY = quality(
    "busy",
    {
        "state": True,
        "opsState": "Allocated",
        "deletionPriority": 10,
        "updatePriority": 3,
        "labels": {"team": "red"},
        "annotations": {"map": "de_dust"},
        "networkDisabled": False,
    },
    {"state": False, "opsState": "None", "deletionPriority": 0},
)
WRITTEN = {
    ("spec", "opsState"): "Allocated",
    ("spec", "deletionPriority"): 10,
    ("spec", "updatePriority"): 3,
    ("spec", "networkDisabled"): False,
    ("metadata", "labels", "team"): "red",
    ("metadata", "annotations", "map"): "de_dust",
}
EDITS = {
    "opsState": (("spec", "opsState"), "Maintaining"),
    "a state of its own": (("spec", "opsState"), "Draining"),
    "deletionPriority": (("spec", "deletionPriority"), 77),
    "updatePriority": (("spec", "updatePriority"), 78),
    "networkDisabled": (("spec", "networkDisabled"), True),
    "label": (("metadata", "labels", "team"), "blue"),
    "annotation": (("metadata", "annotations", "map"), "de_inferno"),
    "another label": (("metadata", "labels", "note"), "hello"),
}


async def ready(clock) -> World:
    """One server that is not busy, and knows it."""
    cluster = MemoryCluster()
    body = game_server_set(replicas=1, qualities=(BUSY,)).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    cluster.objects["gameserversets", SET_KEY] = body
    world = World(cluster, clock)
    await world.settle()
    world.verdicts[KEY.name] = (probe_report("busy", "False"),)
    await world.settle()
    return world


def stored(world: World):
    return world.cluster.objects[GAMESERVERS.plural, KEY]


def value(world: World, path):
    found = stored(world)
    for name in path:
        found = found[name]
    return found


def edit(world: World, path, new) -> None:
    """Change one field by hand."""
    *parents, last = path
    place = stored(world)
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = new
    _give_new_version(world)


def remove(world: World, path) -> None:
    """Remove one field by hand."""
    *parents, last = path
    del value(world, parents)[last]
    _give_new_version(world)


def _give_new_version(world: World) -> None:
    world.cluster.version += 1
    stored(world)["metadata"]["resourceVersion"] = str(world.cluster.version)


def edit_before_next_write(world: World, path, new) -> None:
    """Change one field just before the API server gets the write of the edge."""

    def on_write(write) -> None:
        if write.kind == GAMESERVERS.plural and write.subresource is None:
            world.cluster.on_write = lambda _: None
            edit(world, path, new)

    world.cluster.on_write = on_write


def edit_after_report(world: World, path, new) -> None:
    """Change one field when the report has come, and let the cache see that before anything."""
    world.catch_up()
    world.servers.note_report(KEY)
    edit(world, path, new)


def remove_after_report(world: World, path) -> None:
    """Remove one field when the report has come, and let the cache see that before anything."""
    world.catch_up()
    world.servers.note_report(KEY)
    remove(world, path)


@pytest.mark.parametrize("moment", [edit_before_next_write, edit_after_report])
@pytest.mark.parametrize("name", EDITS)
async def test_an_edit_between_report_and_write_stays(clock, name: str, moment) -> None:
    world = await ready(clock)
    world.verdicts[KEY.name] = (probe_report("busy", "True"),)
    path, new = EDITS[name]
    if moment is edit_before_next_write:
        world.catch_up()
        world.servers.note_report(KEY)
    moment(world, path, new)
    await world.settle()
    assert {each: value(world, each) for each in {**WRITTEN, path: new}} == WRITTEN | {path: new}
    # It was an edge, and it is over: nothing comes back later.
    await world.settle()
    assert value(world, path) == new


REMOVALS = {
    "a label": ("metadata", "labels", "team"),
    "an annotation": ("metadata", "annotations", "map"),
    "networkDisabled": ("spec", "networkDisabled"),
}


@pytest.mark.parametrize("path", REMOVALS.values(), ids=REMOVALS)
async def test_what_was_removed_between_report_and_write_stays_away(clock, path) -> None:
    world = await ready(clock)
    edit(world, path, True if path[-1] == "networkDisabled" else "mine")
    world.verdicts[KEY.name] = (probe_report("busy", "True"),)
    remove_after_report(world, path)
    await world.settle()
    assert path[-1] not in value(world, path[:-1])
    assert value(world, ("spec", "opsState")) == "Allocated"


@pytest.mark.parametrize("fault", [unavailable, conflict, crash])
@pytest.mark.parametrize("after", [False, True], ids=["not done", "done"])
async def test_a_failed_write_of_ours_is_no_edit_of_a_person(clock, fault, after: bool) -> None:
    world = await ready(clock)
    world.verdicts[KEY.name] = (probe_report("busy", "True"),)
    world.catch_up()
    world.servers.note_report(KEY)
    world.cluster.fault = Fault(len(world.cluster.writes), fault, after)
    await world.settle()
    world.verdicts[KEY.name] = (probe_report("busy", "False"),)
    world.servers.note_report(KEY)
    await world.settle()
    assert (value(world, ("spec", "opsState")), value(world, ("spec", "deletionPriority"))) == (
        "None",
        0,
    )


async def test_an_edit_stays_though_the_cache_did_not_show_our_last_write_at_the_report(
    clock,
) -> None:
    """Two changes of an agent within the lag of a watch, and a person right after the second."""
    world = await ready(clock)
    world.verdicts[KEY.name] = (probe_report("busy", "True"),)
    world.catch_up()
    world.servers.note_report(KEY)
    await world.servers.reconcile(KEY)
    assert value(world, ("spec", "opsState")) == "Allocated"
    world.verdicts[KEY.name] = (probe_report("busy", "False"),)
    # The cache still shows what was before our write.
    world.servers.note_report(KEY)
    edit(world, ("spec", "opsState"), "Maintaining")
    await world.settle()
    assert (value(world, ("spec", "opsState")), value(world, ("spec", "deletionPriority"))) == (
        "Maintaining",
        0,
    )


async def test_an_edit_before_the_report_yields_to_the_edge(clock) -> None:
    """The probe has spoken later than the person."""
    world = await ready(clock)
    edit(world, ("spec", "opsState"), "Maintaining")
    await world.settle()
    world.verdicts[KEY.name] = (probe_report("busy", "True"),)
    world.catch_up()
    world.servers.note_report(KEY)
    await world.settle()
    assert value(world, ("spec", "opsState")) == "Allocated"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            lambda world: edit_after_report(world, ("spec", "opsState"), "Maintaining"),
            "opsState stays Maintaining",
            id="set",
        ),
        pytest.param(
            lambda world: remove_after_report(world, ("metadata", "labels", "team")),
            "labels.team stays unset",
            id="removed",
        ),
    ],
)
async def test_what_was_left_alone_is_told(clock, change, told: str) -> None:
    world = await ready(clock)
    edit(world, ("metadata", "labels", "team"), "mine")
    world.verdicts[KEY.name] = (probe_report("busy", "True"),)
    change(world)
    await world.settle()
    (message,) = (
        each[3].partition("; ")[2]
        for each in world.events.events
        if each[2] == names.REASON_SERVICE_QUALITY_ACTION and "busy=True" in each[3]
    )
    assert message == f"{told}: somebody changed it after the report"
