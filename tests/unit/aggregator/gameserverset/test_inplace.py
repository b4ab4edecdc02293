"""Updates of running pods: whether one is possible, and the patch (SPEC 6.9)."""

import copy
import json

import jsonpatch
import pytest

from aggregator.gameserverset.inplace import (
    Change,
    plan_change,
    render_annotation,
    render_change,
    template_images,
)
from aggregator.pod_update import OldContainer, PodUpdate, parse_update, render_update
from aggregator.pods import decode_pod
from shared.api import names
from tests.support.builders import NOW, pod

AT = NOW.replace(microsecond=678_000)


def template(image="game:1", *, labels=None, annotations=None, **spec):
    containers = [{"name": "game", "image": image, "env": []}, {"name": "log", "image": "log:1"}]
    metadata = {"labels": labels or {}, "annotations": annotations or {}}
    return {"metadata": metadata, "spec": {"containers": containers} | spec}


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        pytest.param(template(), template(), Change(), id="nothing"),
        pytest.param(
            template(), template("game:2"), Change(images={"game": "game:2"}), id="an image"
        ),
        pytest.param(
            template(labels={"a": "1", "b": "1"}, annotations={"x": "1"}),
            template(labels={"b": "2", "c": "3"}),
            Change(labels={"a": None, "b": "2", "c": "3"}, annotations={"x": None}),
            id="metadata",
        ),
        pytest.param(
            template(labels={names.OWNER_LABEL: "me", names.STATE_LABEL: "Ready"}),
            template(annotations={names.UPDATE_ANNOTATION: "{}"}),
            Change(),
            id="metadata that is Gamekeeper's",
        ),
        pytest.param({"spec": template()["spec"]}, template(), Change(), id="no metadata"),
        pytest.param(template(), template(hostname="x"), None, id="another field"),
        pytest.param(
            template(),
            {"spec": {"containers": template()["spec"]["containers"][:1]}},
            None,
            id="a container less",
        ),
        pytest.param(
            template(),
            {"spec": {"containers": template()["spec"]["containers"][::-1]}},
            None,
            id="another order",
        ),
        pytest.param(
            template(initContainers=[{"name": "fetch", "image": "a"}]),
            template(initContainers=[{"name": "fetch", "image": "b"}]),
            None,
            id="an init container has run",
        ),
    ],
)
def test_how_pods_of_one_template_become_those_of_another(old, new, change):
    before = copy.deepcopy((old, new))
    assert plan_change(old, new) == change
    assert (old, new) == before


def test_the_images_of_a_template():
    spec = {"containers": [{"name": "a", "image": "a:1"}, {"name": "b"}]}
    assert template_images({"spec": spec}) == {"a": "a:1", "b": ""}


def stored(found, labels, annotations):
    """The pod as the API server has it."""
    metadata = {
        "name": found.metadata.name,
        "namespace": found.metadata.namespace,
        "uid": found.metadata.uid,
        "resourceVersion": found.metadata.resource_version,
        "labels": labels,
    }
    if annotations:
        metadata["annotations"] = annotations
    containers = [{"name": each.name, "image": each.image} for each in found.spec.containers]
    return {"metadata": metadata, "spec": {"containers": containers}}


def apply(change, *, annotations=None, ids=None, labels=None, now=AT):
    """Return the pod after the patch of a change to revision `new`."""
    labels = labels if labels is not None else {names.REVISION_LABEL: "old", "a": "1"}
    found = pod(
        images={"log": "log:1", "game": "game:1"},
        container_ids={"log": "l1", "game": "g1"} if ids is None else ids,
        annotations=annotations,
        labels=labels,
    )
    before = stored(found, dict(found.metadata.labels), annotations)
    rendered = render_change(found, change, "new", now)
    return jsonpatch.apply_patch(before, rendered.body)


def update_of(body):
    return parse_update(decode_pod(json.dumps(body)))


def test_an_image_is_patched_and_what_ran_before_is_remembered():
    after = apply(Change(images={"game": "game:2", "gone": "x:1"}))
    images = {each["name"]: each["image"] for each in after["spec"]["containers"]}
    assert images == {"log": "log:1", "game": "game:2"}
    assert update_of(after) == PodUpdate(
        "InPlace", "new", AT, {"game": OldContainer("g1", "game:1")}
    )
    assert after["metadata"]["labels"][names.REVISION_LABEL] == "new"


def test_metadata_is_patched_and_nothing_restarts():
    after = apply(
        Change(labels={"a": None, "b/c": "2", "gone": None}, annotations={"x": "1", "y": None})
    )
    labels = after["metadata"]["labels"]
    assert ("a" in labels, labels["b/c"], labels[names.REVISION_LABEL]) == (False, "2", "new")
    assert after["metadata"]["annotations"] == {"x": "1"}
    assert update_of(after) is None


def test_an_image_that_the_pod_has_already_restarts_nothing():
    after = apply(Change(images={"game": "game:1"}))
    assert update_of(after) is None
    assert after["metadata"]["labels"][names.REVISION_LABEL] == "new"


def unfinished(**containers):
    update = PodUpdate("InPlace", "mid", NOW, containers)
    return {names.UPDATE_ANNOTATION: render_update(update)}


@pytest.mark.parametrize(
    ("former", "images", "expected"),
    [
        pytest.param(
            {"log": OldContainer("l1", "log:0")},
            {"game": "game:2"},
            {"log": OldContainer("l1", "log:0"), "game": OldContainer("g1", "game:1")},
            id="another container is still waited for",
        ),
        pytest.param(
            {"log": OldContainer("l0", "log:0")},
            {"game": "game:2"},
            {"game": OldContainer("g1", "game:1")},
            id="another container runs anew already",
        ),
        pytest.param(
            {"game": OldContainer("g1", "game:0")},
            {"game": "game:2"},
            {"game": OldContainer("g1", "game:0")},
            id="the same container, before it restarted",
        ),
        pytest.param(
            {"game": OldContainer("g1", "game:0")},
            {"game": "game:0"},
            {},
            id="back to what still runs",
        ),
        pytest.param(
            {"game": OldContainer("g0", "game:0")},
            {"game": "game:0"},
            {"game": OldContainer("g1", "game:1")},
            id="back to what ran before",
        ),
    ],
)
def test_a_patch_over_an_unfinished_one(former, images, expected):
    after = apply(Change(images=images), annotations=unfinished(**former))
    update = update_of(after)
    assert (dict(update.containers) if update is not None else {}) == expected


def test_a_container_that_does_not_run_yet_is_waited_for():
    after = apply(Change(images={"game": "game:2"}), ids={})
    assert dict(update_of(after).containers) == {"game": OldContainer("", "game:1")}


def test_a_patch_is_for_the_pod_that_was_looked_at():
    found = pod()
    seen = [
        {"op": "test", "path": "/metadata/uid", "value": "pod-0"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "20"},
    ]
    assert render_change(found, Change(), "new", AT).body[:2] == seen
    assert render_annotation(found, None).body == seen


def test_marks_come_and_go():
    update = PodUpdate("InPlace", "new", AT)
    found = pod(annotations={"other": "1"})
    before = stored(found, {}, {"other": "1"})
    marked = jsonpatch.apply_patch(before, render_annotation(found, update).body)
    assert update_of(marked) == update
    again = decode_pod(json.dumps(marked))
    after = jsonpatch.apply_patch(marked, render_annotation(again, None).body)
    assert after == before
