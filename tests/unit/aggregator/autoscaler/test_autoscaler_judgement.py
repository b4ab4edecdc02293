"""Whether an autoscaler may decide and act: what keeps it from either."""

import pytest

from aggregator.autoscaler.conflicts import Conflict
from aggregator.autoscaler.judgement import Verdict, judge
from aggregator.scaling.spec import Intent, read_spec
from shared.api.autoscaler import GameServerSetAutoscaler
from tests.support.builders import NOW, game_server_set

PAUSED = ("SetPaused", "minecraft has the annotation gamekeeper.dev/paused: take it away")
DRY_RUN = ("DryRun", "spec.mode is DryRun: nothing is written")
EVENING = {"name": "evening", "start": "0 18 * * *", "end": "0 23 * * *", "minAvailable": 4}


def autoscaler(**spec) -> GameServerSetAutoscaler:
    whole = {"gameServerSetName": "minecraft", "maxReplicas": 9} | spec
    metadata = {"name": "minecraft", "namespace": "games", "uid": "autoscaler-uid"}
    return GameServerSetAutoscaler.model_validate({"metadata": metadata, "spec": whole})


def a_set(*, deleted=False, **annotations):
    owner = game_server_set(annotations={f"gamekeeper.dev/{k}": v for k, v in annotations.items()})
    if not deleted:
        return owner
    metadata = owner.metadata.model_copy(update={"deletion_timestamp": NOW})
    return owner.model_copy(update={"metadata": metadata})


def intent_of(spec) -> Intent:
    return read_spec(autoscaler(**spec).spec, NOW)


@pytest.mark.parametrize(
    ("spec", "owner", "verdict"),
    [
        pytest.param({}, a_set(), Verdict(), id="nothing"),
        pytest.param({"mode": "DryRun"}, a_set(), Verdict(inactive=DRY_RUN), id="a dry run"),
        pytest.param({"schedules": [EVENING]}, a_set(), Verdict(), id="schedules are read"),
        pytest.param({}, a_set(paused="true"), Verdict(PAUSED), id="a paused set"),
        pytest.param({}, a_set(paused="false"), Verdict(), id="a set that is paused no more"),
        pytest.param(
            {},
            a_set(deleted=True, paused="true"),
            Verdict(("SetDeleted", "minecraft is being deleted")),
            id="a deleted set, paused or not",
        ),
        pytest.param(
            {"mode": "DryRun"},
            a_set(paused="true"),
            Verdict(PAUSED, DRY_RUN),
            id="a dry run on a paused set tells both",
        ),
    ],
)
def test_what_keeps_an_autoscaler_that_decides_from_acting(spec, owner, verdict):
    assert judge(autoscaler(**spec), owner, NOW) == (verdict, intent_of(spec))


@pytest.mark.parametrize(
    ("spec", "owner", "verdict"),
    [
        pytest.param(
            {"mode": "Off", "minReplicas": 10},
            None,
            Verdict(inactive=("Off", "spec.mode is Off: set it to Active or DryRun")),
            id="off comes before all else",
        ),
        pytest.param(
            {"minReplicas": 10},
            None,
            Verdict(
                inactive=(
                    "InvalidSpec",
                    "spec.minReplicas: 10 must not be above maxReplicas 9",
                )
            ),
            id="a spec that means nothing comes before the set",
        ),
        pytest.param(
            {"gameServerSetName": "other", "mode": "DryRun"},
            None,
            Verdict(("SetNotFound", "there is no GameServerSet other in this namespace")),
            id="no set",
        ),
    ],
)
def test_what_keeps_an_autoscaler_from_deciding(spec, owner, verdict):
    assert judge(autoscaler(**spec), owner, NOW) == (verdict, None)


@pytest.mark.parametrize(
    ("verdict", "obstacles"),
    [
        pytest.param(Verdict(), (), id="nothing"),
        pytest.param(
            Verdict(PAUSED, DRY_RUN, Conflict("ScaledObject", "delete it")),
            (PAUSED, DRY_RUN, ("ScaledObject", "delete it")),
            id="everything",
        ),
        pytest.param(
            Verdict(conflict=Conflict("ScaledObject", "delete it")),
            (("ScaledObject", "delete it"),),
            id="only a conflict",
        ),
    ],
)
def test_it_may_act_when_nothing_speaks_against_it(verdict, obstacles):
    assert (verdict.obstacles, verdict.may_act) == (obstacles, not obstacles)
