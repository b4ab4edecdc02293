"""Which servers should exist (SPEC 6.2 to 6.4)."""

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.ids import IdSet, parse_reserve_list
from aggregator.gameserverset.scale import MAX_MISSING, Claim, ScalePlan, plan_scale
from aggregator.gameserverset.server import Server
from aggregator.selection import deletion_order


def server(id_: int, ops_state: str = "None", **fields) -> Server:
    return Server(id_, f"pod-{id_}", ops_state, **fields)


def servers(*ids: int) -> tuple[Server, ...]:
    return tuple(server(id_) for id_ in ids)


def reserved(*items: int | str) -> IdSet:
    return parse_reserve_list(items)[0]


NOTHING = reserved()
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


SERVERS = st.lists(
    st.builds(
        server,
        st.integers(0, 12),
        st.sampled_from(["None", "", "WaitToBeDeleted", "Allocated", "Maintaining", "Custom"]),
        deletion_priority=st.integers(-2, 2),
        terminating=st.booleans(),
        claimed=st.sampled_from([None, None, "ScaleDown", "Reserved"]),
    ),
    unique_by=lambda each: each.id,
    max_size=10,
).map(tuple)
REPLICAS = st.integers(0, 12)
RESERVED = st.lists(st.integers(0, 12), max_size=4).map(lambda ids: reserved(*ids))


@given(SERVERS, REPLICAS, RESERVED, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(present, replicas, ids, random):
    shuffled = list(present)
    random.shuffle(shuffled)
    assert plan_scale(tuple(shuffled), replicas, ids) == plan_scale(present, replicas, ids)


@given(SERVERS, REPLICAS, RESERVED)
def test_nothing_is_deleted_that_is_not_claimed_condemned_or_too_many(present, replicas, ids):
    before = deepcopy((present, ids))
    plan = plan_scale(present, replicas, ids)
    assert all(each.claimed and not each.terminating for each in plan.deletions)
    for claim in plan.claims:
        assert not claim.server.claimed
        assert not claim.server.terminating
        assert (claim.reason == "Reserved") is (claim.server.id in ids)
    assert (present, ids) == before


@given(SERVERS, REPLICAS, RESERVED)
def test_exactly_replicas_are_wanted_afterwards(present, replicas, ids):
    plan = plan_scale(present, replicas, ids)
    gone = {claim.server.id for claim in plan.claims} | {each.id for each in plan.deletions}
    stay = {each.id for each in present if not each.terminating} - gone
    assert len(stay) + len(plan.creations) + len(plan.waiting_for) == replicas
    assert not (stay | set(plan.creations) | set(plan.waiting_for)) & {
        id_ for id_ in range(40) if id_ in ids
    }
    assert not set(plan.creations) & {each.id for each in present}
    assert set(plan.waiting_for) <= {each.id for each in present} - stay


@given(SERVERS, REPLICAS, RESERVED)
def test_victims_come_before_everybody_who_stays(present, replicas, ids):
    plan = plan_scale(present, replicas, ids)
    chosen = [claim.server for claim in plan.claims if claim.reason == "ScaleDown"]
    stay = [
        each
        for each in present
        if not each.terminating and not each.claimed and each.id not in ids and each not in chosen
    ]
    order = [deletion_order(each) for each in (*chosen, *sorted(stay, key=deletion_order))]
    assert order == sorted(order)
    assert not (chosen and (plan.creations or plan.waiting_for))


@given(SERVERS, REPLICAS, RESERVED)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(present, replicas, ids):
    plan = plan_scale(present, replicas, ids)
    gone = {claim.server.id for claim in plan.claims} | {each.id for each in plan.deletions}
    terminating = tuple(
        replace(each, terminating=True) if each.id in gone else each for each in present
    )
    after = plan_scale((*terminating, *map(server, plan.creations)), replicas, ids)
    assert after == ScalePlan(waiting_for=plan.waiting_for)
    finished = tuple(each for each in terminating if not each.terminating)
    last = plan_scale((*finished, *map(server, plan.creations)), replicas, ids)
    assert last == ScalePlan(creations=plan.waiting_for)


def test_a_plan_says_in_few_words_what_it_does():
    plan = ScalePlan(
        claims=(Claim(server(2), "ScaleDown"),),
        deletions=(server(4),),
        creations=tuple(range(5, 20)),
        waiting_for=(0,),
    )
    created = tuple(f"create {id_}" for id_ in range(5, 15))
    assert plan.describe() == ("claim 2 (ScaleDown)", "delete 4", *created, "and 5 more")
    assert ScalePlan(waiting_for=(0,)).describe() == ()
