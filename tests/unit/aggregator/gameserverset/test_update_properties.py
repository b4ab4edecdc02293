"""What holds for every plan of an update."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.update import PatchInPlace, UpdateRules, plan_updates, update_order
from tests.support.builders import NOW
from tests.support.updated_servers import IMAGE, LABEL, server

SERVERS = st.lists(
    st.builds(
        server,
        st.integers(0, 9),
        st.sampled_from(["old", "new", "unknown"]),
        update_priority=st.integers(-1, 1),
        available=st.booleans(),
        held=st.booleans(),
        update_held=st.booleans(),
    ),
    unique_by=lambda each: each.id,
    max_size=8,
)
RULES = st.builds(
    UpdateRules,
    st.just("new"),
    partition=st.integers(0, 5),
    max_unavailable=st.integers(0, 4),
    policy=st.sampled_from(["ReCreate", "InPlaceIfPossible", "InPlaceOnly"]),
    changes=st.sampled_from([{"old": IMAGE}, {"old": LABEL}, {}]),
)


@given(SERVERS, st.integers(0, 9), RULES)
def test_an_update_disturbs_no_more_than_it_may_and_leaves_the_partition(servers, replicas, rules):
    plan = plan_updates(servers, replicas, rules, NOW)
    disturbed = [
        step.server
        for step in plan.steps
        if step.server.available and not (isinstance(step, PatchInPlace) and step.change == LABEL)
    ]
    unavailable = replicas - sum(each.available for each in servers)
    assert len(disturbed) <= max(0, rules.max_unavailable - unavailable)
    assert all(step.server.revision != "new" for step in plan.steps)
    left = sum(each.revision != "new" for each in servers) - len(plan.steps)
    assert left >= min(rules.partition, sum(each.revision != "new" for each in servers))


@given(SERVERS, st.integers(0, 9), RULES, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(servers, replicas, rules, random):
    shuffled = list(servers)
    random.shuffle(shuffled)
    expected = plan_updates(servers, replicas, rules, NOW)
    assert plan_updates(shuffled, replicas, rules, NOW) == expected


@given(SERVERS, st.integers(0, 9), RULES)
def test_of_those_that_are_available_the_first_in_the_order_are_taken(servers, replicas, rules):
    chosen = [step.server for step in plan_updates(servers, replicas, rules, NOW).steps]
    assert chosen == sorted(chosen, key=update_order)
