"""Claims that the caches may not show yet: how long each counts, and what it lowered."""

import pytest

from aggregator.autoscaler.own_claims import OwnClaims
from aggregator.kube.resources import ObjectKey
from tests.support.builders import game_server, game_server_set, pod

ACCOUNTED = "gamekeeper.dev/accounted-deletions"
CLAIM = {"reason": "Autoscaler", "podUid": "a", "at": "2026-01-01T00:00:00Z"}
ZERO, ONE = (ObjectKey("games", f"minecraft-{id_}") for id_ in range(2))


def a_set(accounted: str | None = None):
    return game_server_set(annotations={} if accounted is None else {ACCOUNTED: accounted})


def there(uid: str, **spec):
    """A pod with this uid is in the caches, and its GameServer."""
    return {uid: (pod(uid=uid), game_server(**spec))}


@pytest.mark.parametrize(
    ("claims", "owner", "pairs", "after", "lowered"),
    [
        pytest.param(OwnClaims(), a_set(), {}, OwnClaims(), 0, id="nothing claimed"),
        pytest.param(
            OwnClaims({"a"}), a_set(), there("a"), OwnClaims({"a"}), 0, id="not shown yet"
        ),
        pytest.param(
            OwnClaims({"a"}),
            a_set(),
            {"a": (pod(uid="a"), None)},
            OwnClaims({"a"}),
            0,
            id="its GameServer is not in the cache",
        ),
        pytest.param(
            OwnClaims({"a"}),
            a_set(),
            there("a", deletion=CLAIM),
            OwnClaims(),
            0,
            id="shown, and not accounted yet",
        ),
        pytest.param(
            OwnClaims({"a"}),
            a_set("a"),
            there("a"),
            OwnClaims(accounted=frozenset("a")),
            1,
            id="accounted before the claim is shown",
        ),
        pytest.param(
            OwnClaims({"a"}),
            a_set(),
            {},
            OwnClaims(),
            1,
            id="it came and went between two looks",
        ),
        pytest.param(
            OwnClaims({"a"}),
            a_set("a"),
            {},
            OwnClaims(accounted=frozenset("a")),
            1,
            id="gone and still in the annotation counts once",
        ),
        pytest.param(
            OwnClaims(accounted=frozenset("a")),
            a_set("a, b,"),
            there("a"),
            OwnClaims(accounted=frozenset("ab")),
            1,
            id="only what is newly accounted counts",
        ),
        pytest.param(
            OwnClaims(accounted=frozenset("ab")),
            a_set(),
            {},
            OwnClaims(),
            0,
            id="what leaves the annotation lowers nothing",
        ),
    ],
)
def test_a_claim_counts_until_the_caches_show_it(claims, owner, pairs, after, lowered):
    seen = OwnClaims(set(claims.claimed), dict(claims.uncertain), claims.accounted)
    assert (seen.see(owner, pairs), seen) == (lowered, after)


def test_an_uncertain_claim_counts_once_it_is_known_to_be_written():
    claims = OwnClaims()
    claims.note(["c"], {ZERO: "a", ONE: "b"})
    claims.settle(ZERO, written=True)
    assert claims == OwnClaims({"a", "c"}, {ONE: "b"})
    claims.settle(ONE, written=False)
    assert claims == OwnClaims({"a", "c"})
