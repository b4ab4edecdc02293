"""The conditions of a set: each with its reason and its words."""

import pytest

from aggregator.gameserverset.annotations import AnnotationProblem
from aggregator.gameserverset.conditions import ConditionState, Situation, plan_conditions
from aggregator.gameserverset.facts import Facts, resolve
from aggregator.gameserverset.ids import IdProblem, IdSet
from aggregator.gameserverset.scale import Claim, ScalePlan
from aggregator.gameserverset.server import Server
from aggregator.gameserverset.update import UpdatePlan
from aggregator.quality.probes import QualityProblem

FACTS = Facts(IdSet(), (), (), "new")
SERVERS = [Server(id_, f"pod-{id_}", has_agent=True) for id_ in range(3)]


def situation(**fields):
    known = {"set_name": "minecraft", "replicas": 3, "wanted": SERVERS}
    known |= {"scale": ScalePlan(), "updates": UpdatePlan()}
    return Situation(**(known | fields))


def conditions(*, facts=FACTS, qualities=False, **fields):
    states = plan_conditions(facts, qualities, situation(**fields))
    return {state.type: state for state in states}


READY = ConditionState("Ready", True, "AllAvailable", "3 of 3 servers are available")
COMPLETE = ConditionState("Progressing", False, "Complete", "every server is as it should be")


def test_a_settled_set_says_two_things():
    assert conditions() == {"Ready": READY, "Progressing": COMPLETE}


BROKEN = [*SERVERS[:2], Server(2, "pod-2", available=False, has_agent=True)]


@pytest.mark.parametrize(
    ("fields", "holds", "reason", "message"),
    [
        ({"wanted": BROKEN}, False, "ServersNotAvailable", "2 of 3 servers are available"),
        ({"replicas": 4}, False, "ServersNotAvailable", "3 of 4 servers are available"),
        ({"replicas": 2}, True, "AllAvailable", "3 of 2 servers are available"),
        ({"wanted": [], "replicas": 0}, True, "AllAvailable", "0 of 0 servers are available"),
    ],
)
def test_ready(fields, holds, reason, message):
    assert conditions(**fields)["Ready"] == ConditionState("Ready", holds, reason, message)


CLAIM = ScalePlan(claims=(Claim(SERVERS[0], "Kill"),))


@pytest.mark.parametrize(
    ("fields", "holds", "reason", "message"),
    [
        ({"replicas": 4}, True, "Scaling", "3 of 4 servers exist"),
        ({"scale": CLAIM}, True, "Scaling", "3 of 3 servers exist"),
        ({"scale": ScalePlan(deletions=(SERVERS[0],))}, True, "Scaling", "3 of 3 servers exist"),
        (
            {"updates": UpdatePlan(outdated=2)},
            True,
            "Updating",
            "2 servers are still to be updated",
        ),
        (
            {"scale": ScalePlan(blocked=1), "replicas": 2},
            False,
            "Complete",
            "every server is as it should be",
        ),
        (
            {"paused": True, "replicas": 4},
            False,
            "Paused",
            "the annotation gamekeeper.dev/paused stops every change; remove it to go on",
        ),
    ],
    ids=["growing", "claiming", "deleting", "updating", "blocked", "paused"],
)
def test_progressing(fields, holds, reason, message):
    expected = ConditionState("Progressing", holds, reason, message)
    assert conditions(**fields)["Progressing"] == expected


@pytest.mark.parametrize(
    ("hindrances", "reason", "why"),
    [
        (
            ("OnDelete",),
            "OnDelete",
            "spec.updateStrategy.type is OnDelete, so each is updated when its pod is deleted",
        ),
        (
            ("UpdatePaused",),
            "UpdatePaused",
            "set spec.updateStrategy.rollingUpdate.paused to false to go on",
        ),
        (
            ("NoneMayBeUnavailable",),
            "NoneMayBeUnavailable",
            "spec.updateStrategy.rollingUpdate.maxUnavailable is 0, raise it",
        ),
        (
            ("AllocatedProtected", "StateLeftOut"),
            "AllocatedProtected",
            "the annotation gamekeeper.dev/protect-allocated spares them while they are Allocated; "
            "the annotation gamekeeper.dev/update-ops-states leaves their opsStates out",
        ),
        (
            ("InPlaceImpossible",),
            "InPlaceImpossible",
            "podUpdatePolicy is InPlaceOnly, and more than images and metadata differ",
        ),
    ],
)
def test_an_update_that_stands_still_says_what_it_waits_for(hindrances, reason, why):
    updates = UpdatePlan(outdated=2, hindrances=hindrances)
    message = f"2 servers are still to be updated: {why}"
    expected = ConditionState("Progressing", False, reason, message)
    assert conditions(updates=updates)["Progressing"] == expected


