"""One pass of the autoscaler: named cases beside the shared file."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.policy import History, Policy, Snapshot
from tests.cases.autoscale import describe
from tests.support.scaling import MARKED, Group, at, history, policy, rules, snapshot

NOW = 1000


@dataclass(frozen=True)
class Case:
    name: str
    snapshot: Snapshot
    policy: Policy
    add: int = 0
    victims: tuple[int, ...] = ()
    cancel: int = 0
    reasons: tuple[str, ...] = ()
    history: History = field(default_factory=History)


BUSY = "Allocated"
BOTH = (("Pods", 4, 15), ("Percent", 100, 15))

CASES = [
    # -- who counts as what ----------------------------------------------------------------------
    Case("an empty set without wishes stays empty", snapshot(), policy()),
    Case("servers with players are left alone", snapshot(Group(5, BUSY)), policy(max_available=0)),
    Case(
        "maintained and custom servers are left alone",
        snapshot(Group(2, "Maintaining"), Group(2, "GateMaintaining")),
        policy(max_available=0),
    ),
    Case(
        "a custom opsState can be supply",
        snapshot(Group(2, "Lobby"), Group(1, BUSY)),
        policy(min_available=3, supply=("Lobby",)),
        add=1,
    ),
    Case(
        "None is no supply where only another opsState is",
        snapshot(Group(2)),
        policy(min_available=1, supply=("Lobby",)),
        add=1,
    ),
    Case(
        "a server without opsState is supply whatever the names are",
        snapshot(Group(2, "")),
        policy(min_available=2, supply=("Lobby",)),
    ),
    Case(
        "several opsStates are supply together",
        snapshot(Group(2), Group(2, "Lobby")),
        policy(max_available=3, supply=("None", "Lobby")),
        victims=(3,),
    ),
    Case(
        "crashed servers are supply that boots",
        snapshot(Group(3, state="Crash")),
        policy(min_available=3),
    ),
    Case(
        "a server waiting for its preDelete hook is gone",
        snapshot(Group(3), Group(1, state="PreDelete"), spec=3),
        policy(max_available=3),
    ),
    Case(
        "a deleted server is gone though nobody claimed it",
        snapshot(Group(2), Group(1, state="Deleting"), spec=3),
        policy(min_available=3),
    ),
    Case(
        "a claimed server is gone though its pod still runs",
        snapshot(Group(3), Group(1, MARKED, leaving=True), spec=3),
        policy(),
    ),
    Case(
        "a stale mark removes nobody and is no supply",
        snapshot(Group(1), Group(2, MARKED, stale=True)),
        policy(min_available=2),
        add=1,
    ),
    # -- Kill and what is not accounted yet ------------------------------------------------------
    Case(
        "a Kill that is not accounted lowers what there will be",
        snapshot(Group(4), Group(1, "Kill")),
        policy(min_available=5),
        add=1,
    ),
    Case(
        "a Kill that a scale-down covers lowers nothing",
        snapshot(Group(4), Group(1, "Kill"), spec=4),
        policy(min_available=4),
    ),
    Case(
        "an Autoscaler claim that is not accounted counts like a Kill",
        snapshot(Group(4), Group(1, MARKED, leaving=True, unaccounted=True), spec=5),
        policy(min_available=4),
    ),
    Case(
        "an accounted claim leaves a hole where spec was raised again",
        snapshot(Group(4), Group(1, MARKED, leaving=True), spec=5),
        policy(min_available=5),
    ),
    Case(
        "the place of a Kill may be taken before it is gone",
        snapshot(Group(9, BUSY), Group(1, "Kill")),
        policy(min_available=3, most=10),
        add=1,
        reasons=("TooManyReplicas",),
    ),
    # -- minAvailable ----------------------------------------------------------------------------
    Case("enough is enough", snapshot(Group(3)), policy(min_available=3)),
    Case("zero idle servers may be wanted", snapshot(Group(2, BUSY)), policy(min_available=0)),
    Case(
        "servers that boot are not asked for again",
        snapshot(Group(1), Group(4, state="Creating")),
        policy(min_available=5),
    ),
    Case(
        "servers that are missing are not asked for again",
        snapshot(Group(1), spec=5),
        policy(min_available=5),
    ),
    Case(
        "quota lets one of three exist: replicas stays at three",
        snapshot(Group(1), spec=3),
        policy(min_available=3),
    ),
    Case(
        "a marked server is no supply",
        snapshot(Group(2), Group(1, MARKED, since=999)),
        policy(min_available=3, dwell=30),
        add=1,
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "a share counts the servers it adds",
        snapshot(Group(10, BUSY)),
        policy(min_available="50%"),
        add=10,
    ),
    Case(
        "a share that is met exactly asks for nothing",
        snapshot(Group(2), Group(8, BUSY)),
        policy(min_available="20%"),
    ),
    Case(
        "a share is exact where floats are not",
        snapshot(Group(3), Group(7, BUSY)),
        policy(min_available="0.3"),
    ),
    Case(
        "a share of a tenth of a percent",
        snapshot(Group(999, BUSY)),
        policy(min_available="0.1%", most=2000),
        add=1,
    ),
    Case(
        "a share leaves out the marked",
        snapshot(Group(2), Group(6, BUSY), Group(8, MARKED, since=990)),
        policy(min_available="25%", dwell=30),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "the floor is more than the share",
        snapshot(Group(10, BUSY)),
        policy(min_available="10%", floor=5),
        add=5,
    ),
    Case(
        "the share is more than the floor",
        snapshot(Group(90, BUSY)),
        policy(min_available="10%", floor=5),
        add=10,
    ),
    Case("a floor needs no minAvailable", snapshot(Group(1)), policy(floor=3), add=2),
    Case(
        "maxAvailable bounds what minAvailable asks for",
        snapshot(Group(10, BUSY)),
        policy(min_available="50%", max_available=4),
        add=4,
    ),
    # -- maxAvailable ----------------------------------------------------------------------------
    Case(
        "idle servers go by priority, then by id",
        snapshot(Group(2), Group(1, priority=5), Group(2)),
        policy(max_available=2),
        victims=(2, 4, 3),
    ),
    Case(
        "servers that boot go before those that are ready",
        snapshot(Group(1, state="Creating"), Group(3)),
        policy(max_available=2),
        victims=(0, 3),
    ),
    Case(
        "what is not created yet is cancelled before anybody goes",
        snapshot(Group(1, state="Creating"), Group(3), spec=6),
        policy(max_available=2),
        victims=(0, 3),
        cancel=2,
    ),
    Case(
        "two billion that somebody asked for are cancelled at once",
        snapshot(Group(2), spec=2_000_000_000),
        policy(max_available=2, most=2_000_000_000),
        cancel=1_999_999_998,
    ),
    Case("none at all may be wanted", snapshot(Group(2)), policy(max_available=0), victims=(1, 0)),
    Case(
        "a share of the servers may be idle",
        snapshot(Group(10), Group(10, BUSY)),
        policy(max_available="20%"),
        victims=(9, 8, 7, 6, 5, 4, 3, 2),
    ),
    Case(
        "a share rounds so that no more than that is idle",
        snapshot(Group(5), Group(3, BUSY)),
        policy(max_available="50%"),
        victims=(4, 3),
    ),
    Case(
        "minAvailable keeps what maxAvailable would take",
        snapshot(Group(5), Group(5, BUSY)),
        policy(min_available=4, max_available="10%"),
        victims=(4,),
    ),
    Case(
        "a share of minAvailable keeps what maxAvailable would take",
        snapshot(Group(7), Group(5, BUSY)),
        policy(min_available="50%", max_available=3),
        victims=(6, 5),
    ),
    Case(
        "the floor keeps what maxAvailable would take",
        snapshot(Group(6)),
        policy(floor=4, max_available="10%"),
        victims=(5, 4),
    ),
    Case(
        "without maxAvailable idle servers stay",
        snapshot(Group(50)),
        policy(min_available=1),
    ),
    Case(
        "marked servers go first and idle ones after them",
        snapshot(Group(3), Group(2, MARKED)),
        policy(max_available=2),
        victims=(4, 3, 2),
    ),
    # -- marked servers --------------------------------------------------------------------------
    Case(
        "a server marked a second too short stays",
        snapshot(Group(2), Group(1, MARKED, since=971)),
        policy(dwell=30),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "each marked server has its own dwell",
        snapshot(Group(1), Group(1, MARKED, since=970), Group(1, MARKED, since=971)),
        policy(dwell=30),
        victims=(1,),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "a mark from the future waits",
        snapshot(Group(1), Group(1, MARKED, since=1500)),
        policy(),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "a marked server goes although it is not Ready",
        snapshot(Group(1), Group(1, MARKED, state="Crash")),
        policy(),
        victims=(1,),
    ),
    Case(
        "negative priorities go last",
        snapshot(Group(1, MARKED, priority=-1), Group(1, MARKED, priority=-2), Group(1, MARKED)),
        policy(),
        victims=(2, 0, 1),
    ),
    # -- minReplicas and maxReplicas -------------------------------------------------------------
    Case("minReplicas is reached without a wish", snapshot(), policy(least=2), add=2),
    Case(
        "minReplicas ignores a window",
        snapshot(),
        policy(least=2, scale_up=rules(window=60)),
        add=2,
        history=history(deficit=[(0, 990)]),
    ),
    Case(
        "minReplicas comes first and the rate bounds the rest",
        snapshot(),
        policy(least=3, min_available=10, scale_up=rules(("Pods", 1, 15))),
        add=3,
        reasons=("ScaleUpLimit",),
    ),
    Case(
        "nobody goes below minReplicas",
        snapshot(Group(2, BUSY), Group(3, MARKED)),
        policy(least=4),
        victims=(4,),
        reasons=("TooFewReplicas",),
    ),
    Case(
        "a set below minReplicas grows and removes nobody",
        snapshot(Group(1, BUSY), Group(1, MARKED)),
        policy(least=4),
        add=2,
        reasons=("TooFewReplicas",),
    ),
    Case(
        "a set above maxReplicas neither grows nor shrinks for it",
        snapshot(Group(12, BUSY)),
        policy(min_available=2, most=10),
        reasons=("AboveMaxReplicas", "TooManyReplicas"),
    ),
    Case(
        "maxReplicas wins over minReplicas",
        snapshot(Group(1)),
        policy(least=9, most=5),
        add=4,
    ),
    Case(
        "what is missing comes once there is room",
        snapshot(Group(1), spec=1),
        policy(min_available=3, most=10),
        add=2,
    ),
    Case(
        "half of the room is used while the marked leave",
        snapshot(Group(1), Group(7, MARKED)),
        policy(min_available=5, most=10),
        add=2,
        victims=(7, 6, 5, 4, 3, 2, 1),
        reasons=("TooManyReplicas",),
    ),
    # -- rates -----------------------------------------------------------------------------------
    Case(
        "the larger of two policies holds",
        snapshot(Group(10, BUSY)),
        policy(min_available=50, scale_up=rules(*BOTH)),
        add=10,
        reasons=("ScaleUpLimit",),
    ),
    Case(
        "the smaller of two policies holds with Min",
        snapshot(Group(10, BUSY)),
        policy(min_available=50, scale_up=rules(*BOTH, select="Min")),
        add=4,
        reasons=("ScaleUpLimit",),
    ),
    Case(
        "growth can be disabled",
        snapshot(Group(1, BUSY)),
        policy(min_available=2, scale_up=rules(select="Disabled")),
        reasons=("ScaleUpLimit",),
    ),
    Case(
        "what was added in the period counts",
        snapshot(Group(10, BUSY)),
        policy(min_available=5, scale_up=rules(("Pods", 4, 60))),
        add=1,
        reasons=("ScaleUpLimit",),
        history=history(up=[(2, 941), (1, 990), (9, 100)]),
    ),
    Case(
        "what was added exactly a period ago does not count",
        snapshot(Group(10, BUSY)),
        policy(min_available=4, scale_up=rules(("Pods", 4, 60))),
        add=4,
        history=history(up=[(4, 940)]),
    ),
    Case(
        "more was added than the rate allows now",
        snapshot(Group(10, BUSY)),
        policy(min_available=4, scale_up=rules(("Pods", 1, 60))),
        reasons=("ScaleUpLimit",),
        history=history(up=[(4, 990)]),
    ),
    Case(
        "a share of the size at the start of the period, rounded up",
        snapshot(Group(15, BUSY)),
        policy(min_available=50, scale_up=rules(("Percent", 50, 60))),
        add=0,
        reasons=("ScaleUpLimit",),
        history=history(up=[(5, 990)]),
    ),
    Case(
        "a share of one server is one server",
        snapshot(Group(1, BUSY)),
        policy(min_available=5, scale_up=rules(("Percent", 10, 60))),
        add=1,
        reasons=("ScaleUpLimit",),
    ),
    Case(
        "a share of nothing still lets a set begin",
        snapshot(),
        policy(min_available=5, scale_up=rules(("Percent", 100, 60))),
        add=1,
        reasons=("ScaleUpLimit",),
    ),
    Case(
        "removal earns growth nothing",
        snapshot(Group(4, BUSY)),
        policy(min_available=9, scale_up=rules(("Pods", 4, 60))),
        reasons=("ScaleUpLimit",),
        history=history(up=[(4, 990)], down=[(4, 995)]),
    ),
    Case(
        "removal goes at its rate, the first in the order first",
        snapshot(Group(1), Group(5, MARKED)),
        policy(scale_down=rules(("Pods", 2, 60))),
        victims=(5, 4),
        reasons=("ScaleDownLimit",),
    ),
    Case(
        "what was removed in the period counts",
        snapshot(Group(1), Group(5, MARKED)),
        policy(scale_down=rules(("Pods", 2, 60))),
        victims=(5,),
        reasons=("ScaleDownLimit",),
        history=history(down=[(1, 990)]),
    ),
    Case(
        "half of the size at the start of the period, rounded up",
        snapshot(Group(5, MARKED)),
        policy(scale_down=rules(("Percent", 50, 60))),
        victims=(4, 3),
        reasons=("ScaleDownLimit",),
        history=history(down=[(2, 990)]),
    ),
    Case(
        "a cancelled creation uses up the rate",
        snapshot(Group(3), spec=5),
        policy(max_available=1, scale_down=rules(("Pods", 3, 60))),
        cancel=2,
        victims=(2,),
        reasons=("ScaleDownLimit",),
    ),
    # -- windows ---------------------------------------------------------------------------------
    Case(
        "the smallest deficit of the window counts",
        snapshot(Group(5, BUSY)),
        policy(min_available=5, scale_up=rules(window=60)),
        add=2,
        reasons=("ScaleUpStabilized",),
        history=history(deficit=[(2, 950), (4, 990)]),
    ),
    Case(
        "a sample of exactly the window's age has left it",
        snapshot(Group(5, BUSY)),
        policy(min_available=5, scale_up=rules(window=60)),
        add=5,
        history=history(deficit=[(2, 940)]),
    ),
    Case(
        "a larger sample holds nothing back",
        snapshot(Group(5)),
        policy(max_available=3, scale_down=rules(window=60)),
        victims=(4, 3),
        history=history(excess=[(9, 990)]),
    ),
    Case(
        "who begins to lead removes nobody for being idle",
        snapshot(Group(5)),
        policy(max_available=3, scale_down=rules(window=300)),
        reasons=("ScaleDownStabilized",),
        history=history(excess=[(0, 999)]),
    ),
    Case(
        "a window does not hold marked servers",
        snapshot(Group(5), Group(1, MARKED)),
        policy(max_available=3, scale_down=rules(window=300)),
        victims=(5,),
        reasons=("ScaleDownStabilized",),
        history=history(excess=[(0, 999)]),
    ),
    # -- not settled -----------------------------------------------------------------------------
    Case(
        "nobody goes before everything is known",
        snapshot(Group(2), Group(2, MARKED), observed=False),
        policy(max_available=1),
        reasons=("Unsettled",),
    ),
    Case(
        "growth does not wait until everything is known",
        snapshot(Group(2), observed=False),
        policy(min_available=3),
        add=1,
    ),
    Case(
        "nothing is held back where nobody had to go",
        snapshot(Group(3), spec=2),
        policy(),
    ),
    # -- sets whose probe marks every empty server -----------------------------------------------
    Case(
        "marked servers are supply and go above it, by their order",
        snapshot(Group(2, BUSY), Group(4, MARKED)),
        policy(min_available=2, supply=(MARKED,)),
        victims=(5, 4),
    ),
    Case(
        "only ripe ones go",
        snapshot(Group(3, MARKED, since=990), Group(1, MARKED, since=900)),
        policy(min_available=1, supply=(MARKED,), dwell=30),
        victims=(3,),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "a server that was not probed yet never goes",
        snapshot(Group(3, ""), Group(1, state="Creating")),
        policy(min_available=1, supply=(MARKED,)),
    ),
    Case(
        "what is not created yet is cancelled",
        snapshot(Group(2, MARKED), spec=4),
        policy(min_available=1, supply=(MARKED,)),
        cancel=2,
        victims=(1,),
    ),
    Case(
        "without minAvailable all empty servers go",
        snapshot(Group(1), Group(2, MARKED)),
        policy(supply=(MARKED,)),
        victims=(2, 1),
    ),
    Case(
        "the floor is kept without minAvailable",
        snapshot(Group(1), Group(2, MARKED)),
        policy(supply=(MARKED,), floor=1),
        victims=(2,),
    ),
    Case(
        "the floor is asked for without minAvailable",
        snapshot(Group(1)),
        policy(supply=(MARKED,), floor=2),
        add=2,
    ),
    Case(
        "maxAvailable leaves room between the two",
        snapshot(Group(5, MARKED)),
        policy(min_available=2, max_available=4, supply=(MARKED,)),
        victims=(4,),
    ),
    Case(
        "a share is kept, not one server less",
        snapshot(Group(8), Group(4, MARKED)),
        policy(min_available="20%", supply=(MARKED,)),
        victims=(11, 10),
    ),
    Case(
        "a stale mark is neither supply nor removed",
        snapshot(Group(2, MARKED, stale=True), Group(1, MARKED)),
        policy(min_available=1, supply=(MARKED,)),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_pass(case):
    decision = evaluate(case.snapshot, case.policy, case.history, at(NOW))
    expected: dict[str, Any] = {
        "add": case.add,
        "victims": list(case.victims),
        "cancel": case.cancel,
        "reasons": set(case.reasons),
        "specReplicasWritten": case.snapshot.spec_replicas + case.add - case.cancel,
    }
    assert describe(decision) == expected


def test_the_cases_have_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize(
    ("snapshot", "policy", "history", "due"),
    [
        pytest.param(snapshot(Group(3)), policy(), History(), None, id="nothing comes by itself"),
        pytest.param(
            snapshot(Group(1, MARKED, since=980), Group(1, MARKED, since=990)),
            policy(dwell=30),
            History(),
            1010,
            id="the first dwell ends",
        ),
        pytest.param(
            snapshot(Group(5)),
            policy(max_available=3, scale_down=rules(window=60)),
            history(excess=[(0, 950), (1, 990), (0, 970)]),
            1030,
            id="the last of the smallest samples leaves the window",
        ),
        pytest.param(
            snapshot(Group(5, BUSY)),
            policy(min_available=5, scale_up=rules(("Pods", 4, 60), ("Pods", 2, 15))),
            history(up=[(2, 950), (2, 995)]),
            1010,
            id="the first change leaves a period",
        ),
        pytest.param(
            snapshot(Group(5)),
            policy(min_available=5, scale_up=rules(("Pods", 4, 60))),
            history(up=[(4, 995)]),
            None,
            id="a rate that does not bind wakes nobody",
        ),
    ],
)
def test_when_a_pass_is_due_again(snapshot, policy, history, due):
    decision = evaluate(snapshot, policy, history, at(NOW))
    assert decision.due == (None if due is None else at(due))
