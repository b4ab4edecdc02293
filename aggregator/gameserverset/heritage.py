"""Objects that carry the name of one of a set's own, and whose they are (SPEC 6.14). Pure.

A set that was deleted and applied again at once has a new uid, and meets what the former one left:
with orphaned dependents they are nobody's and become the new set's; otherwise the garbage collector
is on its way and they must be gone before the new set can have its own.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from aggregator.gameserverset.revision import owner_reference
from shared.api import names

if TYPE_CHECKING:
    from shared.api.gameserverset import GameServerSet

Json = dict[str, Any]


class Heritage(Enum):
    """Whose an object is."""

    OURS = auto()
    ORPHANED = auto()
    GOING = auto()
    FOREIGN = auto()


def heritage_of(owner: GameServerSet, stored: Json) -> Heritage:
    """Return whose an object is that has the name of one of the set's own."""
    metadata = stored["metadata"]
    references = metadata.get("ownerReferences") or ()
    controller = next((each for each in references if each.get("controller")), None)
    if controller is not None and controller["uid"] == owner.metadata.uid:
        return Heritage.OURS
    if "deletionTimestamp" in metadata:
        return Heritage.GOING
    if controller is None:
        labels = metadata.get("labels") or {}
        mine = labels.get(names.OWNER_LABEL) == owner.metadata.name
        return Heritage.ORPHANED if mine else Heritage.FOREIGN
    former = (controller["kind"], controller["name"]) == (
        names.GAMESERVERSET_KIND,
        owner.metadata.name,
    )
    return Heritage.GOING if former else Heritage.FOREIGN


def adoption(owner: GameServerSet, stored: Json) -> Json:
    """Return the metadata of a merge patch that makes an orphan the set's."""
    metadata = stored["metadata"]
    return {
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "ownerReferences": [*(metadata.get("ownerReferences") or ()), owner_reference(owner)],
    }
