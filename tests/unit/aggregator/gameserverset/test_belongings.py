"""What belongs to a set: revisions, companions, volume claims, and what a former set left."""

import pytest

from aggregator.gameserverset import volumes
from aggregator.gameserverset.companions import CompanionSettings, render_companions
from aggregator.gameserverset.heritage import Heritage, adoption, heritage_of
from aggregator.gameserverset.namesakes import Namesakes, sort_namesakes
from aggregator.gameserverset.revision import (
    Revision,
    read_revision,
    render_revision,
    revision_hash,
    surplus_revisions,
    template_revision,
)
from shared.api import names
from shared.protocol.wire import render_time
from tests.support.builders import NOW, SET_UID, game_server_set, pod

SET = game_server_set()
MINE = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "name": "minecraft",
    "uid": SET_UID,
    "controller": True,
    "blockOwnerDeletion": True,
}
OWNER = {names.OWNER_LABEL: "minecraft"}
TEMPLATE = {"metadata": {}, "spec": {"containers": [{"name": "game"}]}}


def test_a_revision_is_kept_whole_and_read_again():
    hash_ = template_revision(SET)
    body = render_revision(SET, hash_, 3)
    assert body == {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"minecraft-{hash_}",
            "namespace": "games",
            "labels": OWNER | {names.REVISION_LABEL: hash_},
            "ownerReferences": [MINE],
        },
        "revision": 3,
        "data": {"template": TEMPLATE},
    }
    assert read_revision(SET, body) == Revision(f"minecraft-{hash_}", hash_, 3, TEMPLATE)


@pytest.mark.parametrize(
    "change",
    [
        {"data": {}},
        {"data": None},
        {"data": {"spec": {"template": TEMPLATE}}},
        {"metadata": {"name": "x", "labels": {names.REVISION_LABEL: "hash"}}},
        {"metadata": {"name": "minecraft-hash"}},
    ],
    ids=["empty", "nothing", "a StatefulSet's", "another name", "no label"],
)
def test_an_object_that_keeps_no_template_of_the_set_is_no_revision(change):
    assert read_revision(SET, render_revision(SET, "hash", 1) | change) is None


def test_a_collision_gives_another_hash():
    collided = game_server_set(status={"collisionCount": 1})
    hashes = {template_revision(SET), template_revision(collided), revision_hash(TEMPLATE, 2)}
    assert len(hashes) == 3
    assert revision_hash(TEMPLATE, 0) == revision_hash(TEMPLATE) == template_revision(SET)


@pytest.mark.parametrize(
    ("in_use", "limit", "forgotten"),
    [
        (set(), 10, []),
        (set(), 2, [1, 3]),
        ({"h1", "h3"}, 2, []),
        ({"h3"}, 1, [1, 4]),
        (set(), 0, [1, 3, 4, 7]),
    ],
)
def test_the_oldest_revisions_that_nobody_uses_are_forgotten(in_use, limit, forgotten):
    revisions = [Revision(f"r{number}", f"h{number}", number, {}) for number in (4, 1, 7, 3)]
    assert [each.number for each in surplus_revisions(revisions, in_use, limit)] == forgotten


def companions(owner=SET, **settings):
    return {each["kind"]: each for each in render_companions(owner, CompanionSettings(**settings))}


def metadata(name):
    return {"name": name, "namespace": "games", "labels": OWNER, "ownerReferences": [MINE]}


def test_the_headless_service_of_a_set():
    assert companions()["Service"] == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata("minecraft"),
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": OWNER},
    }


def test_a_service_that_the_user_named_is_the_users():
    assert companions(game_server_set(serviceName="mine")).keys() == {"NetworkPolicy"}


def test_the_network_policy_of_a_set():
    assert companions()["NetworkPolicy"] == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata("minecraft-network-disabled"),
        "spec": {
            "podSelector": {"matchLabels": OWNER | {names.NETWORK_DISABLED_LABEL: "true"}},
            "policyTypes": ["Ingress"],
        },
    }


def test_the_disruption_budget_of_a_set():
    assert companions(allocated_disruption_budget=True)["PodDisruptionBudget"] == {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata("minecraft-allocated"),
        "spec": {
            "maxUnavailable": 0,
            "selector": {"matchLabels": OWNER | {names.OPS_STATE_LABEL: "Allocated"}},
        },
    }


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({}, {"Service", "NetworkPolicy"}),
        ({"network_isolation": False}, {"Service"}),
        (
            {"allocated_disruption_budget": True},
            {"Service", "NetworkPolicy", "PodDisruptionBudget"},
        ),
    ],
)
def test_which_companions_there_are(settings, kinds):
    assert companions(**settings).keys() == kinds


DATA = {
    "metadata": {"name": "data", "labels": {"team": "red"}, "annotations": {"a": "b"}},
    "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    "status": {},
}
REFERENCE = {key: MINE[key] for key in ("apiVersion", "kind", "name", "uid")}
POD = {"apiVersion": "v1", "kind": "Pod", "name": "minecraft-1", "uid": "pod-1"}


