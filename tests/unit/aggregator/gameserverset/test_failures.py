"""Pods that ended: when their servers are made again (SPEC 6.2)."""

from datetime import timedelta

import pytest

from aggregator.gameserverset.failures import HEALTHY, Failure, Replacements, plan_replacements
from aggregator.gameserverset.server import Server
from tests.support.builders import NOW

SECOND = timedelta(seconds=1)


def ended(id_=0, uid="pod-2", *, lived=SECOND):
    return Server(id_, uid, finished=True, started_at=NOW - lived)


@pytest.mark.parametrize(
    ("count", "seconds"),
    [(1, 0), (2, 10), (3, 20), (4, 40), (6, 160), (7, 300), (8, 300), (1000, 300)],
)
def test_the_delay_doubles_from_ten_seconds_to_five_minutes(count, seconds):
    assert Failure(count, "pod-1", NOW).delay == timedelta(seconds=seconds)


FIRST = Failure(1, "pod-1", NOW - 5 * SECOND)


@pytest.mark.parametrize(
    ("server", "former", "expected"),
    [
        pytest.param(
            ended(), None, Replacements({0: Failure(1, "pod-2", NOW)}, due=(ended(),)), id="first"
        ),
        pytest.param(
            ended(),
            FIRST,
            Replacements({0: Failure(2, "pod-2", NOW)}, (), (ended(),), 10 * SECOND),
            id="second",
        ),
        pytest.param(
            ended(),
            Failure(2, "pod-2", NOW - 4 * SECOND),
            Replacements({0: Failure(2, "pod-2", NOW - 4 * SECOND)}, (), (ended(),), 6 * SECOND),
            id="the same one, seen again",
        ),
        pytest.param(
            ended(),
            Failure(2, "pod-2", NOW - 10 * SECOND),
            Replacements({0: Failure(2, "pod-2", NOW - 10 * SECOND)}, due=(ended(),)),
            id="its delay is over",
        ),
        pytest.param(
            ended(lived=HEALTHY),
            FIRST,
            Replacements({0: Failure(1, "pod-2", NOW)}, due=(ended(lived=HEALTHY),)),
            id="it lived for long",
        ),
        pytest.param(
            Server(0, "pod-2", finished=True),
            FIRST,
            Replacements(
                {0: Failure(2, "pod-2", NOW)},
                (),
                (Server(0, "pod-2", finished=True),),
                10 * SECOND,
            ),
            id="nobody knows how long it lived",
        ),
        pytest.param(Server(0, "pod-2"), FIRST, Replacements({0: FIRST}), id="it runs"),
        pytest.param(Server(0, "pod-2"), None, Replacements({}), id="it always ran"),
        pytest.param(
            Server(0, "pod-2"),
            Failure(2, "pod-1", NOW - HEALTHY - 10 * SECOND),
            Replacements({}),
            id="it runs for long",
        ),
    ],
)
def test_one_server(server, former, expected):
    failures = {} if former is None else {0: former}
    assert plan_replacements([server], failures, NOW) == expected


def test_ids_are_counted_apart_and_the_next_one_is_waited_for():
    failures = {
        1: Failure(3, "pod-1", NOW - 5 * SECOND),
        2: Failure(2, "pod-2", NOW - 3 * SECOND),
    }
    servers = [ended(7, "pod-7"), ended(2, "pod-2"), ended(1, "pod-1")]
    plan = plan_replacements(servers, failures, NOW)
    assert [server.id for server in plan.due] == [7]
    assert [server.id for server in plan.waiting] == [1, 2]
    assert plan.requeue_after == 7 * SECOND
    assert plan.failures == failures | {7: Failure(1, "pod-7", NOW)}
