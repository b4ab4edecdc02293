"""Who else scales a set, and what is done about it: nothing is written."""

import json

import pytest

from aggregator.autoscaler.conflicts import Conflict, Rivals, find_conflict
from aggregator.autoscaler.scaled_object import decode_rival
from aggregator.kube.errors import NotFound, Rejected
from aggregator.kube.resources import AUTOSCALERS
from aggregator.kube.transport import RawList
from shared.api.autoscaler import GameServerSetAutoscaler
from tests.support.autoscaled_world import autoscaled, install
from tests.support.scaling import at

SET = {"apiVersion": "game.kruise.io/v1alpha1", "kind": "GameServerSet", "name": "minecraft"}
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def clock(clock, monkeypatch):
    install(clock, monkeypatch)
    return clock


def autoscaler(name="minecraft", created="2026-01-01T00:00:00Z", target="minecraft", **spec):
    return GameServerSetAutoscaler.model_validate(
        {
            "metadata": {"name": name, "creationTimestamp": created},
            "spec": {"gameServerSetName": target, "maxReplicas": 9} | spec,
        }
    )


def rival(target=None, **annotations):
    metadata = {
        "name": "other",
        "annotations": {k.replace("__", "/"): v for k, v in annotations.items()},
    }
    body = {"metadata": metadata, "spec": {"scaleTargetRef": SET | (target or {})}}
    return decode_rival(json.dumps(body).encode())


NO_WINDOW = {"scaleDown": {"stabilizationWindowSeconds": 0}}
PAUSED = {"autoscaling.keda.sh__paused": "true"}


@pytest.mark.parametrize(
    ("others", "rivals", "resets", "reason"),
    [
        pytest.param([], Rivals(), 0, None, id="nobody"),
        pytest.param([], Rivals(hpas=(rival(),)), 0, "HorizontalPodAutoscaler", id="an HPA"),
        pytest.param([], Rivals(hpas=(rival({"name": "b"}),)), 0, None, id="an HPA of another set"),
        pytest.param(
            [], Rivals(hpas=(rival({"apiVersion": "apps/v1"}),)), 0, None, id="of another group"
        ),
        pytest.param(
            [], Rivals((rival(),), (rival(),)), 0, "ScaledObject", id="a ScaledObject and its HPA"
        ),
        pytest.param(
            [], Rivals(scaled_objects=(rival(**PAUSED),)), 0, None, id="a paused ScaledObject"
        ),
        pytest.param(
            [autoscaler("older", "2025-01-01T00:00:00Z")],
            Rivals(),
            0,
            "OlderAutoscaler",
            id="an older autoscaler",
        ),
        pytest.param([autoscaler("a")], Rivals(), 0, "OlderAutoscaler", id="the name of a twin"),
        pytest.param([autoscaler("z")], Rivals(), 0, None, id="the name of a twin, larger"),
        pytest.param(
            [autoscaler("younger", "2027-01-01T00:00:00Z")], Rivals(), 0, None, id="a younger one"
        ),
        pytest.param(
            [autoscaler("a", mode="Off"), autoscaler("b", mode="DryRun")],
            Rivals(),
            0,
            None,
            id="older ones that write nothing",
        ),
        pytest.param([autoscaler("a", target="b")], Rivals(), 0, None, id="of another set"),
        pytest.param([], Rivals(), 2, None, id="growth taken back twice"),
        pytest.param([], Rivals(), 3, "FlappingWriter", id="growth taken back three times"),
    ],
)
def test_who_is_in_the_way(others, rivals, resets, reason):
    me = autoscaler()
    moments = [at(second) for second in range(resets)]
    conflict = find_conflict(me, [me, *others], rivals, moments)
    assert (conflict.reason if conflict else None) == reason


def test_a_conflict_says_what_to_do():
    assert find_conflict(autoscaler(), [], Rivals(hpas=(rival(),)), ()) == Conflict(
        "HorizontalPodAutoscaler",
        'HorizontalPodAutoscaler other scales minecraft too: delete it, or set mode: "Off" here',
    )


class Rivalry:
    """HPAs and ScaledObjects of the cluster, as `list` finds them."""

    def __init__(self, world):
        self.found = {"HorizontalPodAutoscaler": [], "ScaledObject": []}
        self.errors = {}
        world.cluster.list = self.list

    async def list(self, resource, namespace=None, label_selector=None, page=500):
        if resource.kind in self.errors:
            raise self.errors[resource.kind]
        items = [json.dumps(body).encode() for body in self.found.get(resource.kind, ())]
        return RawList(tuple(items), "1")


