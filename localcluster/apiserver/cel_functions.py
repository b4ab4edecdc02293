"""The functions that Kubernetes' CEL has and the library lacks, as plain Python. Pure.

The library brings CEL's core; its `stdlib` brings the extensions that cel-go shares with
Kubernetes. Here are the list and regular-expression libraries of Kubernetes. Quantities, URLs and
IP addresses are left out: a rule that calls one of those is refused when its definition is created.

Source: https://kubernetes.io/docs/reference/using-api/cel/ (Kubernetes list library, regex library)
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from cel import stdlib

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What the library evaluates itself. It reports operators under names such as `_&&_`, which no rule
# can write, so those need no entry.
_NATIVE = frozenset(
    {
        "size", "has", "int", "uint", "double", "string", "bytes", "bool", "dyn", "type",
        "timestamp", "duration", "contains", "startsWith", "endsWith", "matches",
        "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek",
        "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
        "hasValue", "value", "orValue", "or", "optional", "of", "none", "ofNonZeroValue",
    }
)  # fmt: skip


def _is_sorted(items: list[Any]) -> bool:
    return all(left <= right for left, right in itertools.pairwise(items))


def _index_of(text: Any, wanted: Any, *start: int) -> int:
    if isinstance(text, list):
        return text.index(wanted) if wanted in text else -1
    return str(text).find(wanted, *start)


def _last_index_of(text: Any, wanted: Any, *start: int) -> int:
    if isinstance(text, list):
        return len(text) - 1 - text[::-1].index(wanted) if wanted in text else -1
    # A start counts from the left and names the last place where the match may begin.
    end = start[0] + len(wanted) if start else len(text)
    return str(text).rfind(wanted, 0, end)


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found.group() if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group() for match in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


_KUBERNETES: Mapping[str, Callable[..., Any]] = {
    "isSorted": _is_sorted,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "find": _find,
    "findAll": _find_all,
}
_ADDED: Mapping[str, Callable[..., Any]] = {**stdlib.STDLIB_FUNCTIONS, **_KUBERNETES}


def unknown_functions(names: list[str]) -> list[str]:
    """Return those of the functions a program calls that nobody defines, sorted.

    Args:
        names: as `cel.Program.functions` gives them: operators, and functions without the
            namespace before them.
    """
    known = _NATIVE | {name.rpartition(".")[2] for name in _ADDED}
    return sorted(name for name in names if name.isidentifier() and name not in known | {"_"})


def added_functions(names: list[str]) -> dict[str, Callable[..., Any]]:
    """Return the added functions a program may call: each one in its context costs time."""
    wanted = set(names)
    return {name: call for name, call in _ADDED.items() if name.rpartition(".")[2] in wanted}
