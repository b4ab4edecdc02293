"""The patch that makes a set control a pod that nobody controls."""

import msgspec
import pytest

from aggregator.gameserverset.adoption import (
    Adoption,
    plan_adoptions,
    render_adoption,
    revision_label,
)
from aggregator.kube.patch import JsonPatch
from shared.api import names
from tests.support.builders import game_server_set, pod

REFERENCE = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "name": "minecraft",
    "uid": "set-uid",
    "controller": True,
    "blockOwnerDeletion": True,
}


def orphan(*, owned=False, **fields):
    """`owned`: somebody owns it without controlling it."""
    made = pod(0, owner_uid="other" if owned else "", **fields)
    owners = tuple(
        msgspec.structs.replace(each, controller=False) for each in made.metadata.owner_references
    )
    metadata = msgspec.structs.replace(made.metadata, owner_references=owners)
    return msgspec.structs.replace(made, metadata=metadata)


@pytest.mark.parametrize(
    ("owned", "added"),
    [
        (False, {"op": "add", "path": "/metadata/ownerReferences", "value": [REFERENCE]}),
        (True, {"op": "add", "path": "/metadata/ownerReferences/-", "value": REFERENCE}),
    ],
    ids=["nobody's", "owned by somebody who does not control it"],
)
def test_a_pod_is_adopted_only_as_it_was_seen_and_other_owners_stay(owned, added):
    patch = render_adoption(game_server_set(), Adoption(orphan(owned=owned), "new"))
    label = {
        "op": "add",
        "path": "/metadata/labels/controller-revision-hash",
        "value": "new",
    }
    assert patch == JsonPatch(
        (
            {"op": "test", "path": "/metadata/uid", "value": "pod-0"},
            {"op": "test", "path": "/metadata/resourceVersion", "value": "20"},
            added,
            label,
        )
    )


@pytest.mark.parametrize(
    ("labels", "revision", "adopted"),
    [
        ({names.REVISION_LABEL: "old"}, "old", "old"),
        ({names.REVISION_LABEL: "foreign"}, "foreign", "new"),
        ({}, "", "new"),
    ],
    ids=["a kept revision", "a foreign one", "none"],
)
def test_which_revision_an_orphan_has(labels, revision, adopted):
    found = orphan(labels=labels)
    assert revision_label(found) == revision
    assert plan_adoptions([found], {"old", "new"}, "new") == (Adoption(found, adopted),)
    assert plan_adoptions([found], None, "new") == ()
