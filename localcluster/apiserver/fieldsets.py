"""Sets of fields: which part of an object somebody wrote. Pure.

A path is a tuple of elements in the notation of fieldsV1: `f:NAME` is a field, `k:{...}` an item of
a list whose items have keys, `v:VALUE` an element of a set. What counts as one field depends on the
schema: a list without declared keys, and a map declared atomic, are a single value.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy and
sigs.k8s.io/structured-merge-diff fieldpath, typed
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from localcluster.apiserver.objects import Object, encode

Path: TypeAlias = tuple[str, ...]
FieldSet: TypeAlias = frozenset[Path]
Node: TypeAlias = dict[str, Any]
"""fieldsV1: element -> what is below it; a member is empty or holds the key `.`."""

EMPTY: FieldSet = frozenset()
MEMBER = "."
# As many as there are shapes of objects at a time: objects of one owner share their fieldsV1.
_CACHED_SETS = 4096


@dataclass(frozen=True, slots=True)
class Changes:
    """How two objects differ.

    Args:
        changed: what is new or has another value.
        removed: what is gone.
    """

    changed: FieldSet
    removed: FieldSet


def children(schema: Object, value: Any) -> list[tuple[str, Object, Any]] | None:
    """Return element, schema and value of each part of a value; None for a single value."""
    if isinstance(value, dict):
        if schema.get("x-kubernetes-map-type") == "atomic":
            return None
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        other = extra if isinstance(extra, dict) else {}
        return [(f"f:{name}", properties.get(name, other), part) for name, part in value.items()]
    if not isinstance(value, list):
        return None
    items = schema.get("items") or {}
    list_type = schema.get("x-kubernetes-list-type")
    if list_type == "map":
        keys = schema["x-kubernetes-list-map-keys"]
        return [(_item_key(keys, items, item), items, item) for item in value]
    if list_type == "set":
        return [(f"v:{encode(item).decode()}", items, item) for item in value]
    return None


def _item_key(keys: list[str], items: Object, item: Any) -> str:
    declared = items.get("properties") or {}
    found = {}
    for key in sorted(keys):
        value = item.get(key) if isinstance(item, dict) else None
        value = declared.get(key, {}).get("default") if value is None else value
        if value is not None:
            found[key] = value
    return f"k:{encode(found).decode()}"


def fields_of(schema: Object, value: Any, *, containers: bool = False) -> FieldSet:
    """Return the fields of a value.

    Args:
        schema: of the value.
        value: an object or part of one.
        containers: whether maps and lists that hold fields are members too, as they are for whoever
            creates them; the one who applies owns only what is in them.
    """
    found: set[Path] = set()
    _collect(schema, value, (), found, containers=containers)
    return frozenset(found)


def _collect(schema: Object, value: Any, path: Path, found: set[Path], *, containers: bool) -> None:
    parts = children(schema, value)
    if path and (not parts or containers or path[-1].startswith("k:")):
        found.add(path)
    for element, part_schema, part in parts or ():
        _collect(part_schema, part, (*path, element), found, containers=containers)


def duplicate(schema: Object, value: Any, path: Path = ()) -> Path | None:
    """Return the path of a list item whose keys another item has too; None when there is none."""
    seen: set[str] = set()
    for element, part_schema, part in children(schema, value) or ():
        below = (*path, element)
        if element in seen:
            return below
        seen.add(element)
        deeper = duplicate(part_schema, part, below)
        if deeper is not None:
            return deeper
    return None


def compare(schema: Object, old: Any, new: Any) -> Changes:
    """Return what a write from `old` to `new` changed and removed."""
    changed: set[Path] = set()
    removed: set[Path] = set()
    _compare(schema, (old, new), (), changed, removed)
    return Changes(frozenset(changed), frozenset(removed))


def _compare(
    schema: Object, values: tuple[Any, Any], path: Path, changed: set[Path], removed: set[Path]
) -> None:
    if values[0] == values[1]:
        return
    before, after = (children(schema, value) for value in values)
    if before is None or after is None:
        changed.add(path)
        _collect(schema, values[1], path, changed, containers=True)
        return
    old = {element: part for element, _, part in before}
    new = {element for element, _, _ in after}
    for element, part_schema, part in after:
        below = (*path, element)
        if element in old:
            _compare(part_schema, (old[element], part), below, changed, removed)
        else:
            _collect(part_schema, part, below, changed, containers=True)
    for element, part_schema, part in before:
        if element not in new:
            _collect(part_schema, part, (*path, element), removed, containers=True)


def with_parents(fields: FieldSet) -> FieldSet:
    """Return `fields` and everything that contains them."""
    return frozenset(path[:length] for path in fields for length in range(1, len(path) + 1))


@lru_cache(_CACHED_SETS)
def to_fields_v1(fields: FieldSet) -> Node:
    """Return the fieldsV1 of a set. NB: the result is shared and is not to be changed."""
    root: Node = {}
    for path in sorted(fields):
        node = root
        for element in path:
            node = node.setdefault(element, {})
    for path in fields:
        node = root
        for element in path:
            node = node[element]
        if node:
            node[MEMBER] = {}
    return root


def from_fields_v1(node: Node) -> FieldSet:
    """Return the set that a fieldsV1 object describes.

    Raises:
        ValueError: it is no fieldsV1.
    """
    return _read(encode(node))


@lru_cache(_CACHED_SETS)
def _read(text: bytes) -> FieldSet:
    found: set[Path] = set()
    _read_node(msgspec.json.decode(text), (), found)
    return frozenset(found)


def _read_node(node: Any, path: Path, found: set[Path]) -> None:
    if not isinstance(node, dict):
        msg = f"{'/'.join(path)}: is no object"
        raise ValueError(msg)  # noqa: TRY004 - bad data, not a bad call
    if path and (not node or MEMBER in node):
        found.add(path)
    for element, below in node.items():
        if element == MEMBER:
            continue
        if element[:2] not in ("f:", "k:", "v:", "i:"):
            msg = f"{element}: is no element of a path"
            raise ValueError(msg)
        _read_node(below, (*path, element), found)


def text(path: Path) -> str:
    """Return a path as people write it: `.spec.containers[name="main"].image`."""
    return "".join(_element_text(element) for element in path)


def _element_text(element: str) -> str:
    kind, value = element[:2], element[2:]
    if kind == "f:":
        return f".{value}"
    if kind == "k:":
        keys = msgspec.json.decode(value)
        return f"[{','.join(f'{key}={encode(keys[key]).decode()}' for key in sorted(keys))}]"
    return f"[={value}]"
