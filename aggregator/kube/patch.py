"""Patches as values: what is to change, and the content type that says how to read it. Pure.

A JSON patch (RFC 6902) carries its own preconditions as `test` operations and is done whole or not
at all; a merge patch (RFC 7396) sets what it names and removes what it sets to null.
NB: in a test module write `from aggregator.kube import patch`; pytest collects a bare `test`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

Operation = dict[str, Any]

_EMPTY = "an empty patch writes nothing: do not send one"


@dataclass(frozen=True, slots=True)
class JsonPatch:
    """Operations in the order in which they are done; at least one."""

    operations: tuple[Operation, ...]

    content_type: ClassVar[str] = "application/json-patch+json"

    def __post_init__(self) -> None:
        if not self.operations:
            raise ValueError(_EMPTY)

    @property
    def body(self) -> list[Operation]:
        """The request body."""
        return list(self.operations)

    @property
    def has_tests(self) -> bool:
        """Whether it can fail because the object is not as expected."""
        return any(operation["op"] == "test" for operation in self.operations)


@dataclass(frozen=True, slots=True)
class MergePatch:
    """The fields to set, at least one; None removes a field. Lists are replaced whole."""

    document: dict[str, Any]

    content_type: ClassVar[str] = "application/merge-patch+json"

    def __post_init__(self) -> None:
        if not self.document:
            raise ValueError(_EMPTY)

    @property
    def body(self) -> dict[str, Any]:
        """The request body."""
        return self.document

    @property
    def has_tests(self) -> bool:
        """A merge patch has no tests; a resourceVersion in its metadata does that, with 409."""
        return False


Patch = JsonPatch | MergePatch


def pointer(*segments: str | int) -> str:
    """Return the JSON pointer (RFC 6901) of the path `segments`, escaped; `-` is the end of a list.

    For example `pointer("metadata", "labels", "a/b")` is `/metadata/labels/a~1b`.
    """
    escaped = (str(segment).replace("~", "~0").replace("/", "~1") for segment in segments)
    return "".join(f"/{segment}" for segment in escaped)


def test(path: str, value: Any) -> Operation:
    """Fail the whole patch unless the value at `path` is there and equals `value`."""
    return {"op": "test", "path": path, "value": value}


def add(path: str, value: Any) -> Operation:
    """Set a member of an object, there or not, or insert into a list; its parent must be there."""
    return {"op": "add", "path": path, "value": value}


def replace(path: str, value: Any) -> Operation:
    """Set a value that must be there already."""
    return {"op": "replace", "path": path, "value": value}


def remove(path: str) -> Operation:
    """Remove a value that must be there."""
    return {"op": "remove", "path": path}
