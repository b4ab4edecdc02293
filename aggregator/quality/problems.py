"""What is wrong with the service qualities of a set, whatever their probes say (SPEC 1.3). Pure.

What the schema cannot say is found here: a template that does not parse, a label that no object
can have, a container that is not in the template. Such a field is ignored and named, all else of
the set is followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.quality.fields import (
    CONTAINERS,
    SkippedField,
    action_fields,
    check_container,
    template_containers,
    value_problem,
)
from aggregator.quality.probes import QualityProblem, plan_probes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aggregator.quality.fields import Field
    from shared.api.gameserverset import GameServerSetSpec
    from shared.api.service_quality import ServiceQualityAction


def invalid_qualities(spec: GameServerSetSpec) -> tuple[QualityProblem, ...]:
    """Return every field of the qualities that is ignored, with its path and the remedy."""
    problems = list(plan_probes(spec).problems)
    known = template_containers(spec)
    for index, quality in enumerate(spec.service_qualities):
        for number, action in enumerate(quality.service_quality_action):
            path = f"spec.serviceQualities[{index}].serviceQualityAction[{number}]"
            problems += _invalid_fields(action, path)
            problems += _unknown_containers(action, path, known)
    return tuple(problems)


def _invalid_fields(action: ServiceQualityAction, path: str) -> Iterator[QualityProblem]:
    positions = {entry.name: index for index, entry in enumerate(action.containers)}
    for field, value in action_fields(action):
        problem = value_problem(field, value)
        if problem is not None:
            yield QualityProblem(f"{path}.{_path(field, positions)}", problem)


def _unknown_containers(
    action: ServiceQualityAction, path: str, known: frozenset[str]
) -> Iterator[QualityProblem]:
    for index, entry in enumerate(action.containers):
        try:
            check_container((CONTAINERS, entry.name), known)
        except SkippedField as skipped:
            yield QualityProblem(f"{path}.{CONTAINERS}[{index}].name", str(skipped))


def _path(field: Field, positions: dict[str, int]) -> str:
    """Return a field as it is written in the manifest."""
    if field[0] == CONTAINERS:
        _, container, part = field
        return f"{CONTAINERS}[{positions[container]}].{part}"
    return field[0] + "".join(f"[{key}]" for key in field[1:])