HPA = {"metadata": {"name": "hpa"}, "spec": {"scaleTargetRef": SET}}


async def test_an_hpa_stops_every_write_until_it_is_gone(clock):
    world = autoscaled(clock, replicas=1, minAvailable=3)
    rivalry = Rivalry(world)
    rivalry.found["HorizontalPodAutoscaler"] = [HPA]
    await world.run(60, pace=5)
    assert world.replicas == [1]
    assert world.condition("Conflict") == ("True", "HorizontalPodAutoscaler")
    # What it would do is shown all the same.
    assert world.status()["lastDecision"]["add"] == 2
    rivalry.found["HorizontalPodAutoscaler"] = []
    await world.run(40, pace=5)
    assert world.replicas == [1, 3]
    assert world.condition("Conflict") == ("False", "NoConflict")


@pytest.mark.parametrize(
    "error",
    [NotFound("NotFound", "no such resource"), Rejected("Forbidden", "no right", 403)],
    ids=["no KEDA here", "no right to look"],
)
async def test_what_cannot_be_seen_holds_nothing_up(clock, error):
    world = autoscaled(clock, replicas=1, minAvailable=3)
    Rivalry(world).errors["ScaledObject"] = error
    await world.run(30)
    assert world.replicas == [1, 3]


async def test_who_takes_growth_back_three_times_is_left_alone(clock):
    world = autoscaled(clock, replicas=1, minAvailable=3)

    def reset(_seconds):
        if world.spec_replicas() == 3:
            world.edit_set(replicas=1)

    world.on_step = reset
    await world.run(200, pace=5)
    assert world.condition("Conflict") == ("True", "FlappingWriter")
    ours = [w for w in world.cluster.writes if w.writer == "aggregator.autoscaler"]
    assert sum(write.kind == "gameserversets" for write in ours) == 3
    world.on_step = lambda _: None
    await world.run(640, pace=20)
    assert world.spec_replicas() == 3
    assert world.condition("Conflict") == ("False", "NoConflict")


async def test_who_raises_replicas_again_after_each_removal_is_left_alone(clock):
    world = autoscaled(clock, replicas=5, maxAvailable=3, behavior=NO_WINDOW)

    def reset(_seconds):
        if world.spec_replicas() == 3:
            world.edit_set(replicas=5)

    world.on_step = reset
    await world.run(200, pace=5)
    assert world.condition("Conflict") == ("True", "FlappingWriter")
    assert world.replicas == [5, 3, 5, 3, 5, 3, 5]


@pytest.mark.parametrize(
    ("spec", "type_", "reason"),
    [
        ({"mode": "Off"}, "ScalingActive", "Off"),
        ({"minAvailable": "abc"}, "ScalingActive", "InvalidSpec"),
        ({"minAvailable": "20%"}, "ScalingActive", "InvalidSpec"),
        ({"gameServerSetName": "other"}, "AbleToScale", "SetNotFound"),
    ],
)
async def test_what_cannot_be_done_is_a_condition_and_nothing_is_written(
    clock, spec, type_, reason
):
    world = autoscaled(clock, replicas=1, minAvailable=3)
    world.edit_autoscaler(**spec)
    await world.run(30)
    assert world.replicas == [1]
    assert world.condition(type_) == ("False", reason)
    # Nobody takes numbers for what is now.
    assert not {"currentReplicas", "desiredReplicas", "counts"} & world.status().keys()
    writes = [w for w in world.cluster.writes if w.kind == AUTOSCALERS.plural]
    assert len(writes) == 1


async def test_numbers_of_an_autoscaler_that_was_switched_off_are_taken_away(clock):
    world = autoscaled(clock, replicas=1, minAvailable=3)
    await world.run(30)
    assert (world.status()["currentReplicas"], world.status()["counts"]["ready"]) == (3, 3)
    world.edit_autoscaler(mode="Off")
    await world.run(30)
    kept = {"conditions", "observedGeneration", "lastDecision", "lastScaleTime"}
    assert world.status().keys() == kept


async def test_a_paused_set_is_left_alone(clock):
    world = autoscaled(clock, replicas=1, minAvailable=3)
    world.annotate_set("gamekeeper.dev/paused", "true")
    await world.run(30)
    assert world.replicas == [1]
    assert world.condition("AbleToScale") == ("False", "SetPaused")
    world.annotate_set("gamekeeper.dev/paused", "false")
    await world.run(30)
    assert world.replicas == [1, 3]
