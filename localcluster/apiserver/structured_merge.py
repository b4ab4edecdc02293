"""Two objects under one schema: merging the second into the first, and taking fields out. Pure.

Server-side apply does both: the configuration is merged into the live object, then what the same
manager applied before and no longer does is taken out. Neither changes its arguments.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy and
sigs.k8s.io/structured-merge-diff typed/merge.go, typed/remove.go
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.apiserver.fieldsets import MEMBER, Node, children

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object

_Part = tuple[str, Any]


def merge(schema: Object, live: Any, applied: Any) -> Any:
    """Return `live` with every field of `applied` set; items of lists match by their keys."""
    before, after = children(schema, live), children(schema, applied)
    if before is None or after is None or isinstance(live, dict) != isinstance(applied, dict):
        return applied
    schemas = {element: part_schema for element, part_schema, _ in after}
    old = {element: part for element, _, part in before}
    new = {
        element: merge(schemas[element], old[element], part) if element in old else part
        for element, _, part in after
    }
    return _rebuilt(live, _interleaved(old, new))


def _interleaved(old: dict[str, Any], new: dict[str, Any]) -> list[_Part]:
    """Return all parts: those of `new` in its order, the others where they stood among them."""
    left, right = list(old), list(new)
    placed: list[_Part] = []
    done: set[str] = set()
    while left or right:
        if left and (left[0] in done or left[0] not in new):
            element = left.pop(0)
            if element not in done:
                placed.append((element, old[element]))
        else:
            # What is left of `old` comes again in `new`, so there is a right one.
            element = right.pop(0)
            placed.append((element, new[element]))
            done.add(element)
    return placed


def remove(schema: Object, value: Any, doomed: Node, owned: Node) -> Any:
    """Return `value` without the doomed fields.

    Args:
        schema: of the value.
        value: a map or a list with keys.
        doomed: fieldsV1 of what goes.
        owned: fieldsV1 of what others own and therefore stays, even within a doomed field.
    """
    kept: list[_Part] = []
    for element, part_schema, part in children(schema, value) or ():
        due, others = doomed.get(element), owned.get(element)
        if due is None:
            kept.append((element, part))
        elif _is_member(due):
            if others is not None:
                kept.append((element, _extract(part_schema, part, others)))
        else:
            rest = remove(part_schema, part, due, others or {})
            # An emptied map was there only for what it held.
            if rest or not part or (others is not None and _is_member(others)):
                kept.append((element, rest))
    return _rebuilt(value, kept)


def _extract(schema: Object, value: Any, owned: Node) -> Any:
    """Return the part of `value` that is owned."""
    parts = children(schema, value)
    if parts is None or not owned:
        return value
    return _rebuilt(
        value,
        [
            (element, _extract(part_schema, part, owned[element]))
            for element, part_schema, part in parts
            if element in owned
        ],
    )


def _is_member(node: Node) -> bool:
    return not node or MEMBER in node


def _rebuilt(model: Any, parts: list[_Part]) -> Any:
    """Return a map or list like `model` of these parts."""
    if isinstance(model, dict):
        return {element.removeprefix("f:"): part for element, part in parts}
    return [part for _, part in parts]
