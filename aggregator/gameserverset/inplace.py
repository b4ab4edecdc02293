"""Updates of running pods: whether one is possible, and the patch (SPEC 6.9). Pure.

Kubernetes lets the images and the metadata of a running pod change, nothing else; a changed image
restarts that container only. The patch carries the version of the pod that was looked at: it
records which container ran before, and a container that restarted by itself in between would pass
for updated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aggregator.kube import patch
from aggregator.pod_update import OldContainer, PodUpdate, parse_update, render_update
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aggregator.gameserverset.revision import Template
    from aggregator.pods import Pod

Values = dict[str, "str | None"]


@dataclass(frozen=True, slots=True)
class Change:
    """What a running pod has to change.

    Attributes:
        images: by container.
        labels: None removes one.
        annotations: None removes one.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str | None] = field(default_factory=dict)
    annotations: Mapping[str, str | None] = field(default_factory=dict)


def plan_change(old: Template, new: Template) -> Change | None:
    """Return how pods of one template become those of another; None if they must be recreated."""
    if _without_images(old["spec"]) != _without_images(new["spec"]):
        return None
    before, after = template_images(old), template_images(new)
    old_metadata, new_metadata = old.get("metadata") or {}, new.get("metadata") or {}
    return Change(
        images={name: image for name, image in after.items() if before.get(name) != image},
        labels=_difference(old_metadata.get("labels"), new_metadata.get("labels")),
        annotations=_difference(old_metadata.get("annotations"), new_metadata.get("annotations")),
    )


def template_images(template: Template) -> dict[str, str]:
    """Return the image of each container of a template."""
    return {
        container["name"]: container.get("image", "")
        for container in template["spec"].get("containers") or ()
    }


def _without_images(spec: dict[str, Any]) -> dict[str, Any]:
    # Init containers have run: another image of one needs another pod.
    containers = [
        {key: value for key, value in container.items() if key != "image"}
        for container in spec.get("containers") or ()
    ]
    return spec | {"containers": containers}


def _difference(old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> Values:
    before, after = old or {}, new or {}
    changed: Values = {key: None for key in before if key not in after}
    changed |= {key: text for key, text in after.items() if before.get(key) != text}
    # A template that names what Gamekeeper writes does not take it from a running pod.
    return {key: text for key, text in changed.items() if key not in names.OWNED_KEYS}


def render_change(pod: Pod, change: Change, revision: str, now: datetime) -> patch.JsonPatch:
    """Return the patch that carries out a change, only on the pod as it was seen.

    Args:
        pod: as it was seen.
        change: what it has to change; what it has already is left out.
        revision: that the pod has afterwards.
        now: the start of the update, for the annotation.
    """
    operations = []
    changed: dict[str, OldContainer] = {}
    ids = pod.container_ids
    for index, container in enumerate(pod.spec.containers):
        image = change.images.get(container.name, container.image)
        if image != container.image:
            path = patch.pointer("spec", "containers", index, "image")
            operations.append(patch.add(path, image))
            changed[container.name] = OldContainer(ids.get(container.name, ""), container.image)
    restarting = _restarting(pod, changed, change)
    annotations = dict(change.annotations)
    annotations[names.UPDATE_ANNOTATION] = (
        render_update(PodUpdate("InPlace", revision, now, restarting)) if restarting else None
    )
    labels = dict(change.labels) | {names.REVISION_LABEL: revision}
    operations += _members(("metadata", "labels"), pod.metadata.labels, labels)
    operations += _members(("metadata", "annotations"), pod.metadata.annotations, annotations)
    return patch.JsonPatch((*_as_seen(pod), *operations))


def render_annotation(pod: Pod, update: PodUpdate | None) -> patch.JsonPatch:
    """Return the patch that says, or no longer says, what is being done to a pod."""
    text = render_update(update) if update is not None else None
    values: Values = {names.UPDATE_ANNOTATION: text}
    operations = _members(("metadata", "annotations"), pod.metadata.annotations, values)
    return patch.JsonPatch((*_as_seen(pod), *operations))


def _restarting(
    pod: Pod, changed: Mapping[str, OldContainer], change: Change
) -> dict[str, OldContainer]:
    """Return the containers that have to restart, those of an unfinished update included.

    An image that goes back to what it was before the kubelet acted restarts nothing.
    """
    former = parse_update(pod)
    pending = dict(former.containers or {}) if former is not None else {}
    ids = pod.container_ids
    restarting = {name: old for name, old in pending.items() if ids.get(name, old.id) == old.id}
    for name, old in changed.items():
        unfinished = restarting.pop(name, None)
        if unfinished is None:
            restarting[name] = old
        elif unfinished.image != change.images[name]:
            restarting[name] = unfinished
    return restarting


def _as_seen(pod: Pod) -> tuple[patch.Operation, ...]:
    return (
        patch.test("/metadata/uid", pod.metadata.uid),
        patch.test("/metadata/resourceVersion", pod.metadata.resource_version),
    )


def _members(
    path: tuple[str, ...], present: Mapping[str, str], values: Mapping[str, str | None]
) -> list[patch.Operation]:
    """Return the operations that set and remove members of a map of the pod."""
    operations = []
    added = {key: text for key, text in values.items() if text not in (None, present.get(key))}
    if added and not present:
        # An `add` needs its parent.
        return [patch.add(patch.pointer(*path), added)]
    operations += [patch.add(patch.pointer(*path, key), text) for key, text in added.items()]
    operations += [
        patch.remove(patch.pointer(*path, key))
        for key, text in values.items()
        if text is None and key in present
    ]
    return operations
