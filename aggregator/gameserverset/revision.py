"""Revisions of a set's template: their names, and the objects that keep them (SPEC 6.9). Pure.

A revision is the hash of what the user wrote of the pod: neither a newer agent nor a field that a
newer version of Gamekeeper knows beside the pod template ever restarts a game. Its template is kept
in a ControllerRevision, because a change in place has to know what it comes from, and servers that
a partition leaves behind are made again as they were.
Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/controller-revision-v1/
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from shared.api.gameserverset import GameServerSet

# As many as a StatefulSet keeps (revisionHistoryLimit).
HISTORY_LIMIT = 10

Template = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Revision:
    """A kept template.

    Attributes:
        name: of the ControllerRevision.
        hash: that pods carry in their label.
        number: the larger the newer.
    """

    name: str
    hash: str
    number: int
    template: Template


def pod_template(owner: GameServerSet) -> Template:
    """Return what the user wrote of the pod."""
    template = owner.spec.game_server_template
    return {"metadata": template.metadata, "spec": template.spec}


def template_revision(owner: GameServerSet) -> str:
    """Return the hash of the set's template: equal exactly when the pods would be equal."""
    return revision_hash(pod_template(owner), owner.status.collision_count)


def revision_hash(template: Template, collisions: int | None = None) -> str:
    """Return ten hexadecimal digits of a template; another ten after each collision."""
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    salt = f"#{collisions}" if collisions else ""
    return hashlib.sha256((text + salt).encode()).hexdigest()[:10]


def revision_name(owner: GameServerSet, hash_: str) -> str:
    """Return the name of the object that keeps a revision."""
    return f"{owner.metadata.name}-{hash_}"


def render_revision(owner: GameServerSet, hash_: str, number: int) -> dict[str, Any]:
    """Return the ControllerRevision of the set's template."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": revision_name(owner, hash_),
            "namespace": owner.metadata.namespace,
            "labels": {
                names.OWNER_LABEL: owner.metadata.name,
                names.REVISION_LABEL: hash_,
            },
            "ownerReferences": [owner_reference(owner)],
        },
        "revision": number,
        "data": {"template": pod_template(owner)},
    }


def owner_reference(owner: GameServerSet) -> dict[str, Any]:
    """Return the reference that makes the set the controller of an object."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.GAMESERVERSET_KIND,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def read_revision(owner: GameServerSet, body: dict[str, Any]) -> Revision | None:
    """Return the revision in an object; None when it keeps no template of a set of this name.

    Other managers keep revisions, too, and their pods may have had our labels.
    """
    metadata = body["metadata"]
    hash_ = (metadata.get("labels") or {}).get(names.REVISION_LABEL, "")
    template = (body.get("data") or {}).get("template")
    if not template or metadata["name"] != revision_name(owner, hash_):
        return None
    return Revision(
        name=metadata["name"],
        hash=hash_,
        number=int(body.get("revision", 0)),
        template=template,
    )


def surplus_revisions(
    revisions: Iterable[Revision], in_use: Collection[str], limit: int = HISTORY_LIMIT
) -> list[Revision]:
    """Return the revisions to forget: the oldest beyond `limit` that no server and status uses."""
    unused = sorted(
        (each for each in revisions if each.hash not in in_use), key=lambda each: each.number
    )
    return unused[: max(0, len(unused) - limit)]
