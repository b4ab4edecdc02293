"""Adoption of pods that nobody controls: which revision they have then, and the patch. Pure.

Nobody is thrown out by being adopted. A pod of another controller (the StatefulSet of a former
manager) carries that one's revision, or none; taken for ours it would be outdated for ever, and a
rolling update would recreate it. So a pod whose label names no kept revision of the set counts as
one of the present template: its label says so from the adoption on, in the same patch, so that no
crash leaves it adopted and outdated. The next change of the template updates it like any other.

A label that names a kept revision stays. Such a pod is from this set or from a former one of its
name that was deleted without its dependents: it is as outdated as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.gameserverset.revision import owner_reference
from aggregator.kube import patch
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from aggregator.pods import Pod
    from shared.api.gameserverset import GameServerSet


@dataclass(frozen=True, slots=True)
class Adoption:
    """A pod that the set shall control, and the revision that it has from then on."""

    pod: Pod
    revision: str


def plan_adoptions(
    orphans: Iterable[Pod], kept: Collection[str] | None, present: str
) -> tuple[Adoption, ...]:
    """Return how orphans become servers of the set.

    Args:
        orphans: pods with the set's label and a name of it, without a controller.
        kept: the revisions of the set; None when they cannot be read: nobody can be told outdated
            from foreign then, so the orphans wait.
        present: the revision of the set's template.
    """
    if kept is None:
        return ()
    labels = ((pod, revision_label(pod)) for pod in orphans)
    return tuple(Adoption(pod, label if label in kept else present) for pod, label in labels)


def revision_label(pod: Pod) -> str:
    """Return the revision that a pod says it has; empty when it does not say."""
    return pod.metadata.labels.get(names.REVISION_LABEL, "")


def render_adoption(owner: GameServerSet, adoption: Adoption) -> patch.JsonPatch:
    """Return the patch that makes the set control a pod, only as it was seen."""
    metadata = adoption.pod.metadata
    reference = owner_reference(owner)
    owners = patch.add("/metadata/ownerReferences", [reference])
    if metadata.owner_references:
        # Owners that do not control it stay.
        owners = patch.add("/metadata/ownerReferences/-", reference)
    # An orphan has labels: it is known by one of them.
    path = patch.pointer("metadata", "labels", names.REVISION_LABEL)
    return patch.JsonPatch(
        (
            patch.test("/metadata/uid", metadata.uid),
            patch.test("/metadata/resourceVersion", metadata.resource_version),
            owners,
            patch.add(path, adoption.revision),
        )
    )
