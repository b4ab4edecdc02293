"""One pass of the autoscaler: what bounds it, and when it is due again."""

import pytest

from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.policy import History
from tests.support.scaling import MARKED, Group, at, history, policy, rules, snapshot
from tests.support.scaling_cases import BUSY, NOW, Case, each, outcome_of

BOTH = (("Pods", 4, 15), ("Percent", 100, 15))

CASES = [
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
]


@each(CASES)
def test_a_pass_stays_within_its_limits(case):
    assert outcome_of(case) == case.expected


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
