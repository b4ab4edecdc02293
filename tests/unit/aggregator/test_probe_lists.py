"""Which probe list an agent gets: that of its pod's set, made once for each generation."""

import pytest

from aggregator.caches import Caches
from aggregator.kube.resources import ObjectKey
from aggregator.ledger import Ledger
from aggregator.probe_lists import ProbeLists
from aggregator.quality.probes import plan_probes
from shared.api.gameserverset import GameServerSet
from tests.support.builders import game_server_set, pod, quality

KEY = ObjectKey("games", "minecraft-0")
SET_KEY = ObjectKey("games", "minecraft")
OWNER = game_server_set(qualities=(quality("idle"),))


@pytest.fixture
def caches() -> Caches:
    found = Caches(Ledger(0.0, 10.0))
    found.pods.put(KEY, pod())
    found.sets.put(SET_KEY, OWNER)
    return found


def at_generation(number: int, *names: str) -> GameServerSet:
    """The set after an edit."""
    return game_server_set(qualities=tuple(quality(name) for name in names), generation=number)


def test_an_agent_runs_the_probes_of_its_set(caches: Caches) -> None:
    wanted = plan_probes(OWNER.spec)
    assert ProbeLists(caches).of_pod(KEY, "pod-0") == (wanted.revision, wanted.probes)


@pytest.mark.parametrize(
    ("gone", "uid"),
    [
        pytest.param("", "another", id="a pod of that name with another uid"),
        pytest.param("pods", "pod-0", id="a pod that is not in the cache"),
        pytest.param("sets", "pod-0", id="a set that is gone"),
    ],
)
def test_who_is_not_known_gets_no_list(caches: Caches, gone: str, uid: str) -> None:
    if gone:
        getattr(caches, gone).remove(KEY if gone == "pods" else SET_KEY)
    assert ProbeLists(caches).of_pod(KEY, uid) is None


def test_a_list_is_made_once_for_each_generation(caches: Caches) -> None:
    lists = ProbeLists(caches)
    first = lists.of_set(OWNER)
    assert lists.of_set(OWNER) is first
    edited = at_generation(OWNER.metadata.generation + 1, "idle", "healthy")
    assert lists.of_set(edited) == plan_probes(edited.spec)
    assert lists.of_set(edited) != first


def test_a_set_that_is_gone_is_forgotten(caches: Caches) -> None:
    lists = ProbeLists(caches)
    first = lists.of_set(OWNER)
    lists.forget(OWNER)
    lists.forget(OWNER)
    assert lists.of_set(OWNER) is not first
