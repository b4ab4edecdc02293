"""What holds for every pass of the autoscaler, whatever the set and the policy."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.scaling.census import ServerClass, class_of
from aggregator.scaling.demand import demand
from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.keda_metric import metric
from tests.support.random_scaling import MOST_SERVERS, NOW, Situation, random_situation
from tests.support.scaling import MARKED, apply, at
from tests.support.scaling_strategies import SITUATIONS, WITHOUT_LIMITS

# Seconds of pure computing: more where both cores are busy.
pytestmark = pytest.mark.timeout(60)

# 100,000 in all; in parts, so that each test stays short.
PARTS = 10
EACH = 10_000
MOST_PASSES = 6


def check_pass(situation: Situation) -> None:
    snapshot, policy = situation.snapshot, situation.policy
    decision = evaluate(snapshot, policy, situation.history, at(NOW))
    census = decision.census
    removed = len(decision.victims) + decision.cancel
    assert (census.expected, census.settled) == expected_and_settled(situation)
    assert min(decision.add, decision.cancel, census.missing) >= 0
    assert len({server.id for server in decision.victims}) == len(decision.victims)
    for server in decision.victims:
        check_victim(situation, server)
    if decision.add:
        assert census.expected + decision.add <= policy.max_replicas
    if removed:
        assert census.settled
        assert census.expected - removed >= policy.min_replicas
        assert decision.cancel <= census.missing
    # Whoever is removed for being idle leaves what is to be kept.
    spare = (
        removed
        if policy.marks_idle
        else removed - sum(server.ops_state == MARKED for server in decision.victims)
    )
    if spare:
        kept = replace(census, ready=census.ready[:0], booting=census.booting[:0])
        left = census.idle - spare
        assert left >= policy.min_available_floor
        if policy.min_available is not None:
            wanted = policy.min_available
            base = kept.base - spare
            assert left >= (wanted if isinstance(wanted, int) else wanted * base)
    assert decision.due is None or decision.due > at(NOW)
    assert metric(census, policy) >= 0


def expected_and_settled(situation: Situation) -> tuple[int, bool]:
    """How many servers there will be if nothing is done, and whether anybody may go, as defined."""
    snapshot, policy = situation.snapshot, situation.policy
    classes = [class_of(server, policy) for server in snapshot.servers]
    going = {ServerClass.LEAVING, ServerClass.KILL}
    present = sum(class_ not in going for class_ in classes)
    lowering = sum(
        class_ is ServerClass.KILL or (class_ is ServerClass.LEAVING and server.unaccounted)
        for class_, server in zip(classes, snapshot.servers, strict=True)
    )
    spec = snapshot.spec_replicas
    expected = spec - min(max(spec - present, 0), lowering)
    return expected, snapshot.observed and expected >= present


def check_victim(situation: Situation, server) -> None:
    policy = situation.policy
    class_ = class_of(server, policy)
    if server.ops_state == MARKED:
        assert class_ in {ServerClass.MARKED, ServerClass.IDLE_READY}
        assert not server.stale
        since = server.marked_since
        assert since is None or since + policy.wait_to_be_deleted <= at(NOW)
    else:
        assert class_ in {ServerClass.IDLE_READY, ServerClass.IDLE_BOOTING}
        assert policy.max_available is not None
        assert not policy.marks_idle
        assert server.ops_state in policy.supply_ops_states | {""}
    assert server.ops_state not in {"Allocated", "Maintaining", "Kill"}


def check_rest(situation: Situation) -> None:
    """Without limits the set comes to rest, with what was asked for where maxReplicas lets it."""
    snapshot, policy = situation.snapshot, situation.policy
    for _ in range(MOST_PASSES):
        decision = evaluate(snapshot, policy, situation.history, at(NOW))
        if not (decision.add or decision.cancel or decision.victims):
            break
        snapshot = apply(snapshot, policy, decision)
    else:
        raise AssertionError(f"no rest after {MOST_PASSES} passes: {situation}")
    census = decision.census
    wish = demand(census, policy)
    assert wish.deficit == 0 or census.expected >= policy.max_replicas
    if census.settled:
        assert wish.excess == 0 or census.expected <= policy.min_replicas or policy.marks_idle
        assert not census.ripe or policy.marks_idle or census.expected <= policy.min_replicas


@pytest.mark.parametrize("part", range(PARTS))
def test_every_pass_of_a_hundred_thousand_keeps_its_promises(part):
    random = Random(part)
    for _ in range(EACH):
        check_pass(random_situation(random))


@pytest.mark.parametrize("part", range(5))
def test_a_set_comes_to_rest_within_six_passes(part):
    random = Random(part)
    for _ in range(2_000):
        check_rest(random_situation(random, limits=False))


# Whoever looks for examples on a busy machine is slow, which says nothing about the examples.
PATIENT = settings(suppress_health_check=[HealthCheck.too_slow])


@settings(PATIENT, max_examples=500)
@given(SITUATIONS)
def test_a_pass_keeps_its_promises_where_hypothesis_looks(situation):
    check_pass(situation)


@settings(PATIENT, max_examples=250)
@given(WITHOUT_LIMITS)
def test_a_set_comes_to_rest_where_hypothesis_looks(situation):
    check_rest(situation)


@settings(PATIENT, max_examples=250)
@given(SITUATIONS, st.permutations(range(MOST_SERVERS)))
def test_the_order_of_the_servers_changes_nothing(situation, order):
    servers = situation.snapshot.servers
    others = tuple(servers[place] for place in order if place < len(servers))
    shuffled = replace(situation.snapshot, servers=others)
    one = evaluate(situation.snapshot, situation.policy, situation.history, at(NOW))
    other = evaluate(shuffled, situation.policy, situation.history, at(NOW))
    assert (other.growth, other.removal, other.reasons, other.due) == (
        one.growth,
        one.removal,
        one.reasons,
        one.due,
    )
