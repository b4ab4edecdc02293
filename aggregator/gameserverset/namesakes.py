"""Pods with names of a set that it does not control (SPEC 6.2). Pure.

| whose | what becomes of it |
| --- | --- |
| nobody's, with the set's label | adopted (see adoption.py); until then its id is waited for |
| nobody's or a gone namesake set's, terminating | its id is waited for |
| of a set of this name with another uid, which is gone | waited for: the garbage collector comes |
| anybody else's | the name is taken: a condition says so, nobody is deleted |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.gameserverset.ids import parse_server_id
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aggregator.pods import Pod
    from shared.api.gameserverset import GameServerSet


@dataclass(frozen=True, slots=True)
class Namesakes:
    """Pods with names of the set that it does not control.

    Attributes:
        orphans: to be adopted.
        waited_for: ids whose pods are going, or are about to be adopted.
        taken: ids whose names belong to somebody else.
    """

    orphans: tuple[Pod, ...] = ()
    waited_for: frozenset[int] = frozenset()
    taken: frozenset[int] = frozenset()


def sort_namesakes(owner: GameServerSet, pods: Iterable[Pod]) -> Namesakes:
    """Return what becomes of pods that the set does not control."""
    orphans: list[Pod] = []
    waited_for: set[int] = set()
    taken: set[int] = set()
    for pod in pods:
        id_ = parse_server_id(owner.metadata.name, pod.metadata.name)
        if id_ is None or pod.controller_uid == owner.metadata.uid:
            continue
        if pod.terminating or _is_of_former_set(owner, pod):
            waited_for.add(id_)
        elif not pod.controller_uid and _carries_label(owner, pod):
            orphans.append(pod)
            waited_for.add(id_)
        else:
            taken.add(id_)
    return Namesakes(tuple(orphans), frozenset(waited_for), frozenset(taken))


def _is_of_former_set(owner: GameServerSet, pod: Pod) -> bool:
    """Tell whether a set of this name controlled it, which must be gone: names are unique."""
    return any(
        each.controller
        and each.kind == names.GAMESERVERSET_KIND
        and each.name == owner.metadata.name
        for each in pod.metadata.owner_references
    )


def _carries_label(owner: GameServerSet, pod: Pod) -> bool:
    return pod.metadata.labels.get(names.OWNER_LABEL) == owner.metadata.name
