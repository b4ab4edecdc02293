"""A set as a whole: pods and GameServers in, claims, creations and conditions out."""

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.gameserverset.plan import Observed, plan
from aggregator.gameserverset.scale import Claim, ScalePlan, Server
from shared.api.meta import Condition
from tests.support.builders import NOW, game_server, game_server_set, pod, quality


def observed(*pairs, owner=None, now=NOW):
    """Pairs of a pod and its GameServer, which may be None."""
    servers = {server.metadata.name: server for _, server in pairs if server is not None}
    return Observed(owner or game_server_set(), [each for each, _ in pairs], servers, now)


def pair(id_, *, pod_fields=None, **spec):
    return pod(id_, **(pod_fields or {})), game_server(id_, **spec)


def test_victims_come_from_the_spec_of_their_game_servers():
    pairs = [pair(0), pair(1, opsState="Allocated"), pair(2, deletionPriority="10"), pair(3)]
    decision = plan(observed(*pairs, owner=game_server_set(replicas=3)))
    victim = Server(2, "pod-2", "None", 10)
    assert decision.scale == ScalePlan(claims=(Claim(victim, "ScaleDown"),))


@pytest.mark.parametrize(
    "old",
    [game_server(1, pod_uid="older", opsState="WaitToBeDeleted"), None],
    ids=["an older pod's server", "no server"],
)
def test_a_pod_without_its_own_server_has_no_state(old):
    pairs = [pair(0, opsState="WaitToBeDeleted"), (pod(1), old)]
    decision = plan(observed(*pairs, owner=game_server_set(replicas=1)))
    assert [claim.server.id for claim in decision.scale.claims] == [0]


def test_a_claim_of_an_older_pod_deletes_nobody():
    claim = {"reason": "ScaleDown", "podUid": "older"}
    pairs = [pair(0), (pod(1), game_server(1, pod_uid=None, deletion=claim))]
    assert plan(observed(*pairs, owner=game_server_set(replicas=2))).scale == ScalePlan()


def test_a_claim_that_is_written_is_carried_out():
    claim = {"reason": "ScaleDown", "podUid": "pod-1"}
    decision = plan(observed(pair(0), pair(1, deletion=claim), owner=game_server_set(replicas=1)))
    assert decision.scale == ScalePlan(deletions=(Server(1, "pod-1", "None", claimed="ScaleDown"),))


def test_terminating_pods_are_not_counted():
    pairs = [pair(0), pair(1, pod_fields={"terminating": True}, opsState="Maintaining")]
    status = plan(observed(*pairs, owner=game_server_set(replicas=1))).status
    assert (status.current_replicas, status.maintaining_replicas) == (1, 0)


def conditions(owner, *pairs):
    return plan(observed(*pairs, owner=owner)).status.conditions


def condition(type_, status, reason, message=""):
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        observed_generation=1,
        last_transition_time=NOW,
    )


def test_an_ignored_quality_is_named_and_all_else_goes_on():
    owner = game_server_set(qualities=(quality("a", containerName="gone"), quality("b")))
    decision = plan(observed(owner=owner))
    assert decision.scale == ScalePlan(creations=(0, 1, 2))
    assert decision.status.conditions == (
        condition(
            "ServiceQualitiesValid",
            "False",
            "QualityIgnored",
            "spec.serviceQualities[0].containerName 'gone' is no container of the template (game)",
        ),
    )


def test_good_qualities_are_called_valid():
    owner = game_server_set(qualities=(quality("a"),))
    assert conditions(owner) == (condition("ServiceQualitiesValid", "True", "AllValid"),)


def test_a_reserve_item_without_meaning_is_named_and_the_rest_holds():
    owner = game_server_set(reserveGameServerIds=[0, "5-3"])
    decision = plan(observed(owner=owner))
    assert decision.scale == ScalePlan(creations=(1, 2, 3))
    message = (
        "spec.reserveGameServerIds[1]: '5-3' is neither an id nor a range "
        '"a-b" with a <= b <= 2147483647'
    )
    assert decision.status.conditions == (
        condition("ReserveIdsValid", "False", "ItemIgnored", message),
    )


@pytest.mark.parametrize(
    ("count", "listed"),
    [
        (1, "minecraft-0"),
        (5, "minecraft-0, minecraft-1, minecraft-2, minecraft-3, minecraft-4"),
        (7, "minecraft-0, minecraft-1, minecraft-2, minecraft-3, minecraft-4 and 2 more"),
    ],
)
def test_the_ids_that_are_waited_for_are_named(count, listed):
    pairs = [pair(id_, pod_fields={"terminating": True}) for id_ in range(count)]
    assert conditions(game_server_set(replicas=count), *pairs) == (
        condition(
            "WaitingForTermination",
            "True",
            "PodsTerminating",
            f"the former pods of {listed} still terminate; their ids are waited for",
        ),
    )


def test_it_comes_back_when_the_next_server_becomes_available():
    owner = game_server_set(replicas=1, updateStrategy={"rollingUpdate": {"minReadySeconds": 60}})
    since = NOW.replace(microsecond=0)
    ready = (pod(0, ready_since=since), game_server(0))
    decision = plan(observed(ready, owner=owner, now=since + timedelta(seconds=20)))
    assert decision.requeue_after == timedelta(seconds=40)


PAIRS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.booleans(),
        st.sampled_from(["None", "Allocated", "WaitToBeDeleted", "Maintaining"]),
        st.sampled_from(["", "older"]),
        st.sampled_from([None, "ScaleDown"]),
    ),
    unique_by=lambda item: item[0],
    max_size=7,
).map(
    lambda items: [
        (
            pod(id_, terminating=terminating),
            game_server(
                id_,
                pod_uid=pod_uid,
                opsState=ops_state,
                deletion={"reason": claim, "podUid": f"pod-{id_}"} if claim else None,
            ),
        )
        for id_, terminating, ops_state, pod_uid, claim in items
    ]
)


@given(PAIRS, st.integers(0, 8), st.randoms(use_true_random=False))
def test_the_order_of_pods_changes_nothing_and_inputs_stay(pairs, replicas, random):
    before = observed(*pairs, owner=game_server_set(replicas=replicas))
    copied = deepcopy(before)
    decision = plan(before)
    shuffled = list(before.pods)
    random.shuffle(shuffled)
    assert plan(replace(before, pods=shuffled)) == decision
    assert before == copied


@given(PAIRS, st.integers(0, 8))
def test_a_status_that_was_written_is_the_next_plans_status(pairs, replicas):
    before = observed(*pairs, owner=game_server_set(replicas=replicas))
    status = plan(before).status
    body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    after = replace(
        before,
        owner=game_server_set(replicas=replicas, status=body),
        now=NOW + timedelta(hours=1),
    )
    assert plan(after).status == after.owner.status == status
