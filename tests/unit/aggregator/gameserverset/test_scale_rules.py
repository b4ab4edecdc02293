"""Which servers should exist when the set says more than replicas: kills, hooks, protection."""

import pytest

from aggregator.gameserverset.accounting import MAX_ACCOUNTED, Accounting
from aggregator.gameserverset.scale import Claim, ScalePlan, ScaleRules, plan_scale
from tests.support.planned_servers import NOTHING, reserved, server, servers

HELD = server(2, claimed="ScaleDown", held=True)
KILLED = server(1, "Kill")


@pytest.mark.parametrize(
    ("present", "replicas", "ids", "rules", "expected"),
    [
        pytest.param(
            (server(0), KILLED, server(2)),
            3,
            NOTHING,
            ScaleRules(),
            ScalePlan(claims=(Claim(KILLED, "Kill"),), accounting=Accounting(2, ("pod-1",))),
            id="a Kill lowers replicas",
        ),
        pytest.param(
            (server(0), KILLED, server(2), server(3, "Kill", terminating=True)),
            3,
            NOTHING,
            ScaleRules(),
            ScalePlan(claims=(Claim(KILLED, "Kill"),), accounting=Accounting(2, ("pod-1",))),
            id="one that somebody else deletes costs nothing and is created again",
        ),
        pytest.param(
            (server(0), KILLED, server(2)),
            3,
            reserved(1),
            ScaleRules(),
            ScalePlan(claims=(Claim(KILLED, "Kill"),), accounting=Accounting(2, ("pod-1",))),
            id="a Kill of a reserved id is a Kill",
        ),
        pytest.param(
            (server(0), KILLED, server(2)),
            2,
            reserved(1),
            ScaleRules(),
            ScalePlan(claims=(Claim(KILLED, "Kill"),), accounting=Accounting(2, ("pod-1",))),
            id="which costs nothing when it was going anyway",
        ),
        pytest.param(
            (*servers(0, 1), HELD),
            2,
            NOTHING,
            ScaleRules(),
            ScalePlan(),
            id="a hook is waited for",
        ),
        pytest.param(
            (*servers(0, 1), HELD),
            3,
            NOTHING,
            ScaleRules(),
            ScalePlan(releases=(HELD,)),
            id="a scale-down is taken back while its hook is waited for",
        ),
        pytest.param(
            (*servers(1, 3), HELD),
            3,
            NOTHING,
            ScaleRules(),
            ScalePlan(creations=(0,)),
            id="but not when a smaller id is missing",
        ),
        pytest.param(
            (*servers(0, 1), server(2, claimed="Kill", held=True)),
            3,
            NOTHING,
            ScaleRules(accounted=frozenset({"pod-2"})),
            ScalePlan(waiting_for=(2,)),
            id="a Kill is never taken back",
        ),
        pytest.param(
            (*servers(0, 1), server(2, "Kill", claimed="ScaleDown", held=True)),
            3,
            NOTHING,
            ScaleRules(),
            ScalePlan(waiting_for=(2,)),
            id="nor a scale-down of one that is to be killed besides",
        ),
        pytest.param(
            (*servers(0, 1), server(2, claimed="ScaleDown", held=True, terminating=True)),
            3,
            NOTHING,
            ScaleRules(),
            ScalePlan(waiting_for=(2,)),
            id="nor one whose pod is going already",
        ),
        pytest.param(
            (*servers(0, 1), HELD),
            3,
            NOTHING,
            ScaleRules("ReserveIds"),
            ScalePlan(creations=(3,), accounting=Accounting(3, ("pod-2",), (2,))),
            id="nor one whose id is about to be reserved",
        ),
        pytest.param(
            (*servers(0, 1), HELD),
            3,
            NOTHING,
            ScaleRules("ReserveIds", accounted=frozenset({"pod-2"})),
            ScalePlan(releases=(HELD,)),
            id="but one whose id a person took out of the list again",
        ),
        pytest.param(
            (server(0, "Allocated"), server(1, "Allocated"), server(2)),
            1,
            NOTHING,
            ScaleRules(protects_allocated=True),
            ScalePlan(claims=(Claim(server(2), "ScaleDown"),), blocked=1),
            id="Allocated servers are protected",
        ),
        pytest.param(
            (server(0, "Allocated"), server(1, "Kill"), server(2, "Maintaining")),
            2,
            reserved(0),
            ScaleRules(protects_allocated=True),
            ScalePlan(
                claims=(
                    Claim(server(1, "Kill"), "Kill"),
                    Claim(server(0, "Allocated"), "Reserved"),
                ),
                accounting=Accounting(1, ("pod-1",)),
            ),
            id="but not from those who name them",
        ),
        pytest.param(
            servers(0),
            5,
            NOTHING,
            ScaleRules(former=frozenset({1}), taken=frozenset({2, 9})),
            ScalePlan(creations=(3, 4), waiting_for=(1,), taken=(2,)),
            id="names that others have",
        ),
        pytest.param(
            (*servers(0, 4), server(6, terminating=True)),
            5,
            reserved(9),
            ScaleRules(returning=frozenset({4, 6, 8, 9})),
            ScalePlan(creations=(1, 8), waiting_for=(6,)),
            id="servers that were never unwanted come back first",
        ),
        pytest.param(
            servers(0),
            2,
            NOTHING,
            ScaleRules(returning=frozenset({7, 5})),
            ScalePlan(creations=(5,)),
            id="as many as are missing",
        ),
        pytest.param(
            (server(0, available=False), server(1)),
            6,
            NOTHING,
            ScaleRules(max_unavailable=3),
            ScalePlan(creations=(2, 3), deferred=2),
            id="no more than so many are unavailable",
        ),
        pytest.param(
            (server(0, available=False), server(1, available=False)),
            6,
            NOTHING,
            ScaleRules(max_unavailable=1),
            ScalePlan(deferred=4),
            id="too many are unavailable already",
        ),
        pytest.param(
            (server(0), server(1, claimed="Kill"), server(2, claimed="Kill")),
            3,
            NOTHING,
            ScaleRules(accounted=frozenset(str(number) for number in range(MAX_ACCOUNTED - 1))),
            ScalePlan(accounting=Accounting(2, ("pod-1",)), deletions=(server(1, claimed="Kill"),)),
            id="what the annotation cannot take is deleted later",
        ),
        pytest.param(
            (server(0), server(1, claimed="ScaleDown"), server(2, claimed="ScaleDown")),
            1,
            NOTHING,
            ScaleRules("ReserveIds", frozenset(map(str, range(MAX_ACCOUNTED - 1)))),
            ScalePlan(
                accounting=Accounting(1, ("pod-1",), (1,)),
                deletions=(server(1, claimed="ScaleDown"),),
            ),
            id="nor an id that the list does not have yet",
        ),
    ],
)
def test_plans_with_rules(present, replicas, ids, rules, expected):
    assert plan_scale(present, replicas, ids, rules) == expected
