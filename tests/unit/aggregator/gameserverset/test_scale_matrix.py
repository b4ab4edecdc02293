"""Every combination of what can ask for a server's deletion, each a cell with a name.

The expected values come from rules that are written down here once more, one server at a time, and
not from the sets and the closed form of the plan.
"""

from itertools import combinations, product

import pytest

from aggregator.gameserverset.ids import parse_reserve_list
from aggregator.gameserverset.reserve import add_ids
from aggregator.gameserverset.scale import ScaleRules, plan_scale
from aggregator.gameserverset.server import Server

ORDER = (("WaitToBeDeleted",), ("None", "", "GateMaintaining"), ("Allocated",), ("Maintaining",))
STATES = [state for group in ORDER for state in group]


def rank(state):
    return next(number for number, group in enumerate(ORDER) if state in group)


PAIRS = [
    pytest.param(
        Server(0, "pod-0", first, first_priority),
        Server(1, "pod-1", second, second_priority),
        id=f"{first or 'empty'} {first_priority} and {second or 'empty'} {second_priority}",
    )
    for first, second in product(STATES, STATES)
    for first_priority, second_priority in ((0, 0), (1, 0), (0, 1), (-1, 10))
]


@pytest.mark.parametrize(("smaller", "larger"), PAIRS)
def test_who_of_two_goes_first(smaller, larger):
    if rank(smaller.ops_state) != rank(larger.ops_state):
        expected = 0 if rank(smaller.ops_state) < rank(larger.ops_state) else 1
    elif smaller.deletion_priority != larger.deletion_priority:
        expected = 0 if smaller.deletion_priority > larger.deletion_priority else 1
    else:
        expected = 1
    plan = plan_scale((smaller, larger), 1, parse_reserve_list([])[0])
    assert [claim.server.id for claim in plan.claims] == [expected]


def step_by_step(killed, reserved, replicas, strategy):
    """Five servers 0 to 4, one decision after another."""
    staying = [id_ for id_ in range(5) if id_ not in killed and id_ not in reserved]
    deleted = set(killed) | {id_ for id_ in range(5) if id_ in reserved}
    standing = len(staying) + len(killed)
    for _ in killed:
        # One more than wanted stands: this one would have gone anyway.
        if standing <= replicas:
            replicas -= 1
        standing -= 1
    added = set(killed)
    while len(staying) > replicas:
        victim = staying.pop()
        deleted.add(victim)
        added.add(victim)
    if strategy == "ReserveIds":
        reserved = set(reserved) | added
    created = set()
    # Nobody is created on an id whose pod is only just being deleted.
    waiting = set()
    id_ = 0
    while len(staying) + len(created) + len(waiting) < replicas:
        if id_ not in staying and id_ not in reserved:
            (waiting if id_ in deleted else created).add(id_)
        id_ += 1
    return {
        "deleted": deleted,
        "created": created,
        "waiting": waiting,
        "replicas": replicas,
        "reserved": set(reserved),
    }


def planned(killed, reserved, replicas, strategy):
    servers = [Server(id_, f"pod-{id_}", "Kill" if id_ in killed else "None") for id_ in range(5)]
    items = tuple(sorted(reserved))
    rules = ScaleRules(strategy=strategy)
    plan = plan_scale(servers, replicas, parse_reserve_list(items)[0], rules)
    accounting = plan.accounting
    return {
        "deleted": {claim.server.id for claim in plan.claims},
        "created": set(plan.creations),
        "waiting": set(plan.waiting_for),
        "replicas": accounting.replicas if accounting else replicas,
        "reserved": set(add_ids(items, accounting.ids if accounting else ())),
    }


KILLS = [set(), {2}, {4}, {1, 3}]
RESERVES = [set(), {4}, {1}, {2, 7}]
CELLS = [
    pytest.param(
        killed,
        reserved,
        replicas,
        strategy,
        id=f"Kill {sorted(killed)} reserve {sorted(reserved)} replicas {replicas} {strategy}",
    )
    for killed, reserved, replicas, strategy in product(
        KILLS, RESERVES, (0, 3, 4, 5, 6), ("General", "ReserveIds")
    )
]


@pytest.mark.parametrize(("killed", "reserved", "replicas", "strategy"), CELLS)
def test_reserve_and_kill_and_scale_and_strategy(killed, reserved, replicas, strategy):
    assert planned(killed, reserved, replicas, strategy) == step_by_step(
        killed, reserved, replicas, strategy
    )


REASONS = ("ScaleDown", "Reserved", "Kill", "Autoscaler")
MOMENTS = ("claimed", "accounted", "terminating", "terminating, accounted", "held")
STATED = [
    pytest.param(reason, moment, strategy, id=f"{reason} {moment} {strategy}")
    for reason, moment, strategy in product(REASONS, MOMENTS, ("General", "ReserveIds"))
]


@pytest.mark.parametrize(("reason", "moment", "strategy"), STATED)
def test_a_claim_at_every_moment_of_its_life(reason, moment, strategy):
    accounted = "accounted" in moment
    server = Server(
        1,
        "pod-1",
        claimed=reason,
        terminating="terminating" in moment,
        held=moment == "held",
    )
    servers = (Server(0, "pod-0"), server, Server(2, "pod-2"))
    lowers = reason in ("Kill", "Autoscaler")
    counts = lowers or (reason == "ScaleDown" and strategy == "ReserveIds")
    # A reserved id is in the list, and the spec that counted the deletion already is lower.
    reserved = [1] if reason == "Reserved" or (accounted and strategy == "ReserveIds") else []
    replicas = 2 if reason == "ScaleDown" or (lowers and accounted) else 3
    rules = ScaleRules(strategy, frozenset({"pod-1"} if accounted else ()))
    plan = plan_scale(servers, replicas, parse_reserve_list(reserved)[0], rules)
    due = counts and not accounted
    assert (plan.accounting is not None) is due
    if due:
        assert plan.accounting.replicas == 2
        assert plan.accounting.pod_uids == ("pod-1",)
        assert plan.accounting.ids == ((1,) if strategy == "ReserveIds" else ())
    deleted = [each.id for each in plan.deletions]
    assert deleted == ([] if server.terminating or server.held else [1])
    assert (plan.claims, plan.releases) == ((), ())
    assert plan.creations == ((3,) if reason == "Reserved" else ())


def test_the_kills_of_one_plan_cost_what_they_cost_one_by_one():
    for count in range(4):
        for killed in combinations(range(5), count):
            for replicas in range(7):
                expected = step_by_step(set(killed), set(), replicas, "General")
                assert planned(set(killed), set(), replicas, "General") == expected
