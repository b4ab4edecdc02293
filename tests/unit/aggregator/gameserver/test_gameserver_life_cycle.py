"""Whose server it is, for how long it lives, and what of it the pod carries (SPEC 5)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.gameserver.mirror import plan_mirror
from aggregator.gameserver.observed import Observed
from aggregator.gameserver.operations import CreateServer, DeleteServer, PatchServer
from aggregator.gameserver.plan import LEFTOVER_PATIENCE, Plan, plan
from shared.api import names
from tests.support.builders import NOW, SET_NAME, game_server, game_server_set, pod

CLAIM = {"reason": "ScaleDown", "podUid": "pod-0"}
GONE = Plan((DeleteServer("server-0", "30"),))
TEMPLATE = {"spec": {"containers": [{"name": "game"}]}}
CASCADE = game_server_set(template=TEMPLATE)
DELETE = game_server_set(template=TEMPLATE | {"reclaimPolicy": "Delete"})
SECOND = timedelta(seconds=1)


def observed(**fields) -> Observed:
    body = {
        "pod": pod(),
        "server": game_server(),
        "owner": CASCADE,
        "report": None,
        "lost": False,
        "remembered_at": None,
        "now": NOW,
    }
    return Observed(**(body | fields))


def kept(**fields):
    """A GameServer that its set owns: reclaimPolicy Delete."""
    return game_server(pod_uid=None, **fields)


# -- a server without a pod ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "awaited", "alone_for", "expected"),
    [
        pytest.param(
            kept(opsState="Allocated"), True, 9 * SECOND, Plan(requeue_after=LEFTOVER_PATIENCE),
            id="its set makes it again: it keeps its state",
        ),
        pytest.param(
            kept(), False, 4 * SECOND, Plan(requeue_after=SECOND),
            id="its set has enough servers, perhaps only for now",
        ),
        pytest.param(kept(), False, 5 * SECOND, GONE, id="its set has enough servers"),
        pytest.param(
            kept(), False, None, Plan(requeue_after=LEFTOVER_PATIENCE), id="not seen alone before"
        ),
        pytest.param(
            kept(deletion=CLAIM), True, timedelta(), GONE, id="claimed: before its id is used again"
        ),
        pytest.param(
            kept(opsState="Kill"), True, timedelta(), GONE, id="Kill: meant for the last pod"
        ),
        pytest.param(
            kept(opsState="Kill", deleting=True), True, timedelta(), Plan(), id="going already"
        ),
        pytest.param(
            game_server(), False, 9 * SECOND, Plan(), id="Cascade: the garbage collector takes it"
        ),
        pytest.param(
            game_server(deletion=CLAIM), False, timedelta(), GONE, id="Cascade, claimed"
        ),
    ],
)  # fmt: skip
def test_without_a_pod(server, awaited, alone_for, expected) -> None:
    seen = observed(pod=None, server=server, owner=DELETE, awaited=awaited, alone_for=alone_for)
    assert plan(seen) == expected


def test_a_server_deleted_by_hand_is_made_again_with_defaults() -> None:
    template = TEMPLATE | {
        "metadata": {"labels": {"team": "red"}, "annotations": {"gs-sync/map": "de_dust"}}
    }
    owner = game_server_set(template=template)
    (create,) = plan(observed(server=None, owner=owner)).operations
    assert isinstance(create, CreateServer)
    assert create.body["spec"] == {"opsState": "None", "updatePriority": 0, "deletionPriority": 0}
    assert create.body["metadata"]["labels"] == {
        "team": "red",
        names.OWNER_LABEL: SET_NAME,
        names.NODE_NAME_LABEL: "node-1",
    }
    assert create.body["metadata"]["annotations"] == {"gs-sync/map": "de_dust"}


# -- whose it is, and where ------------------------------------------------------------------------

HERE = {names.NODE_NAME_LABEL: "node-1"}
POD = {"apiVersion": "v1", "kind": "Pod", "name": "minecraft-0", "uid": "pod-0"}
SET = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "name": "minecraft",
    "uid": "set-uid",
}
CONTROLLER = {"controller": True, "blockOwnerDeletion": True}


def server_patch(**fields):
    """The metadata that is written to the server, None for no such write."""
    patches = [
        each for each in plan(observed(**fields)).operations if isinstance(each, PatchServer)
    ]
    return patches[0].document["metadata"] if patches else None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"server": game_server(labels=HERE)}, None, id="all there"),
        pytest.param(
            {"server": game_server(labels=HERE | {names.OWNER_LABEL: "other"})},
            {"labels": {names.OWNER_LABEL: SET_NAME}},
            id="somebody changed the owner label",
        ),
        pytest.param(
            {"server": game_server(labels={names.NODE_NAME_LABEL: "old"})}, {"labels": HERE},
            id="another node",
        ),
        pytest.param(
            {"server": kept(labels=HERE), "pod": pod(node_name=""), "owner": DELETE},
            {"labels": {names.NODE_NAME_LABEL: None}},
            id="Delete: the next pod has no node yet",
        ),
        pytest.param(
            {"server": game_server(labels=HERE), "owner": DELETE},
            {"ownerReferences": [SET | CONTROLLER]},
            id="the policy became Delete",
        ),
        pytest.param(
            {"server": kept(labels=HERE)},
            {"ownerReferences": [POD | CONTROLLER]},
            id="the policy became Cascade",
        ),
        pytest.param(
            {"server": game_server(labels=HERE, deletion=CLAIM), "owner": DELETE}, None,
            id="a claimed one is not kept any more",
        ),
        pytest.param(
            {"server": game_server(labels=HERE), "owner": None}, None, id="the set is gone"
        ),
    ],
)  # fmt: skip
def test_the_server_says_whose_it_is_and_where(fields, expected) -> None:
    assert server_patch(**fields) == expected


# -- what the pod carries -------------------------------------------------------------------------

MIRRORED = {
    names.STATE_LABEL: "Ready",
    names.OPS_STATE_LABEL: "None",
    names.UPDATE_PRIORITY_LABEL: "0",
    names.DELETE_PRIORITY_LABEL: "0",
}


def mirrored(pod_labels=None, pod_annotations=None, writes=None, **server):
    copy = pod(labels=MIRRORED | (pod_labels or {}), annotations=pod_annotations)
    return plan_mirror(copy, game_server(**server), writes or {}, "Ready", NOW)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"labels": {"team": "red"}}, None, id="other labels stay with the server"),
        pytest.param(
            {"labels": {"gs-sync/team": "red"}}, {"labels": {"gs-sync/team": "red"}}, id="label"
        ),
        pytest.param(
            {"annotations": {"gs-sync/map": "a b"}},
            {"annotations": {"gs-sync/map": "a b"}},
            id="annotation",
        ),
        pytest.param(
            {"labels": {"gs-sync/team": "red"}, "pod_labels": {"gs-sync/team": "blue"}},
            {"labels": {"gs-sync/team": "red"}},
            id="changed",
        ),
        pytest.param(
            {"pod_labels": {"gs-sync/team": "red"}, "pod_annotations": {"gs-sync/map": "x"}},
            {"labels": {"gs-sync/team": None}, "annotations": {"gs-sync/map": None}},
            id="removed",
        ),
        pytest.param(
            {"labels": {"gs-sync/team": "red"}, "pod_labels": {"gs-sync/team": "red"}}, None,
            id="copied already",
        ),
        pytest.param(
            {"writes": {("labels", "gs-sync/team"): "red"}}, {"labels": {"gs-sync/team": "red"}},
            id="an action writes it in the same plan",
        ),
        pytest.param(
            {"pod_labels": {names.OWNER_LABEL: "other"}}, {"labels": {names.OWNER_LABEL: SET_NAME}},
            id="somebody changed the owner label",
        ),
    ],
)  # fmt: skip
def test_the_pod_carries_what_is_to_be_copied(fields, expected) -> None:
    assert mirrored(**fields) == expected


def test_the_label_of_an_orphan_is_left_to_whoever_adopts_it() -> None:
    orphan = pod(labels=MIRRORED | {names.OWNER_LABEL: "other"}, owner_uid="")
    assert plan_mirror(orphan, game_server(), {}, "Ready", NOW) is None


def test_an_idle_server_is_left_alone() -> None:
    seen = observed()
    writes = plan(seen).operations
    assert [type(each).__name__ for each in writes] == ["PatchServer", "PatchStatus", "PatchPod"]
    status = game_server(labels=HERE, status=writes[1].status)
    labels = MIRRORED | writes[2].metadata["labels"]
    assert plan(replace(seen, server=status, pod=pod(labels=labels))).operations == ()