def with_volumes(**policy):
    template = {"spec": {"containers": [{"name": "game"}]}, "volumeClaimTemplates": [DATA]}
    return game_server_set(template=template, persistentVolumeClaimRetentionPolicy=policy)


@pytest.mark.parametrize(
    ("policy", "owners"),
    [
        ({}, {}),
        ({"whenDeleted": "Retain", "whenScaled": "Delete"}, {}),
        ({"whenDeleted": "Delete"}, {"ownerReferences": [REFERENCE]}),
    ],
)
def test_the_volume_claims_of_a_server(policy, owners):
    assert volumes.render_claims(with_volumes(**policy), 1) == [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": "data-minecraft-1",
                "namespace": "games",
                "labels": {"team": "red"} | OWNER,
                "annotations": {"a": "b"},
            }
            | owners,
            "spec": DATA["spec"],
        }
    ]


def test_a_pod_mounts_its_claims():
    spec = {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]}
    volumes.mount_claims(spec, with_volumes(), "minecraft-1")
    claim = {"claimName": "data-minecraft-1"}
    assert spec["volumes"] == [
        {"name": "tmp", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": claim},
    ]
    untouched: dict = {}
    volumes.mount_claims(untouched, SET, "minecraft-1")
    assert untouched == {}


@pytest.mark.parametrize(
    ("policy", "present", "owners"),
    [
        ({}, [REFERENCE], []),
        ({}, [REFERENCE, POD], [POD]),
        ({"whenDeleted": "Delete"}, [], [REFERENCE]),
        ({"whenDeleted": "Delete"}, [REFERENCE | {"uid": "former"}, POD], [POD, REFERENCE]),
    ],
)
def test_owners_follow_the_policy_for_the_deletion_of_the_set(policy, present, owners):
    assert volumes.owners_for_set(with_volumes(**policy), present) == owners


def test_a_claim_can_go_with_a_pod():
    former = POD | {"uid": "former"}
    assert volumes.owners_for_pod("minecraft-1", "pod-1", [REFERENCE, former]) == [REFERENCE, POD]
    assert volumes.deletes_when_scaled(with_volumes(whenScaled="Delete"))
    assert not volumes.deletes_when_scaled(with_volumes())


@pytest.mark.parametrize(
    ("fields", "going"),
    [
        ({}, False),
        ({"ownerReferences": [REFERENCE]}, False),
        ({"ownerReferences": [REFERENCE, POD]}, True),
        ({"ownerReferences": [REFERENCE | {"uid": "former"}]}, True),
        ({"deletionTimestamp": "2026-01-02T03:04:05Z"}, True),
    ],
)
def test_a_claim_that_goes_is_bound_by_no_new_pod(fields, going):
    assert volumes.is_going({"metadata": fields}, SET) is going


FORMER = MINE | {"uid": "former"}
GONE = {"deletionTimestamp": render_time(NOW)}


@pytest.mark.parametrize(
    ("fields", "heritage"),
    [
        pytest.param({"ownerReferences": [MINE]}, Heritage.OURS, id="ours"),
        pytest.param({"ownerReferences": [MINE]} | GONE, Heritage.OURS, id="ours, going"),
        pytest.param({"ownerReferences": [FORMER]}, Heritage.GOING, id="of a former set"),
        pytest.param({"labels": OWNER} | GONE, Heritage.GOING, id="an orphan that goes"),
        pytest.param({"labels": OWNER}, Heritage.ORPHANED, id="an orphan"),
        pytest.param(
            {"labels": OWNER, "ownerReferences": [POD]}, Heritage.ORPHANED, id="nobody controls it"
        ),
        pytest.param({"labels": {}}, Heritage.FOREIGN, id="nobody's"),
        pytest.param(
            {"ownerReferences": [FORMER | {"kind": "Deployment"}]}, Heritage.FOREIGN, id="another's"
        ),
        pytest.param(
            {"ownerReferences": [FORMER | {"name": "other"}]}, Heritage.FOREIGN, id="another set's"
        ),
    ],
)
def test_whose_an_object_is(fields, heritage):
    assert heritage_of(SET, {"metadata": fields}) is heritage


def test_an_orphan_keeps_its_other_owners():
    stored = {"metadata": {"uid": "u", "resourceVersion": "7", "ownerReferences": [POD]}}
    assert adoption(SET, stored) == {
        "uid": "u",
        "resourceVersion": "7",
        "ownerReferences": [POD, MINE],
    }


def test_pods_with_names_of_the_set_that_it_does_not_control():
    orphan = pod(0, owner_uid="")
    pods = [
        pod(5),
        orphan,
        pod(1, owner_uid="", terminating=True),
        pod(2, owner_uid="former"),
        pod(3, owner_uid="", labels={names.OWNER_LABEL: "other"}),
        pod(4),
    ]
    assert sort_namesakes(SET, pods) == Namesakes((orphan,), frozenset({0, 1, 2}), frozenset({3}))
    renamed = SET.metadata.model_copy(update={"name": "other"})
    other = SET.model_copy(update={"metadata": renamed})
    assert sort_namesakes(other, pods) == Namesakes()
