"""The annotation that says what is being done to a pod: its update (SPEC 6.9). Pure.

    gamekeeper.dev/update: {"kind": "InPlace", "revision": "5feceb66ff",
        "startedAt": "2026-01-02T03:04:05.678Z",
        "containers": {"game": {"id": "containerd://old", "image": "game:1"}}}

`containers` is there once the pod was patched: of each container that has to restart, the id and
the image it had before. An update is over when each of them has another id and the pod is Ready;
image names are normalised by runtimes and image ids repeat, so they prove nothing. Then the
annotation is removed, because a server that fails later is not being updated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from shared.api import names
from shared.protocol.wire import render_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.pods import Pod

Kind = Literal["InPlace", "ReCreate"]


@dataclass(frozen=True, slots=True)
class OldContainer:
    """A container as it was before the patch."""

    id: str
    image: str


@dataclass(frozen=True, slots=True)
class PodUpdate:
    """What is being done to a pod.

    Attributes:
        revision: that the pod shall have.
        started_at: when the server was taken out of service.
        containers: that have to restart, as they were; None before the patch.
    """

    kind: Kind
    revision: str
    started_at: datetime
    containers: Mapping[str, OldContainer] | None = None

    @property
    def is_applied(self) -> bool:
        """Whether the pod was patched."""
        return self.containers is not None


def parse_update(pod: Pod) -> PodUpdate | None:
    """Return what is being done to a pod; None for nothing, and for a text that people spoiled."""
    text = pod.metadata.annotations.get(names.UPDATE_ANNOTATION)
    if not text:
        return None
    try:
        body = json.loads(text)
        kind, containers = body["kind"], body.get("containers")
        if kind not in ("InPlace", "ReCreate"):
            return None
        return PodUpdate(
            kind=kind,
            revision=str(body["revision"]),
            started_at=datetime.fromisoformat(body["startedAt"]),
            containers=None
            if containers is None
            else {
                str(name): OldContainer(str(old["id"]), str(old["image"]))
                for name, old in containers.items()
            },
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def render_update(update: PodUpdate) -> str:
    """Return the annotation's text."""
    body: dict[str, object] = {
        "kind": update.kind,
        "revision": update.revision,
        "startedAt": render_time(update.started_at),
    }
    if update.containers is not None:
        body["containers"] = {
            name: {"id": old.id, "image": old.image} for name, old in update.containers.items()
        }
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def is_complete(update: PodUpdate, pod: Pod) -> bool:
    """Tell whether every patched container runs anew and the pod is Ready."""
    if update.containers is None or not pod.ready:
        return False
    ids = pod.container_ids
    return all(ids.get(name, old.id) != old.id for name, old in update.containers.items())


def update_state(pod: Pod) -> str | None:
    """Return the state of a server that is being updated, None for any other."""
    update = parse_update(pod)
    if update is None:
        return None
    if update.kind == "ReCreate":
        return names.STATE_PRE_DELETE
    return names.STATE_UPDATING if update.is_applied else names.STATE_PRE_UPDATE
