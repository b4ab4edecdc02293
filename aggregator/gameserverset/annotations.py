"""What the annotations of a set ask for, and what in them means nothing. Pure.

Annotations have no schema: the API server takes "True" for true and Maintaning for Maintaining, and
nobody would learn that the players were not spared. What means nothing changes nothing, and is told
in the condition AnnotationsValid. A state of one's own is never wrong by itself; it is taken for a
slip where it looks like a well-known one and no server is in it.

Not here: the annotations that are read when a pod is built (`pod`, `security_profile`).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.api import names
from shared.api.meta import LABEL_VALUE_PATTERN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_KNOWN_STATES = (
    names.OPS_STATE_NONE,
    names.OPS_STATE_WAIT_TO_BE_DELETED,
    names.OPS_STATE_MAINTAINING,
    names.OPS_STATE_ALLOCATED,
    names.OPS_STATE_KILL,
)
# Two swapped letters of None have 0.75, as difflib counts; Draining and Maintaining have 0.63.
_ALIKE = 0.75
# Maintenance is meant for Maintaining, and Allocating for Allocated.
_BEGINNING = 5
# An opsState is mirrored into a label.
_MAX_STATE = 63
_SWITCHES = (names.PAUSED_ANNOTATION, names.PROTECT_ANNOTATION, names.MARKER_ANNOTATION)
_AGENT_CHOICES = ("auto", "always", "never")


@dataclass(frozen=True, slots=True)
class AnnotationProblem:
    """A value, or a part of it, that means nothing; it is ignored and shown in a condition."""

    path: str
    message: str


def is_on(annotations: Mapping[str, str], name: str) -> bool:
    """Tell whether a switch is on; every text but "true" leaves it off."""
    return annotations.get(name) == "true"


def parse_update_states(annotations: Mapping[str, str]) -> frozenset[str] | None:
    """Return the only opsStates in which servers are updated, None for all."""
    text = annotations.get(names.UPDATE_OPS_STATES_ANNOTATION)
    return None if text is None else frozenset(_parts(text))


def annotation_problems(
    annotations: Mapping[str, str], present: Collection[str]
) -> tuple[AnnotationProblem, ...]:
    """Return what means nothing.

    Args:
        annotations: of the set.
        present: the opsStates that its servers are in.
    """
    found = []
    for name in _SWITCHES:
        text = annotations.get(name, "true")
        if text not in ("true", "false"):
            message = f'{text!r} is neither "true" nor "false", so it is off'
            found.append(AnnotationProblem(_path(name), message))
    agent = annotations.get(names.AGENT_ANNOTATION, "auto")
    if agent not in _AGENT_CHOICES:
        message = f"{agent!r} is none of {', '.join(_AGENT_CHOICES)}, so it is auto"
        found.append(AnnotationProblem(_path(names.AGENT_ANNOTATION), message))
    states = annotations.get(names.UPDATE_OPS_STATES_ANNOTATION)
    if states is not None:
        path = _path(names.UPDATE_OPS_STATES_ANNOTATION)
        found += [AnnotationProblem(path, message) for message in _slips(states, present)]
    return tuple(found)


def _slips(text: str, present: Collection[str]) -> Iterator[str]:
    parts = _parts(text)
    if not parts:
        yield "it names no opsState, so nobody is updated; name some, or remove it"
    for part in parts:
        if re.fullmatch(LABEL_VALUE_PATTERN, part) is None or len(part) > _MAX_STATE:
            yield f"{part!r} is no label value, so it is nobody's opsState; separate them by commas"
        elif part not in _KNOWN_STATES and part not in present:
            meant = _alike(part)
            if meant is not None:
                yield f"no server is in the opsState {part!r}; write {meant} if that is meant"


def _alike(state: str) -> str | None:
    """Return the well-known opsState that this one looks like, None when it looks like none."""
    folded = state.casefold()
    for known in _KNOWN_STATES:
        like = known.casefold()
        begins_alike = folded[:_BEGINNING] == like[:_BEGINNING]
        if begins_alike or difflib.SequenceMatcher(None, folded, like).ratio() >= _ALIKE:
            return known
    return None


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for raw in text.split(",") if (part := raw.strip()))


def _path(name: str) -> str:
    return f"metadata.annotations[{name}]"
