"""What holds for every plan of which servers should exist (SPEC 6.2 to 6.5)."""

from copy import deepcopy
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.accounting import LOWERS_REPLICAS, Accounting
from aggregator.gameserverset.scale import ScalePlan, ScaleRules, plan_scale
from aggregator.selection import deletion_order
from tests.support.planned_servers import reserved, server

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
