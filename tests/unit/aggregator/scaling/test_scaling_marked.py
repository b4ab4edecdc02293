"""One pass of the autoscaler: marked servers, and sets that are not settled."""

from tests.support.scaling import MARKED, Group, policy, snapshot
from tests.support.scaling_cases import BUSY, Case, each, outcome_of

CASES = [
    # -- marked servers --------------------------------------------------------------------------
    Case(
        "a server marked a second too short stays",
        snapshot(Group(2), Group(1, MARKED, since=971)),
        policy(dwell=30),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "each marked server has its own dwell",
        snapshot(Group(1), Group(1, MARKED, since=970), Group(1, MARKED, since=971)),
        policy(dwell=30),
        victims=(1,),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "a mark from the future waits",
        snapshot(Group(1), Group(1, MARKED, since=1500)),
        policy(),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "a marked server goes although it is not Ready",
        snapshot(Group(1), Group(1, MARKED, state="Crash")),
        policy(),
        victims=(1,),
    ),
    Case(
        "negative priorities go last",
        snapshot(Group(1, MARKED, priority=-1), Group(1, MARKED, priority=-2), Group(1, MARKED)),
        policy(),
        victims=(2, 0, 1),
    ),
    # -- sets whose probe marks every empty server -----------------------------------------------
    Case(
        "marked servers are supply and go above it, by their order",
        snapshot(Group(2, BUSY), Group(4, MARKED)),
        policy(min_available=2, supply=(MARKED,)),
        victims=(5, 4),
    ),
    Case(
        "only ripe ones go",
        snapshot(Group(3, MARKED, since=990), Group(1, MARKED, since=900)),
        policy(min_available=1, supply=(MARKED,), dwell=30),
        victims=(3,),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "a server that was not probed yet never goes",
        snapshot(Group(3, ""), Group(1, state="Creating")),
        policy(min_available=1, supply=(MARKED,)),
    ),
    Case(
        "what is not created yet is cancelled",
        snapshot(Group(2, MARKED), spec=4),
        policy(min_available=1, supply=(MARKED,)),
        cancel=2,
        victims=(1,),
    ),
    Case(
        "without minAvailable all empty servers go",
        snapshot(Group(1), Group(2, MARKED)),
        policy(supply=(MARKED,)),
        victims=(2, 1),
    ),
    Case(
        "the floor is kept without minAvailable",
        snapshot(Group(1), Group(2, MARKED)),
        policy(supply=(MARKED,), floor=1),
        victims=(2,),
    ),
    Case(
        "the floor is asked for without minAvailable",
        snapshot(Group(1)),
        policy(supply=(MARKED,), floor=2),
        add=2,
    ),
    Case(
        "maxAvailable leaves room between the two",
        snapshot(Group(5, MARKED)),
        policy(min_available=2, max_available=4, supply=(MARKED,)),
        victims=(4,),
    ),
    Case(
        "a share is kept, not one server less",
        snapshot(Group(8), Group(4, MARKED)),
        policy(min_available="20%", supply=(MARKED,)),
        victims=(11, 10),
    ),
    Case(
        "a stale mark is neither supply nor removed",
        snapshot(Group(2, MARKED, stale=True), Group(1, MARKED)),
        policy(min_available=1, supply=(MARKED,)),
    ),
    # -- not settled -----------------------------------------------------------------------------
    Case(
        "nobody goes before everything is known",
        snapshot(Group(2), Group(2, MARKED), observed=False),
        policy(max_available=1),
        reasons=("Unsettled",),
    ),
    Case(
        "growth does not wait until everything is known",
        snapshot(Group(2), observed=False),
        policy(min_available=3),
        add=1,
    ),
    Case(
        "nothing is held back where nobody had to go",
        snapshot(Group(3), spec=2),
        policy(),
    ),
]


@each(CASES)
def test_marked_servers_go_by_name_when_they_are_ripe(case):
    assert outcome_of(case) == case.expected
