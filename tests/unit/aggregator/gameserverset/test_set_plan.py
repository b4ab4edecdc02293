"""A set as a whole: pods and GameServers in; claims, creations and conditions out."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.gameserverset.accounting import Accounting
from aggregator.gameserverset.adoption import Adoption
from aggregator.gameserverset.failures import Failure
from aggregator.gameserverset.namesakes import Namesakes
from aggregator.gameserverset.plan import plan
from aggregator.gameserverset.revision import pod_template
from aggregator.gameserverset.scale import ScalePlan
from aggregator.gameserverset.update import UpdatePlan
from shared.api import names
from tests.support.builders import NOW, game_server, game_server_set, pod, quality
from tests.support.planned_sets import (
    OLD_TEMPLATE,
    REVISION,
    SET,
    condition,
    ids_of,
    observed,
    old_pair,
    pair,
    rolling,
)


def test_victims_come_from_the_spec_of_their_game_servers():
    pairs = [pair(0), pair(1, opsState="Allocated"), pair(2, deletionPriority="10"), pair(3)]
    decision = plan(observed(*pairs, owner=game_server_set(replicas=3)))
    assert ids_of(decision.scale)["claims"] == {2: "ScaleDown"}


@pytest.mark.parametrize(
    "old",
    [game_server(1, pod_uid="older", opsState="WaitToBeDeleted"), None],
    ids=["an older pod's server", "no server"],
)
def test_a_pod_without_its_own_server_has_no_state(old):
    pairs = [pair(0, opsState="WaitToBeDeleted"), (pod(1), old)]
    decision = plan(observed(*pairs, owner=game_server_set(replicas=1)))
    assert ids_of(decision.scale)["claims"] == {0: "ScaleDown"}


def test_a_claim_of_an_older_pod_deletes_nobody():
    claim = {"reason": "ScaleDown", "podUid": "older"}
    pairs = [pair(0), (pod(1), game_server(1, pod_uid=None, deletion=claim))]
    assert plan(observed(*pairs, owner=game_server_set(replicas=2))).scale == ScalePlan()


def test_a_claim_that_is_written_is_carried_out():
    claim = {"reason": "ScaleDown", "podUid": "pod-1"}
    decision = plan(observed(pair(0), pair(1, deletion=claim), owner=game_server_set(replicas=1)))
    assert ids_of(decision.scale) == {"claims": {}, "deletions": [1], "creations": []}


def test_terminating_pods_are_not_counted():
    pairs = [pair(0), pair(1, pod_fields={"terminating": True}, opsState="Maintaining")]
    status = plan(observed(*pairs, owner=game_server_set(replicas=1))).status
    assert (status.current_replicas, status.maintaining_replicas) == (1, 0)


def test_the_rules_of_scaling_come_from_the_spec_and_its_annotations():
    owner = game_server_set(
        replicas=2,
        annotations={names.PROTECT_ANNOTATION: "true", names.ACCOUNTED_ANNOTATION: "gone, pod-9"},
        scaleStrategy={"scaleDownStrategyType": "ReserveIds"},
        reserveGameServerIds=["7-8"],
    )
    claim = {"reason": "Kill", "podUid": "pod-9"}
    pairs = [pair(id_, opsState="Allocated") for id_ in range(2)]
    pairs += [pair(2), pair(3, opsState="Kill"), pair(7), pair(9, deletion=claim)]
    decision = plan(observed(*pairs, owner=owner))
    assert ids_of(decision.scale) == {
        "claims": {3: "Kill", 7: "Reserved", 2: "ScaleDown"},
        "deletions": [9],
        "creations": [],
    }
    assert decision.scale.accounting == Accounting(2, ("pod-2", "pod-3"), (2, 3))
    assert decision.forgotten == ("gone",)


def test_allocated_servers_are_spared_where_the_set_asks_for_it():
    pairs = [pair(0, opsState="Allocated"), pair(1, opsState="Allocated")]
    owner = game_server_set(replicas=1, annotations={names.PROTECT_ANNOTATION: "true"})
    decision = plan(observed(*pairs, owner=owner))
    assert (ids_of(decision.scale)["claims"], decision.scale.blocked) == ({}, 1)
    decision = plan(observed(*pairs, owner=game_server_set(replicas=1)))
    assert ids_of(decision.scale)["claims"] == {1: "ScaleDown"}


def test_a_name_of_somebody_else_is_not_created():
    namesakes = Namesakes(taken=frozenset({1}))
    decision = plan(observed(namesakes=namesakes))
    assert decision.scale == ScalePlan(creations=(0, 2), taken=(1,))


@pytest.mark.parametrize(
    ("qualities", "agent", "told"),
    [
        pytest.param((quality("a"),), "auto", True, id="it should have one"),
        pytest.param((quality("a"),), "never", False, id="none is wanted"),
        pytest.param((), "always", False, id="nothing is probed"),
        pytest.param((), "auto", False, id="neither"),
    ],
)
def test_a_missing_agent_is_told_where_it_would_probe(qualities, agent, told):
    annotations = {names.AGENT_ANNOTATION: agent}
    owner = game_server_set(replicas=1, qualities=qualities, annotations=annotations)
    status = plan(observed(pair(0, pod_fields={"agent": False}), owner=owner)).status
    assert ("AgentMissing" in [each.type for each in status.conditions]) is told


@pytest.mark.parametrize(("most", "created"), [(2, 2), ("50%", 1), ("1%", 1), (0, 1), (None, 3)])
def test_growth_leaves_at_most_so_many_unavailable(most, created):
    owner = game_server_set(replicas=3, scaleStrategy={"maxUnavailable": most} if most else {})
    if most == 0:
        owner = game_server_set(replicas=3, scaleStrategy={"maxUnavailable": 0})
    assert len(plan(observed(owner=owner)).scale.creations) == created


def test_a_paused_set_is_left_alone_and_says_so():
    owner = game_server_set(replicas=1, annotations={names.PAUSED_ANNOTATION: "true"})
    crashed = Failure(2, "pod-0", NOW)
    decision = plan(
        observed(
            pair(0, pod_fields={"phase": "Failed"}),
            pair(1, opsState="Kill"),
            owner=owner,
            namesakes=Namesakes(orphans=(pod(5, owner_uid=""),)),
            failures={0: crashed},
        )
    )
    assert (decision.scale, decision.updates, decision.adoptions) == (ScalePlan(), UpdatePlan(), ())
    assert (decision.replacements.due, decision.replacements.failures) == ((), {0: crashed})
    told = {each.type: (each.status, each.reason) for each in decision.status.conditions}
    assert told["Progressing"] == ("False", "Paused")


def test_a_scale_down_that_was_taken_back_is_forgotten():
    owner = game_server_set(replicas=2, annotations={names.ACCOUNTED_ANNOTATION: "pod-1,pod-0"})
    claim = {"reason": "ScaleDown", "podUid": "pod-0"}
    decision = plan(observed(pair(0, deletion=claim), pair(1), owner=owner))
    assert [server.id for server in decision.recalled] == [1]


def test_pods_that_ended_are_made_again_but_neither_updated_nor_available():
    old = {"phase": "Failed", "labels": {names.REVISION_LABEL: "old"}}
    decision = plan(observed(pair(0, pod_fields=old), owner=game_server_set(replicas=1)))
    assert [server.id for server in decision.replacements.due] == [0]
    assert (decision.updates, decision.scale) == (UpdatePlan(), ScalePlan())


@pytest.mark.parametrize(
    ("label", "revision"),
    [
        pytest.param("minecraft-6d5f8c7b9", REVISION, id="of another manager"),
        pytest.param(None, REVISION, id="none"),
        pytest.param("old", "old", id="kept"),
        pytest.param(REVISION, REVISION, id="present"),
    ],
)
def test_an_orphan_without_a_revision_of_ours_counts_as_one_of_the_present_template(
    label, revision
):
    labels = {names.REVISION_LABEL: label} if label else {}
    orphan = pod(0, owner_uid="", labels=labels)
    templates = {REVISION: pod_template(SET), "old": OLD_TEMPLATE}
    namesakes = Namesakes(orphans=(orphan,), waited_for=frozenset({0}))
    decision = plan(observed(namesakes=namesakes, templates=templates))
    assert decision.adoptions == (Adoption(orphan, revision),)


def test_orphans_wait_while_it_cannot_be_told_whose_revisions_they_have():
    namesakes = Namesakes(orphans=(pod(0, owner_uid=""),), waited_for=frozenset({0}))
    owner = game_server_set(replicas=1)
    decision = plan(observed(owner=owner, namesakes=namesakes, templates=None))
    assert (decision.adoptions, decision.scale.creations) == ((), ())


def test_an_annotation_that_means_nothing_is_told():
    annotations = {names.UPDATE_OPS_STATES_ANNOTATION: "maintaining, Draining"}
    owner = game_server_set(replicas=1, annotations=annotations)
    message = (
        "metadata.annotations[gamekeeper.dev/update-ops-states]: "
        "no server is in the opsState 'maintaining'; write Maintaining if that is meant"
    )
    told = condition("AnnotationsValid", "False", "ValueIgnored", message)
    assert told in plan(observed(pair(0), owner=owner)).status.conditions
    there = plan(observed(pair(0, opsState="maintaining"), owner=owner))
    assert told not in there.status.conditions


def test_it_comes_back_when_the_next_server_becomes_available():
    owner = game_server_set(replicas=1, updateStrategy={"rollingUpdate": {"minReadySeconds": 60}})
    since = NOW.replace(microsecond=0)
    ready = (pod(0, ready_since=since), game_server(0))
    decision = plan(observed(ready, owner=owner, now=since + timedelta(seconds=20)))
    assert decision.requeue_after == timedelta(seconds=40)


def test_it_comes_back_when_the_next_pod_that_ended_is_due():
    failures = {0: Failure(2, "pod-0", NOW)}
    ended = pair(0, pod_fields={"phase": "Failed"})
    decision = plan(observed(ended, failures=failures))
    assert decision.requeue_after == timedelta(seconds=10)


def test_a_settled_set_is_ready_and_complete():
    status = plan(observed(pair(0), owner=game_server_set(replicas=1))).status
    assert status.conditions == (
        condition("Ready", "True", "AllAvailable", "1 of 1 servers are available"),
        condition("Progressing", "False", "Complete", "every server is as it should be"),
    )


def test_an_item_of_the_reserve_list_that_means_nothing_is_told_and_the_rest_holds():
    owner = game_server_set(replicas=1, reserveGameServerIds=["5-3", 0])
    decision = plan(observed(owner=owner))
    (told,) = [each for each in decision.status.conditions if each.type == "ReserveIdsValid"]
    assert told.message.startswith("spec.reserveGameServerIds[0]: '5-3' is neither an id nor")
    assert decision.scale == ScalePlan(creations=(1,))


def test_what_the_api_server_refused_and_what_crashes_is_told():
    failures = {0: Failure(2, "pod-0", NOW)}
    ended = pair(0, pod_fields={"phase": "Failed"})
    refused = "cannot create pods: exceeded quota"
    decision = plan(observed(ended, failures=failures, refusal=refused))
    told = {each.type: each.message for each in decision.status.conditions}
    assert told["ReplicaFailure"] == refused
    assert told["CrashLooping"].startswith("the pods of minecraft-0 end again and again")


def test_a_kill_is_counted_by_all_that_the_same_plan_says():
    pairs = [pair(0), pair(1, opsState="Kill")]
    decision = plan(observed(*pairs, owner=game_server_set(replicas=2)))
    assert decision.scale.accounting == Accounting(1, ("pod-1",))
    ready = condition("Ready", "True", "AllAvailable", "1 of 1 servers are available")
    assert (ready in decision.status.conditions, decision.complete) == (True, True)


@pytest.mark.parametrize(("replicas", "complete"), [(1, True), (2, True), (3, False)])
def test_a_set_is_complete_when_every_server_that_should_exist_does(replicas, complete):
    pairs = [pair(0), pair(1), pair(2, pod_fields={"terminating": True})]
    owner = game_server_set(replicas=replicas)
    assert plan(observed(*pairs, owner=owner)).complete is complete


def test_good_qualities_are_called_valid():
    conditions = plan(observed(owner=game_server_set(qualities=(quality("a"),)))).status.conditions
    assert condition("ServiceQualitiesValid", "True", "AllValid") in conditions


def test_an_ignored_quality_is_named_and_all_else_goes_on():
    owner = game_server_set(qualities=(quality("a", containerName="gone"), quality("b")))
    decision = plan(observed(owner=owner))
    assert decision.scale == ScalePlan(creations=(0, 1, 2))
    message = "spec.serviceQualities[0].containerName 'gone' is no container of the template (game)"
    told = condition("ServiceQualitiesValid", "False", "QualityIgnored", message)
    assert told in decision.status.conditions


PAIRS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.booleans(),
        st.sampled_from(["None", "Allocated", "WaitToBeDeleted", "Maintaining", "Kill"]),
        st.sampled_from(["", "older"]),
        st.sampled_from([None, "ScaleDown", "Kill"]),
        st.sampled_from(["Running", "Failed"]),
    ),
    unique_by=lambda item: item[0],
    max_size=7,
).map(
    lambda items: [
        (
            pod(id_, terminating=terminating, phase=phase),
            game_server(
                id_,
                pod_uid=pod_uid,
                opsState=ops_state,
                deletion={"reason": claim, "podUid": f"pod-{id_}"} if claim else None,
            ),
        )
        for id_, terminating, ops_state, pod_uid, claim, phase in items
    ]
)


@settings(max_examples=40)
@given(PAIRS, st.integers(0, 8), st.randoms(use_true_random=False))
def test_the_order_of_pods_changes_nothing(pairs, replicas, random):
    owner = game_server_set(replicas=replicas)
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert plan(observed(*shuffled, owner=owner)) == plan(observed(*pairs, owner=owner))


@settings(max_examples=40)
@given(PAIRS, st.integers(0, 8))
def test_a_status_that_was_written_is_the_next_plans_status(pairs, replicas):
    before = observed(*pairs, owner=game_server_set(replicas=replicas))
    decision = plan(before)
    body = decision.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    after = replace(
        before,
        owner=game_server_set(replicas=replicas, status=body),
        now=NOW + timedelta(hours=1),
        failures=decision.replacements.failures,
    )
    assert plan(after).status == after.owner.status == decision.status


def test_a_plan_says_in_few_words_what_it_does():
    ended = {"phase": "Failed"}
    pairs = [pair(id_, pod_fields=ended) for id_ in range(12)]
    pairs += [old_pair(id_) for id_ in range(20, 32)]
    namesakes = Namesakes(orphans=tuple(pod(id_, owner_uid="") for id_ in range(40, 52)))
    decision = plan(
        observed(
            *pairs,
            owner=rolling("ReCreate", replicas=25, maxUnavailable="100%"),
            namesakes=namesakes,
        )
    )
    assert decision.describe() == (
        "create 12",
        *(f"adopt minecraft-{id_}" for id_ in range(40, 50)),
        *(f"replace {id_}" for id_ in range(10)),
        *(f"ReCreate {id_}" for id_ in range(31, 21, -1)),
    )


def test_a_plan_with_nothing_to_do_says_nothing():
    assert plan(observed(pair(0), owner=game_server_set(replicas=1))).describe() == ()
