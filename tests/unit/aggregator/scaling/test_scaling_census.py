"""One pass of the autoscaler: who counts as supply, as in use and as gone."""

from tests.support.scaling import MARKED, Group, policy, snapshot
from tests.support.scaling_cases import BUSY, Case, each, outcome_of

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
]


@each(CASES)
def test_who_counts_as_what_decides_the_pass(case):
    assert outcome_of(case) == case.expected
