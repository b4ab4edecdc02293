"""Which servers should exist (SPEC 6.2 to 6.4)."""

import pytest

from aggregator.gameserverset.accounting import Accounting
from aggregator.gameserverset.scale import MAX_MISSING, Claim, ScalePlan, plan_scale
from tests.support.planned_servers import NOTHING, reserved, server, servers

GOING = server(2, terminating=True)
CLAIMED = server(2, claimed="ScaleDown")


@pytest.mark.parametrize(
    ("present", "replicas", "ids", "expected"),
    [
        pytest.param((), 0, NOTHING, ScalePlan(), id="none wanted, none there"),
        pytest.param((), 3, NOTHING, ScalePlan(creations=(0, 1, 2)), id="from nothing"),
        pytest.param(servers(0, 1, 4), 5, NOTHING, ScalePlan(creations=(2, 3)), id="holes"),
        pytest.param(
            servers(0, 5), 3, reserved("1-4"), ScalePlan(creations=(6,)), id="reserved holes"
        ),
        pytest.param(
            servers(0, 1, 2),
            1,
            NOTHING,
            ScalePlan(claims=(Claim(server(2), "ScaleDown"), Claim(server(1), "ScaleDown"))),
            id="too many",
        ),
        pytest.param(
            (*servers(0, 1), server(2, "Allocated"), server(3, "Maintaining")),
            3,
            NOTHING,
            ScalePlan(claims=(Claim(server(1), "ScaleDown"),)),
            id="the busy stay",
        ),
        pytest.param(
            (*servers(0, 1), GOING),
            3,
            NOTHING,
            ScalePlan(waiting_for=(2,)),
            id="its former pod still terminates",
        ),
        pytest.param(
            (*servers(0, 1), GOING),
            4,
            NOTHING,
            ScalePlan(creations=(3,), waiting_for=(2,)),
            id="no other id is taken in its place",
        ),
        pytest.param(
            (*servers(0, 1), GOING, server(3)),
            3,
            NOTHING,
            ScalePlan(),
            id="it is gone already, nobody dies for it",
        ),
        pytest.param(
            (*servers(0, 1), CLAIMED),
            2,
            NOTHING,
            ScalePlan(deletions=(CLAIMED,)),
            id="a claim is carried out",
        ),
        pytest.param(
            (*servers(0, 1), CLAIMED),
            3,
            NOTHING,
            ScalePlan(deletions=(CLAIMED,), waiting_for=(2,)),
            id="a claim is final, even when it is wanted again",
        ),
        pytest.param(
            (*servers(0, 1), server(2, "Allocated")),
            3,
            reserved(2),
            ScalePlan(claims=(Claim(server(2, "Allocated"), "Reserved"),), creations=(3,)),
            id="a reserved id goes, whatever its state",
        ),
        pytest.param(
            servers(0, 1, 5, 6),
            1,
            reserved("5-6"),
            ScalePlan(
                claims=(
                    Claim(server(5), "Reserved"),
                    Claim(server(6), "Reserved"),
                    Claim(server(1), "ScaleDown"),
                )
            ),
            id="reserved first, then the order",
        ),
        pytest.param(
            (server(0), server(3, terminating=True)),
            1,
            reserved(3),
            ScalePlan(),
            id="a reserved one that is going needs no claim",
        ),
        pytest.param(
            servers(0),
            2,
            reserved("0-2147483647"),
            ScalePlan(claims=(Claim(server(0), "Reserved"),)),
            id="every id is reserved",
        ),
    ],
)
def test_plans(present, replicas, ids, expected):
    assert plan_scale(present, replicas, ids) == expected


def test_an_absurd_target_is_planned_in_portions():
    plan = plan_scale(servers(0, 2), 2**31 - 1, NOTHING)
    assert plan == ScalePlan(creations=(1, *range(3, MAX_MISSING + 2)))


def test_a_plan_says_in_few_words_what_it_does():
    plan = ScalePlan(
        releases=(server(3),),
        claims=(Claim(server(2), "ScaleDown"),),
        accounting=Accounting(7, ("pod-2",)),
        deletions=(server(4),),
        creations=tuple(range(5, 20)),
        waiting_for=(0,),
    )
    created = tuple(f"create {id_}" for id_ in range(5, 15))
    assert plan.describe() == (
        "release 3",
        "claim 2 (ScaleDown)",
        "delete 4",
        *created,
        "replicas 7",
        "and 5 more",
    )
    assert ScalePlan(waiting_for=(0,)).describe() == ()
