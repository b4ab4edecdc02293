"""The part of JSONPath that printer columns use. Pure.

Understood: `.a.b`, `['a.b']`, `[0]`, `[-1]`, `[*]` and the filter `[?(@.type=="Ready")]`, each
    after the other.

Source: https://kubernetes.io/docs/reference/kubectl/jsonpath/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from localcluster.apiserver.objects import dig

if TYPE_CHECKING:
    from collections.abc import Callable

Step: TypeAlias = "Callable[[Any], list[Any]]"

_STEP = re.compile(
    r"""
    \.(?P<name>(?:\\.|[^.\[\]\\])+)
    | \[\s*'(?P<quoted>[^']*)'\s*\]
    | \[\s*"(?P<double>[^"]*)"\s*\]
    | \[\s*(?P<index>-?\d+)\s*\]
    | (?P<all>\[\s*\*\s*\]|\.\*)
    | \[\?\( \s* @\.(?P<key>[\w.\-]+) \s* (?P<operator>==|!=) \s*
      (?P<literal>'[^']*'|"[^"]*"|[\w.\-]+) \s* \)\]
    """,
    re.VERBOSE,
)


class JsonPath:
    """A compiled path.

    Args:
        text: for example `.status.conditions[?(@.type=="Ready")].status`.

    Raises:
        ValueError: the text uses something outside the part that is understood.
    """

    def __init__(self, text: str) -> None:
        self._steps: list[Step] = []
        position = 0
        source = text.strip().removeprefix("{").removesuffix("}").removeprefix("$")
        while position < len(source):
            match = _STEP.match(source, position)
            if match is None:
                msg = (
                    f"{text!r}: cannot read {source[position:]!r}; "
                    "use .name, [index], [*] or [?(@.key=='value')]"
                )
                raise ValueError(msg)
            self._steps.append(_step(match))
            position = match.end()

    def find(self, value: Any) -> list[Any]:
        """Return every value the path reaches, in document order; empty where nothing is there."""
        values = [value]
        for step in self._steps:
            values = [found for each in values for found in step(each)]
        return values


def _step(match: re.Match[str]) -> Step:
    for group in ("name", "quoted", "double"):
        if match[group] is not None:
            return _child(re.sub(r"\\(.)", r"\1", match[group]))
    if match["index"] is not None:
        return _element(int(match["index"]))
    if match["all"] is not None:
        return _children
    return _filter(
        tuple(match["key"].split(".")), match["literal"].strip("'\""), match["operator"] == "!="
    )


def _child(name: str) -> Step:
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _element(index: int) -> Step:
    return lambda value: (
        [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []
    )


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _filter(path: tuple[str, ...], literal: str, negated: bool) -> Step:
    def step(value: Any) -> list[Any]:
        items = value if isinstance(value, list) else []
        return [item for item in items if (str(dig(item, *path)) == literal) != negated]

    return step
