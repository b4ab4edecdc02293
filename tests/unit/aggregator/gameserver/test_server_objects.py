"""A GameServer as a decision reads it, and what its metadata says of pod, set and node."""

import pytest

from aggregator.gameserver.objects import (
    edited_fields,
    plan_identity,
    present_fields,
    render_server,
    summarise,
)
from shared.api import names
from shared.api.gameserver import GameServer
from tests.support.builders import game_server, game_server_set, pod
from tests.support.merge_patch import merged

POD_OWNS = {
    "apiVersion": "v1",
    "kind": "Pod",
    "name": "minecraft-0",
    "uid": "pod-0",
    "controller": True,
    "blockOwnerDeletion": True,
}
SET_OWNS = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "name": "minecraft",
    "uid": "set-uid",
    "controller": True,
    "blockOwnerDeletion": True,
}
DELETE = game_server_set(
    template={"spec": {"containers": [{"name": "game"}]}, "reclaimPolicy": "Delete"}
)
NAMED = {names.OWNER_LABEL: "minecraft", names.NODE_NAME_LABEL: "node-1"}


def changed(**body):
    """A GameServer with this merged into its JSON."""
    whole = game_server().model_dump(mode="json", by_alias=True, exclude_none=True)
    return GameServer.model_validate(merged(whole, body))


FULL = changed(
    metadata={"labels": {"team": "red"}, "annotations": {"map": "de_dust"}},
    spec={
        "opsState": "Allocated",
        "updatePriority": "3",
        "deletionPriority": 7,
        "networkDisabled": True,
        "containers": [
            {"name": "game", "image": "game:2", "resources": {"limits": {"cpu": "1"}}},
            {"name": "plain"},
        ],
    },
)


def test_every_field_that_an_action_can_set_is_read() -> None:
    assert present_fields(FULL) == {
        ("opsState",): "Allocated",
        ("updatePriority",): 3,
        ("deletionPriority",): 7,
        ("networkDisabled",): True,
        ("containers", "game", "image"): "game:2",
        ("containers", "game", "resources"): '{"limits":{"cpu":"1"}}',
        ("labels", names.OWNER_LABEL): "minecraft",
        ("labels", "team"): "red",
        ("annotations", "map"): "de_dust",
    }


def test_what_is_not_set_is_no_value_and_no_number_stays_what_it_is() -> None:
    bare = changed(spec={"deletionPriority": "many", "updatePriority": "-4"})
    assert present_fields(bare) == {
        ("opsState",): "None",
        ("updatePriority",): -4,
        ("deletionPriority",): "many",
        ("labels", names.OWNER_LABEL): "minecraft",
    }


@pytest.mark.parametrize(
    ("now", "edited"),
    [
        pytest.param(FULL, set(), id="nothing"),
        pytest.param(
            FULL.model_copy(update={"spec": FULL.spec.model_copy(update={"ops_state": "None"})}),
            {("opsState",)},
            id="a value that was set",
        ),
        pytest.param(
            changed(),
            {
                ("opsState",),
                ("updatePriority",),
                ("deletionPriority",),
                ("networkDisabled",),
                ("containers", "game", "image"),
                ("containers", "game", "resources"),
                ("labels", "team"),
                ("annotations", "map"),
            },
            id="what was removed too",
        ),
    ],
)
def test_what_differs_since_the_report_was_edited(now, edited) -> None:
    assert edited_fields(FULL, now) == edited
    assert edited_fields(now, FULL) == edited


def test_of_another_object_or_none_nothing_was_edited() -> None:
    assert edited_fields(None, FULL) == frozenset()
    assert edited_fields(game_server(uid="former"), FULL) == frozenset()


@pytest.mark.parametrize(
    ("owner", "reference"),
    [
        pytest.param(game_server_set(), POD_OWNS, id="Cascade"),
        pytest.param(DELETE, SET_OWNS, id="Delete"),
    ],
)
def test_a_new_server_is_named_after_its_pod_and_owned_as_the_policy_says(owner, reference):
    assert render_server(pod(node_name=""), owner) == {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServer",
        "metadata": {
            "name": "minecraft-0",
            "namespace": "games",
            "labels": {names.OWNER_LABEL: "minecraft"},
            "annotations": {},
            "ownerReferences": [reference],
        },
        "spec": {"opsState": "None", "updatePriority": 0, "deletionPriority": 0},
    }


WATCHER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "watcher", "uid": "w"}


@pytest.mark.parametrize(
    ("pod_", "server", "owner", "metadata"),
    [
        pytest.param(pod(), game_server(labels=NAMED), game_server_set(), {}, id="all is said"),
        pytest.param(
            pod(),
            game_server(labels=NAMED | {names.OWNER_LABEL: "former"}),
            game_server_set(),
            {"labels": {"asked": "1", names.OWNER_LABEL: "minecraft"}},
            id="the set, beside what is written anyway",
        ),
        pytest.param(
            pod(),
            game_server(labels=NAMED | {names.OWNER_LABEL: "former"}),
            None,
            {},
            id="the set is gone",
        ),
        pytest.param(
            pod(node_name=""),
            game_server(labels=NAMED),
            game_server_set(),
            {"labels": {"asked": "1", names.NODE_NAME_LABEL: None}},
            id="no node any more",
        ),
        pytest.param(
            pod(),
            changed(
                metadata={
                    "labels": NAMED,
                    "ownerReferences": [WATCHER, POD_OWNS],
                }
            ),
            DELETE,
            {"ownerReferences": [WATCHER, SET_OWNS]},
            id="another policy: who else owns it stays",
        ),
        pytest.param(
            pod(terminating=True), game_server(labels=NAMED), DELETE, {}, id="the pod is going"
        ),
        pytest.param(pod(), game_server(labels=NAMED, deleting=True), DELETE, {}, id="it is going"),
        pytest.param(
            pod(),
            game_server(labels=NAMED, deletion={"reason": "Kill", "podUid": "pod-0"}),
            DELETE,
            {},
            id="it is claimed",
        ),
    ],
)
def test_the_metadata_says_whose_server_it_is_and_where(pod_, server, owner, metadata) -> None:
    assert plan_identity(pod_, server, owner, {"asked": "1"}) == metadata


def test_of_the_pod_s_status_what_it_does_not_say_is_left_out() -> None:
    assert summarise(pod(pod_ip="")) == {
        "phase": "Running",
        "hostIP": "192.168.0.1",
        "startTime": "2026-01-02T03:00:00.000Z",
    }
