"""The pod's labels mirror its GameServer (SPEC 5.2)."""

import pytest

from aggregator.gameserver.mirror import plan_mirror
from shared.api import names
from shared.protocol.wire import render_time
from tests.support.builders import NOW, game_server, pod

MIRROR = {
    names.STATE_LABEL: "Ready",
    names.OPS_STATE_LABEL: "None",
    names.UPDATE_PRIORITY_LABEL: "0",
    names.DELETE_PRIORITY_LABEL: "0",
}
OPS_STAMP = {names.OPS_STATE_CHANGED_ANNOTATION: render_time(NOW)}
STATE_STAMP = {names.STATE_CHANGED_ANNOTATION: render_time(NOW)}


def mirrored(labels, server=None, writes=None, state="Ready"):
    return plan_mirror(pod(labels=labels), server or game_server(), writes or {}, state, NOW)


def test_a_new_pod_gets_all_labels():
    assert mirrored({}) == {"labels": MIRROR, "annotations": OPS_STAMP | STATE_STAMP}


@pytest.mark.parametrize(
    ("spec", "labels"),
    [
        pytest.param({}, {}, id="all there"),
        pytest.param({"deletionPriority": 10}, {names.DELETE_PRIORITY_LABEL: "10"}, id="number"),
        pytest.param({"updatePriority": "7"}, {names.UPDATE_PRIORITY_LABEL: "7"}, id="text"),
        pytest.param(
            {"deletionPriority": -1},
            {names.DELETE_PRIORITY_LABEL: None},
            id="a negative one is no legal label value",
        ),
        pytest.param(
            {"updatePriority": 2_147_483_647},
            {names.UPDATE_PRIORITY_LABEL: "2147483647"},
            id="the largest",
        ),
        pytest.param({"networkDisabled": True}, {names.NETWORK_DISABLED_LABEL: "true"}, id="true"),
        pytest.param(
            {"networkDisabled": False},
            {names.NETWORK_DISABLED_LABEL: "false"},
            id="false is not absent",
        ),
    ],
)
def test_only_what_differs_is_written(spec, labels):
    expected = {"labels": labels} if labels else None
    assert mirrored(MIRROR, game_server(**spec)) == expected


def test_a_label_whose_field_is_gone_is_removed():
    labels = MIRROR | {names.NETWORK_DISABLED_LABEL: "true"}
    assert mirrored(labels) == {"labels": {names.NETWORK_DISABLED_LABEL: None}}


def test_what_the_same_plan_writes_counts_already_and_is_stamped():
    writes = {("opsState",): "Maintaining", ("deletionPriority",): -3, ("networkDisabled",): True}
    assert mirrored(MIRROR, writes=writes) == {
        "labels": {
            names.OPS_STATE_LABEL: "Maintaining",
            names.DELETE_PRIORITY_LABEL: None,
            names.NETWORK_DISABLED_LABEL: "true",
        },
        "annotations": OPS_STAMP,
    }


def test_a_change_of_state_has_its_own_stamp():
    assert mirrored(MIRROR, state="Deleting") == {
        "labels": {names.STATE_LABEL: "Deleting"},
        "annotations": STATE_STAMP,
    }


@pytest.mark.parametrize("kind", ["labels", "annotations"])
def test_what_the_same_plan_writes_is_synced_already(kind):
    other = {"labels": "annotations", "annotations": "labels"}[kind]
    writes = {
        (kind, "gs-sync/map"): "de_dust",
        (kind, "map"): "not to be synced",
        ("opsState",): "None",
    }
    assert mirrored(MIRROR, writes=writes) == {kind: {"gs-sync/map": "de_dust"}}
    assert mirrored(MIRROR, writes={(other, "map"): "not to be synced"}) is None
