"""The schemas of the built-in kinds, read once from kubernetes_types.json. Pure after that.

The file is written by scripts/kubernetes_types.py and holds OpenAPI definitions that refer to each
other. The verbs walk schemas next to objects and want no references, so `resolved` puts each
definition in the place of every reference to it: a graph of shared dictionaries, which is small as
long as nobody encodes it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from localcluster.apiserver.objects import Object

_FILE = Path(__file__).with_name("kubernetes_types.json")
_REFERENCE = "#/components/schemas/"


class _Types(msgspec.Struct):
    kinds: dict[str, str]
    definitions: dict[str, Object]


@cache
def _types() -> _Types:
    return msgspec.json.decode(_FILE.read_bytes(), type=_Types)


def definition_name(api_version: str, kind: str) -> str | None:
    """Return the name of a kind's definition, or None for a kind without a schema."""
    return _types().kinds.get(f"{api_version}/{kind}")


def resolved(api_version: str, kind: str) -> Object:
    """Return a kind's schema without references; empty for a kind without a schema.

    NB: the parts are shared and are not to be changed.
    """
    name = definition_name(api_version, kind)
    return {} if name is None else _resolved(name)


def definition(name: str) -> Object:
    """Return one definition, with its references."""
    found: Object = _types().definitions[name]
    return found


def definitions_below(name: str) -> Object:
    """Return all definitions that one refers to, directly or not, by name."""
    found: Object = {}
    due = _references(_types().definitions[name])
    while due:
        name = due.pop()
        if name not in found:
            found[name] = _types().definitions[name]
            due += _references(found[name])
    return found


@cache
def _resolved(name: str) -> Object:
    schema: Object = _replaced(_types().definitions[name])
    return schema


def _replaced(value: Any) -> Any:
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _resolved(value["$ref"].removeprefix(_REFERENCE))
    own = {key: _replaced(child) for key, child in value.items() if key != "allOf"}
    if "allOf" not in value:
        return own
    # A reference with a description beside it.
    (described,) = value["allOf"]
    return {**_replaced(described), **own}


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for item in value for name in _references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"].removeprefix(_REFERENCE)] if "$ref" in value else []
    return own + [name for child in value.values() for name in _references(child)]
