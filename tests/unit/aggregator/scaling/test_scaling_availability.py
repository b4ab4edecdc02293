"""One pass of the autoscaler: minAvailable and maxAvailable."""

from tests.support.scaling import MARKED, Group, policy, snapshot
from tests.support.scaling_cases import BUSY, Case, each, outcome_of

CASES = [
    # -- minAvailable ----------------------------------------------------------------------------
    Case("enough is enough", snapshot(Group(3)), policy(min_available=3)),
    Case("zero idle servers may be wanted", snapshot(Group(2, BUSY)), policy(min_available=0)),
    Case(
        "servers that boot are not asked for again",
        snapshot(Group(1), Group(4, state="Creating")),
        policy(min_available=5),
    ),
    Case(
        "servers that are missing are not asked for again",
        snapshot(Group(1), spec=5),
        policy(min_available=5),
    ),
    Case(
        "quota lets one of three exist: replicas stays at three",
        snapshot(Group(1), spec=3),
        policy(min_available=3),
    ),
    Case(
        "a marked server is no supply",
        snapshot(Group(2), Group(1, MARKED, since=999)),
        policy(min_available=3, dwell=30),
        add=1,
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "a share counts the servers it adds",
        snapshot(Group(10, BUSY)),
        policy(min_available="50%"),
        add=10,
    ),
    Case(
        "a share that is met exactly asks for nothing",
        snapshot(Group(2), Group(8, BUSY)),
        policy(min_available="20%"),
    ),
    Case(
        "a share is exact where floats are not",
        snapshot(Group(3), Group(7, BUSY)),
        policy(min_available="0.3"),
    ),
    Case(
        "a share of a tenth of a percent",
        snapshot(Group(999, BUSY)),
        policy(min_available="0.1%", most=2000),
        add=1,
    ),
    Case(
        "a share leaves out the marked",
        snapshot(Group(2), Group(6, BUSY), Group(8, MARKED, since=990)),
        policy(min_available="25%", dwell=30),
        reasons=("WaitToBeDeletedDwell",),
    ),
    Case(
        "the floor is more than the share",
        snapshot(Group(10, BUSY)),
        policy(min_available="10%", floor=5),
        add=5,
    ),
    Case(
        "the share is more than the floor",
        snapshot(Group(90, BUSY)),
        policy(min_available="10%", floor=5),
        add=10,
    ),
    Case("a floor needs no minAvailable", snapshot(Group(1)), policy(floor=3), add=2),
    Case(
        "maxAvailable bounds what minAvailable asks for",
        snapshot(Group(10, BUSY)),
        policy(min_available="50%", max_available=4),
        add=4,
    ),
    # -- maxAvailable ----------------------------------------------------------------------------
    Case(
        "idle servers go by priority, then by id",
        snapshot(Group(2), Group(1, priority=5), Group(2)),
        policy(max_available=2),
        victims=(2, 4, 3),
    ),
    Case(
        "servers that boot go before those that are ready",
        snapshot(Group(1, state="Creating"), Group(3)),
        policy(max_available=2),
        victims=(0, 3),
    ),
    Case(
        "what is not created yet is cancelled before anybody goes",
        snapshot(Group(1, state="Creating"), Group(3), spec=6),
        policy(max_available=2),
        victims=(0, 3),
        cancel=2,
    ),
    Case(
        "two billion that somebody asked for are cancelled at once",
        snapshot(Group(2), spec=2_000_000_000),
        policy(max_available=2, most=2_000_000_000),
        cancel=1_999_999_998,
    ),
    Case("none at all may be wanted", snapshot(Group(2)), policy(max_available=0), victims=(1, 0)),
    Case(
        "a share of the servers may be idle",
        snapshot(Group(10), Group(10, BUSY)),
        policy(max_available="20%"),
        victims=(9, 8, 7, 6, 5, 4, 3, 2),
    ),
    Case(
        "a share rounds so that no more than that is idle",
        snapshot(Group(5), Group(3, BUSY)),
        policy(max_available="50%"),
        victims=(4, 3),
    ),
    Case(
        "minAvailable keeps what maxAvailable would take",
        snapshot(Group(5), Group(5, BUSY)),
        policy(min_available=4, max_available="10%"),
        victims=(4,),
    ),
    Case(
        "a share of minAvailable keeps what maxAvailable would take",
        snapshot(Group(7), Group(5, BUSY)),
        policy(min_available="50%", max_available=3),
        victims=(6, 5),
    ),
    Case(
        "the floor keeps what maxAvailable would take",
        snapshot(Group(6)),
        policy(floor=4, max_available="10%"),
        victims=(5, 4),
    ),
    Case(
        "without maxAvailable idle servers stay",
        snapshot(Group(50)),
        policy(min_available=1),
    ),
    Case(
        "marked servers go first and idle ones after them",
        snapshot(Group(3), Group(2, MARKED)),
        policy(max_available=2),
        victims=(4, 3, 2),
    ),
]


@each(CASES)
def test_the_supply_is_kept_between_its_bounds(case):
    assert outcome_of(case) == case.expected
