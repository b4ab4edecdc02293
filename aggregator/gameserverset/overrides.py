"""Images and resources of one server that differ from its template (SPEC 4.8, 6.9). Pure.

`spec.containers` of a GameServer asks for them. The images that its pod was given are remembered in
an annotation of the pod: by comparing the two it shows what has to change, and an entry that was
removed goes back to the template, while what a person patched into a pod by hand stays.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shared.api import names

if TYPE_CHECKING:
    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer

Images = tuple[tuple[str, str], ...]
"""Pairs of a container's name and its image, sorted by name."""


def asked_images(server: GameServer) -> Images:
    """Return the images that a GameServer asks for; of two for one container the later."""
    asked = {each.name: each.image for each in server.spec.containers if each.image}
    return tuple(sorted(asked.items()))


def given_images(pod: Pod) -> Images:
    """Return the images that a pod was given; none for an annotation that people spoiled."""
    text = pod.metadata.annotations.get(names.IMAGES_ANNOTATION)
    if not text:
        return ()
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(body, dict):
        return ()
    return tuple(sorted((str(name), str(image)) for name, image in body.items()))


def render_images(images: Images) -> str | None:
    """Return the annotation's text; None when there is nothing to remember."""
    return json.dumps(dict(images), sort_keys=True, separators=(",", ":")) if images else None


def override_containers(spec: dict[str, Any], server: GameServer) -> None:
    """Write what a GameServer asks for into the spec of its new pod."""
    asked = {each.name: each for each in server.spec.containers}
    for container in spec.get("containers") or ():
        wish = asked.get(container["name"])
        if wish is not None and wish.image:
            container["image"] = wish.image
        if wish is not None and wish.resources is not None:
            container["resources"] = wish.resources
