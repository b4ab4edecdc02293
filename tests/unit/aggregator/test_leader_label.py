"""The label of the leader's pod: on one, and on no other."""

import pytest
from structlog.testing import capture_logs

from aggregator.kube.errors import NotLeading, Unavailable
from aggregator.kube.fenced import FencedClient
from aggregator.kube.leadership import Leadership
from aggregator.kube.resources import PODS, ObjectKey
from aggregator.leader_label import LeaderLabel
from shared.api import names
from tests.support.memory_cluster import MemoryCluster

pytestmark = pytest.mark.looptime

ME = ObjectKey("games", "me")


def cluster(**labelled: bool) -> MemoryCluster:
    """Pods by name, and whether they have the label."""
    kube = MemoryCluster()
    for name, has_label in labelled.items():
        kube.put(PODS, name)
        labels = {names.LEADER_LABEL: "true"} if has_label else {}
        kube.objects[PODS.plural, ObjectKey("games", name)]["metadata"]["labels"] = labels
    return kube


def labelled(kube: MemoryCluster) -> list[str]:
    return [
        key.name
        for key, pod in kube.all(PODS).items()
        if names.LEADER_LABEL in pod["metadata"]["labels"]
    ]


async def test_the_leader_takes_the_label_from_a_former_one() -> None:
    kube = cluster(me=False, former=True)
    await LeaderLabel(kube, ME).take(kube)
    assert labelled(kube) == ["me"]


async def test_it_tries_until_it_succeeds() -> None:
    kube = cluster(me=False)
    kube.failures["list"].extend([Unavailable("Away", "no answer")] * 3)
    with capture_logs() as logs:
        await LeaderLabel(kube, ME).take(kube)
    assert (labelled(kube), [line["retry_seconds"] for line in logs]) == (["me"], [0.5, 1.0, 2.0])


async def test_who_steps_down_takes_its_own_label_away_past_the_gate() -> None:
    kube = cluster(me=True, other=True)
    fenced = FencedClient(kube, Leadership(lambda: 0.0))
    await LeaderLabel(kube, ME).drop()
    assert labelled(kube) == ["other"]
    with pytest.raises(NotLeading):
        await LeaderLabel._set(fenced, ME, "true")


async def test_outside_of_a_cluster_there_is_nothing_to_label() -> None:
    kube = cluster(me=False)
    label = LeaderLabel(kube, None)
    await label.take(kube)
    await label.drop()
    assert (labelled(kube), kube.calls) == ([], [])
