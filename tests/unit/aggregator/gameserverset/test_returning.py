"""Ids whose servers are to come back (SPEC 6.1)."""

import pytest

from aggregator.gameserverset.returning import Returning, look_again, without
from aggregator.gameserverset.server import Server


def server(id_, **fields):
    return Server(id_, f"pod-{id_}", **fields)


def remembered(ids=(), present=()):
    return Returning(frozenset(ids), frozenset(present))


@pytest.mark.parametrize(
    ("before", "servers", "after"),
    [
        pytest.param(remembered(), [], remembered(), id="nothing"),
        pytest.param(remembered(), [server(1)], remembered((), {1}), id="first seen"),
        pytest.param(
            remembered((), {1}), [server(1, terminating=True)], remembered({1}, {1}), id="going"
        ),
        pytest.param(
            remembered(), [server(1, terminating=True)], remembered({1}, {1}), id="seen going"
        ),
        pytest.param(remembered({1}, {1}), [], remembered({1}), id="gone"),
        pytest.param(remembered({1}), [], remembered({1}), id="still gone"),
        pytest.param(remembered({1}), [server(1)], remembered((), {1}), id="back"),
        pytest.param(remembered((), {1}), [], remembered({1}), id="gone between two looks"),
        pytest.param(
            remembered((), {1}), [server(1, claimed="ScaleDown")], remembered(), id="claimed"
        ),
        pytest.param(
            remembered({1}, {1}),
            [server(1, claimed="Kill", terminating=True)],
            remembered(),
            id="claimed while it was going",
        ),
    ],
)
def test_what_is_remembered(before, servers, after):
    assert look_again(before, servers) == after


def test_who_is_claimed_does_not_come_back():
    assert without(remembered({1, 2}, {3, 4}), [2, 3, 9]) == remembered({1}, {4})