def test_growth_is_progress_while_an_update_stands_still():
    updates = UpdatePlan(outdated=2, hindrances=("OnDelete",))
    assert conditions(updates=updates, replicas=4)["Progressing"].reason == "Scaling"


@pytest.mark.parametrize(
    ("count", "listed"),
    [
        (1, "minecraft-0"),
        (5, "minecraft-0, minecraft-1, minecraft-2, minecraft-3, minecraft-4"),
        (7, "minecraft-0, minecraft-1, minecraft-2, minecraft-3, minecraft-4 and 2 more"),
    ],
)
def test_a_few_are_named(count, listed):
    scale = ScalePlan(waiting_for=tuple(range(count)))
    message = f"the former pods of {listed} still terminate; their ids are waited for"
    expected = ConditionState("WaitingForTermination", True, "PodsTerminating", message)
    assert conditions(scale=scale)["WaitingForTermination"] == expected


BAD_RESERVE = Facts(IdSet(), (IdProblem(1, "means nothing"), IdProblem(3, "nor this")), (), "new")
BAD_QUALITY = Facts(IdSet(), (), (QualityProblem("spec.x", "is wrong"),), "new")
WITHOUT = [*SERVERS[:2], Server(2, "pod-2")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"facts": BAD_RESERVE},
            ConditionState(
                "ReserveIdsValid",
                False,
                "ItemIgnored",
                "spec.reserveGameServerIds[1]: means nothing; "
                "spec.reserveGameServerIds[3]: nor this",
            ),
        ),
        (
            {
                "annotation_problems": (
                    AnnotationProblem("metadata.annotations[a]", "means nothing"),
                    AnnotationProblem("metadata.annotations[b]", "nor this"),
                )
            },
            ConditionState(
                "AnnotationsValid",
                False,
                "ValueIgnored",
                "metadata.annotations[a]: means nothing; metadata.annotations[b]: nor this",
            ),
        ),
        ({"qualities": True}, ConditionState("ServiceQualitiesValid", True, "AllValid")),
        (
            {"qualities": True, "facts": BAD_QUALITY},
            ConditionState("ServiceQualitiesValid", False, "QualityIgnored", "spec.x is wrong"),
        ),
        (
            {"refusal": "cannot create pods: quota"},
            ConditionState("ReplicaFailure", True, "FailedCreate", "cannot create pods: quota"),
        ),
        (
            {"scale": ScalePlan(taken=(1, 2))},
            ConditionState(
                "NameTaken",
                True,
                "ForeignPod",
                "the names minecraft-1, minecraft-2 belong to pods of somebody else; "
                "delete those, or reserve the ids",
            ),
        ),
        (
            {"crashing": [1]},
            ConditionState(
                "CrashLooping",
                True,
                "PodsEnd",
                "the pods of minecraft-1 end again and again; "
                "their replacement waits longer each time",
            ),
        ),
        (
            {"scale": ScalePlan(blocked=2)},
            ConditionState(
                "ScaleDownBlocked",
                True,
                "AllocatedProtected",
                "2 Allocated: servers too many, but protected by the annotation "
                "gamekeeper.dev/protect-allocated",
            ),
        ),
        (
            {"updates": UpdatePlan(refused=(SERVERS[1],))},
            ConditionState(
                "UpdateBlocked",
                True,
                "InPlaceImpossible",
                "minecraft-1 cannot be updated in place: more than images and metadata differ; "
                "set podUpdatePolicy to InPlaceIfPossible or ReCreate, or delete their pods",
            ),
        ),
        (
            {"needs_agent": True, "wanted": WITHOUT},
            ConditionState(
                "AgentMissing",
                True,
                "PodsWithoutAgent",
                "1 of 3 servers were made without an agent, so nobody probes them; "
                "they get one when their pods are made again",
            ),
        ),
    ],
    ids=lambda value: value.type if isinstance(value, ConditionState) else "",
)
def test_what_is_said_only_when_there_is_something_to_say(fields, expected):
    assert conditions(**fields)[expected.type] == expected


@pytest.mark.parametrize(
    "fields",
    [{"needs_agent": True}, {"wanted": WITHOUT}, {"qualities": False, "facts": BAD_QUALITY}],
    ids=["all have an agent", "none is needed", "no qualities"],
)
def test_what_is_not_said(fields):
    assert conditions(**fields).keys() == {"Ready", "Progressing"}


@pytest.mark.parametrize(
    ("amount", "total", "down", "up"),
    [
        (3, 10, 3, 3),
        ("3", 10, 3, 3),
        (0, 10, 0, 0),
        ("25%", 10, 2, 3),
        ("20%", 10, 2, 2),
        ("1%", 10, 1, 1),
        ("0%", 10, 0, 0),
        ("100%", 7, 7, 7),
        ("50%", 0, 1, 0),
    ],
)
def test_amounts(amount, total, down, up):
    assert resolve(amount, total, round_up=False) == down
    assert resolve(amount, total, round_up=True) == up
