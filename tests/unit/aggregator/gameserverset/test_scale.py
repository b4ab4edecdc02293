"""Which servers should exist (SPEC 6.2 to 6.4)."""

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.accounting import LOWERS_REPLICAS, MAX_ACCOUNTED, Accounting
from aggregator.gameserverset.ids import IdSet, parse_reserve_list
from aggregator.gameserverset.scale import (
    MAX_MISSING,
    Claim,
    ScalePlan,
    ScaleRules,
    plan_scale,
)
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
    ],
)
def test_plans_with_rules(present, replicas, ids, rules, expected):
    assert plan_scale(present, replicas, ids, rules) == expected


STATES = ["None", "", "WaitToBeDeleted", "Allocated", "Maintaining", "Custom", "Kill"]
SERVERS = st.lists(
    st.builds(
        server,
        st.integers(0, 12),
        st.sampled_from(STATES),
        deletion_priority=st.integers(-2, 2),
        terminating=st.booleans(),
        claimed=st.sampled_from([None, None, None, "ScaleDown", "Reserved", "Kill", "Autoscaler"]),
        held=st.booleans(),
    ),
    unique_by=lambda each: each.id,
    max_size=10,
).map(tuple)
REPLICAS = st.integers(0, 12)
RESERVED = st.lists(st.integers(0, 12), max_size=4).map(lambda ids: reserved(*ids))
RULES = st.builds(
    ScaleRules,
    st.sampled_from(["General", "ReserveIds"]),
    st.frozensets(st.integers(0, 12).map(lambda id_: f"pod-{id_}"), max_size=3),
    st.booleans(),
)


def wanted(present, ids):
    """Servers that are neither going nor condemned."""
    return [
        each
        for each in present
        if not each.terminating
        and not each.claimed
        and each.id not in ids
        and each.ops_state != "Kill"
    ]


@given(SERVERS, REPLICAS, RESERVED, RULES, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(present, replicas, ids, rules, random):
    shuffled = list(present)
    random.shuffle(shuffled)
    expected = plan_scale(present, replicas, ids, rules)
    assert plan_scale(tuple(shuffled), replicas, ids, rules) == expected


@given(SERVERS, REPLICAS, RESERVED, RULES)
def test_nothing_is_deleted_that_is_not_claimed_condemned_or_too_many(
    present, replicas, ids, rules
):
    before = deepcopy((present, ids, rules))
    plan = plan_scale(present, replicas, ids, rules)
    for each in plan.deletions:
        assert each.claimed
        assert not each.terminating
        assert not each.held
        assert each not in plan.releases
    for claim in plan.claims:
        assert not claim.server.claimed
        assert not claim.server.terminating
        killed = claim.server.ops_state == "Kill"
        assert (claim.reason == "Kill") is killed
        assert (claim.reason == "Reserved") is (claim.server.id in ids and not killed)
    for each in plan.releases:
        assert (each.claimed, each.held) == ("ScaleDown", True)
    assert (present, ids, rules) == before


@given(SERVERS, REPLICAS, RESERVED, RULES)
def test_exactly_the_right_servers_exist_afterwards(present, replicas, ids, rules):
    plan = plan_scale(present, replicas, ids, rules)
    after = plan.accounting.replicas if plan.accounting else replicas
    claimed = {claim.server.id for claim in plan.claims}
    stay = {each.id for each in wanted(present, ids)} - claimed
    stay |= {each.id for each in plan.releases}
    missing = set(plan.creations) | set(plan.waiting_for)
    assert len(stay) + len(missing) == after + plan.blocked
    taken_out = ids.with_ids(plan.accounting.ids if plan.accounting else ())
    assert not missing & {id_ for id_ in range(60) if id_ in taken_out}
    assert not set(plan.creations) & {each.id for each in present}
    assert set(plan.waiting_for) <= {each.id for each in present} - stay


@given(SERVERS, REPLICAS, RESERVED, RULES)
def test_replicas_are_lowered_at_most_once_for_each_kill(present, replicas, ids, rules):
    # What a free server cost is forgotten before anything else is decided (Plan.recalled).
    free = {each.pod_uid for each in present if not each.claimed and not each.terminating}
    rules = replace(rules, accounted=rules.accounted - free)
    plan = plan_scale(present, replicas, ids, rules)
    if plan.accounting is None:
        return
    reasons = {each.pod_uid: each.claimed for each in present if each.claimed}
    reasons |= {claim.server.pod_uid: claim.reason for claim in plan.claims}
    lowering = [uid for uid in plan.accounting.pod_uids if reasons[uid] in LOWERS_REPLICAS]
    assert 0 <= replicas - plan.accounting.replicas <= len(lowering)
    assert plan.accounting.replicas >= min(replicas, len(wanted(present, ids)))
    assert not set(plan.accounting.pod_uids) & rules.accounted


@given(SERVERS, REPLICAS, RESERVED, RULES)
def test_victims_come_before_everybody_who_stays(present, replicas, ids, rules):
    plan = plan_scale(present, replicas, ids, rules)
    chosen = [claim.server for claim in plan.claims if claim.reason == "ScaleDown"]
    stay = [
        each
        for each in wanted(present, ids)
        if each not in chosen and not (rules.protects_allocated and each.ops_state == "Allocated")
    ]
    order = [deletion_order(each) for each in (*chosen, *sorted(stay, key=deletion_order))]
    assert order == sorted(order)
    assert not (chosen and (plan.creations or plan.waiting_for))
    if rules.protects_allocated:
        assert all(each.ops_state != "Allocated" for each in chosen)


@given(SERVERS, REPLICAS, RESERVED, RULES)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(present, replicas, ids, rules):
    plan = plan_scale(present, replicas, ids, rules)
    reasons = {claim.server.id: claim.reason for claim in plan.claims}
    released = {each.id for each in plan.releases}
    deleted = {each.id for each in plan.deletions}
    deleted |= {claim.server.id for claim in plan.claims if not claim.server.held}
    carried_out = tuple(
        replace(
            each,
            claimed=None if each.id in released else reasons.get(each.id, each.claimed),
            terminating=each.terminating or each.id in deleted,
        )
        for each in present
    )
    accounting = plan.accounting or Accounting(replicas, ())
    later = replace(
        rules,
        accounted=rules.accounted.union(accounting.pod_uids)
        - {each.pod_uid for each in plan.releases},
    )
    ids = ids.with_ids(accounting.ids)
    created = tuple(map(server, plan.creations))
    after = plan_scale((*carried_out, *created), accounting.replicas, ids, later)
    assert after == ScalePlan(waiting_for=plan.waiting_for, blocked=plan.blocked)


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
