"""Claim, then delete: the compare-and-set, and what it answers (SPEC 6.6)."""

from copy import deepcopy
from datetime import timedelta

import pytest

from aggregator.claims import ClaimResult, claim, delete_claimed
from aggregator.kube.errors import Cause, Conflict, Rejected, Unavailable
from aggregator.kube.resources import GAMESERVERS, PODS, ObjectKey
from shared.api import names
from tests.support.builders import NOW, game_server
from tests.support.memory_cluster import Fault, MemoryCluster, unavailable

KEY = ObjectKey("games", "minecraft-0")
DELETION = {"reason": "ScaleDown", "podUid": "pod-0", "at": "2026-01-02T03:04:05.678Z"}
SERVER = game_server(opsState="WaitToBeDeleted")
REASON_UNKNOWN = (Cause("spec.deletion.reason", "supported values: ScaleDown"),)


def cluster(server=SERVER, **fields):
    result = MemoryCluster(**fields)
    body = server.model_dump(mode="json", by_alias=True, exclude_none=True)
    result.objects[GAMESERVERS.plural, KEY] = body
    result.objects[PODS.plural, KEY] = {"metadata": {"uid": "pod-0", "resourceVersion": "1"}}
    return result


async def test_a_claim_is_one_patch_with_its_preconditions():
    client = cluster()
    assert await claim(client, SERVER, "pod-0", "ScaleDown", NOW) is ClaimResult.WON
    (write,) = client.writes
    assert write.body == [
        {"op": "test", "path": "/metadata/uid", "value": "server-0"},
        {"op": "test", "path": "/spec/opsState", "value": "WaitToBeDeleted"},
        {"op": "add", "path": "/spec/deletion", "value": DELETION},
        {"op": "add", "path": "/metadata/labels/game.kruise.io~1gs-deleting", "value": "true"},
    ]
    stored = client.objects[GAMESERVERS.plural, KEY]
    assert stored["spec"]["deletion"] == DELETION
    assert stored["metadata"]["labels"][names.DELETING_LABEL] == "true"


@pytest.mark.parametrize(
    "stored",
    [game_server(opsState="Allocated"), game_server(uid="another", opsState="WaitToBeDeleted")],
    ids=["it changed its mind", "a namesake"],
)
async def test_a_server_that_is_not_what_the_decision_saw_is_spared(stored):
    client = cluster(stored)
    before = dict(client.objects[GAMESERVERS.plural, KEY])
    assert await claim(client, SERVER, "pod-0", "ScaleDown", NOW) is ClaimResult.CHANGED
    assert client.objects[GAMESERVERS.plural, KEY] == before


async def test_a_server_that_is_gone_is_not_claimed():
    result = await claim(MemoryCluster(), SERVER, "pod-0", "ScaleDown", NOW)
    assert result is ClaimResult.CHANGED


async def test_a_failure_is_no_refusal():
    with pytest.raises(Unavailable):
        await claim(cluster(fault=Fault(0, unavailable)), SERVER, "pod-0", "ScaleDown", NOW)


async def test_a_claim_whose_answer_was_lost_is_one():
    client = cluster(fault=Fault(0, unavailable, after=True))
    assert await claim(client, SERVER, "pod-0", "ScaleDown", NOW) is ClaimResult.WON


async def test_the_claim_of_another_is_not_taken_for_one_whose_answer_was_lost():
    client = cluster(fault=Fault(1, unavailable))
    assert await claim(client, SERVER, "pod-0", "Autoscaler", NOW) is ClaimResult.WON
    with pytest.raises(Unavailable):
        await claim(client, SERVER, "pod-0", "ScaleDown", NOW)


@pytest.mark.parametrize("reason", ["ScaleDown", "Reserved", "Kill", "Autoscaler"])
async def test_of_two_claims_the_first_stays(reason):
    """Two leaders decided on the same object: what the deletion costs depends on the reason."""
    client = cluster()
    assert await claim(client, SERVER, "pod-0", "Autoscaler", NOW) is ClaimResult.WON
    before = deepcopy(client.objects[GAMESERVERS.plural, KEY])
    later = NOW + timedelta(seconds=1)
    assert await claim(client, SERVER, "pod-0", reason, later) is ClaimResult.TAKEN
    assert client.objects[GAMESERVERS.plural, KEY] == before


async def test_a_claim_that_its_object_may_not_have_is_no_refusal():
    """An older definition does not know the reason, say: nobody has claimed it."""
    client = cluster(fault=Fault(0, lambda: Rejected("Invalid", "no", 422, REASON_UNKNOWN)))
    with pytest.raises(Rejected):
        await claim(client, SERVER, "pod-0", "ScaleDown", NOW)


async def test_only_the_claimed_pod_is_deleted():
    client = cluster()
    with pytest.raises(Conflict):
        await delete_claimed(client, KEY, "older")
    assert client.deleted == []
    assert await delete_claimed(client, KEY, "pod-0")
    assert client.deleted == ["minecraft-0"]


async def test_that_a_pod_is_gone_already_is_success():
    assert not await delete_claimed(MemoryCluster(), KEY, "pod-0")
