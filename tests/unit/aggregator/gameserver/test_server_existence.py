"""Which pods get a GameServer, and which GameServers go (SPEC 5.1)."""

import pytest

from aggregator.gameserver.operations import CreateServer, DeleteServer
from aggregator.gameserver.plan import Plan, plan
from shared.api import names
from tests.support.builders import game_server, game_server_set, pod
from tests.support.server_plans import CLAIM, observed, settle

SET_DELETE = game_server_set(
    template={"spec": {"containers": [{"name": "game"}]}, "reclaimPolicy": "Delete"}
)
DELETED = Plan((DeleteServer("server-0", "30"),))


def test_a_pod_without_a_server_gets_one_owned_by_the_pod():
    template = {
        "metadata": {"labels": {"team": "red"}, "annotations": {"note": "x"}},
        "spec": {"containers": [{"name": "game"}]},
    }
    owner = game_server_set(template=template)
    assert plan(observed(server=None, owner=owner)) == Plan(
        (
            CreateServer(
                {
                    "apiVersion": "game.kruise.io/v1alpha1",
                    "kind": "GameServer",
                    "metadata": {
                        "name": "minecraft-0",
                        "namespace": "games",
                        "labels": {
                            "team": "red",
                            names.OWNER_LABEL: "minecraft",
                            names.NODE_NAME_LABEL: "node-1",
                        },
                        "annotations": {"note": "x"},
                        "ownerReferences": [
                            {
                                "apiVersion": "v1",
                                "kind": "Pod",
                                "name": "minecraft-0",
                                "uid": "pod-0",
                                "controller": True,
                                "blockOwnerDeletion": True,
                            }
                        ],
                    },
                    "spec": {"opsState": "None", "updatePriority": 0, "deletionPriority": 0},
                }
            ),
        )
    )


def test_with_delete_the_set_owns_the_server():
    (create,) = plan(observed(server=None, owner=SET_DELETE)).operations
    assert create.body["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "game.kruise.io/v1alpha1",
            "kind": "GameServerSet",
            "name": "minecraft",
            "uid": "set-uid",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"pod": None, "server": None}, Plan(), id="neither"),
        pytest.param({"server": None, "owner": None}, Plan(), id="pod without set"),
        pytest.param(
            {"server": None, "pod": pod(terminating=True)}, Plan(), id="a pod that is going"
        ),
        pytest.param({"pod": None}, Plan(), id="the pod went by itself"),
        pytest.param(
            {"pod": None, "server": game_server(pod_uid=None), "owner": None},
            Plan(),
            id="Delete: its set is gone",
        ),
        pytest.param(
            {"pod": None, "server": game_server(pod_uid=None, deletion=CLAIM)},
            DELETED,
            id="Delete: its claimed pod is gone",
        ),
        pytest.param(
            {"pod": None, "server": game_server(deletion=CLAIM, deleting=True)},
            Plan(),
            id="it is going already",
        ),
        pytest.param({"server": game_server(pod_uid="older")}, DELETED, id="an older pod's"),
        pytest.param(
            {"server": game_server(pod_uid="older", deleting=True)},
            Plan(),
            id="an older pod's, going",
        ),
        pytest.param(
            {"server": game_server(pod_uid=None, deletion=CLAIM | {"podUid": "older"})},
            DELETED,
            id="Delete: the claim of an older pod never strikes its successor",
        ),
    ],
)
def test_existence(fields, expected):
    assert plan(observed(**fields)) == expected


def test_the_state_of_an_older_pod_never_reaches_the_new_one():
    old = game_server(pod_uid="older", opsState="Kill", deletionPriority=7)
    server = settle(observed(server=old)).server
    assert (server.spec.ops_state, server.spec.deletion_priority) == ("None", 0)


def test_with_delete_the_spec_survives_a_new_pod():
    kept = game_server(pod_uid=None, opsState="Allocated", status={"podUid": "older"})
    after = settle(observed(server=kept, owner=SET_DELETE))
    assert after.server.spec.ops_state == "Allocated"
    assert after.server.status.pod_uid == "pod-0"
    assert after.pod.metadata.labels[names.OPS_STATE_LABEL] == "Allocated"
