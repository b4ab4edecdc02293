"""Renders a parsed template with the result of a probe (SPEC 4.7). Pure.

As Go's text/template does it, with one difference: where both sides of a comparison are numeric,
be they literals or texts, they compare as numbers. Go would order "9" after "10" as texts, and
refuse to compare a text with a number at all. So `gt .Result "90"` and `gt .Result 90` are the
same for every result that is a number.
Source: https://pkg.go.dev/text/template#hdr-Functions
"""

from __future__ import annotations

import operator
import re
from decimal import Decimal
from typing import TYPE_CHECKING, assert_never

from aggregator.quality.template.literals import format_number
from aggregator.quality.template.syntax import (
    Call,
    Expression,
    If,
    Literal,
    Output,
    RenderError,
    Result,
    Text,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aggregator.quality.template.syntax import Node, Template

MAX_OUTPUT = 8192
"""Characters that a template may render; no object needs a longer value."""
_MAX_SHOWN = 32
# A number that a probe prints. NB: float() alone accepts "nan", "1_000" and digits of other
# scripts; an exponent of more digits is no measurement.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_ORDERS: dict[str, Callable[[Decimal | str, Decimal | str], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def render(template: Template, result: str) -> str:
    """Return the text of a template for a result.

    Args:
        template: parsed.
        result: cleaned.

    Raises:
        RenderError: values cannot be compared, or the text would be too long.
    """
    parts: list[str] = []
    room = MAX_OUTPUT
    for part in _render(template.nodes, result):
        room -= len(part)
        if room < 0:
            raise RenderError(f"renders more than {MAX_OUTPUT} characters")
        parts.append(part)
    return "".join(parts)


def _render(nodes: Iterable[Node], result: str) -> Iterator[str]:
    for node in nodes:
        match node:
            case Text(text):
                yield text
            case Output(expression):
                yield _print(_evaluate(expression, result))
            case If():
                yield from _render(_chosen(node, result), result)
            case _:
                assert_never(node)


def _chosen(node: If, result: str) -> tuple[Node, ...]:
    for branch in node.branches:
        if _is_true(_evaluate(branch.condition, result)):
            return branch.body
    return node.otherwise


def _evaluate(expression: Expression, result: str) -> Value:
    match expression:
        case Result():
            return result
        case Literal(value):
            return value
        case Call("and" | "or" as function, arguments):
            # They return the argument that decides, and do not look at those behind it.
            for argument in arguments[:-1]:
                value = _evaluate(argument, result)
                if _is_true(value) is (function == "or"):
                    return value
            return _evaluate(arguments[-1], result)
        case Call(function, arguments):
            return _apply(function, [_evaluate(argument, result) for argument in arguments])
        case _:
            assert_never(expression)


def _apply(function: str, values: list[Value]) -> bool:
    match function:
        case "not":
            return not _is_true(values[0])
        case "eq":
            return _is_any(values[0], values[1:])
        case "ne":
            return not _is_any(values[0], values[1:])
        case _:
            return _is_ordered(function, values[0], values[1])


def _is_any(value: Value, others: list[Value]) -> bool:
    """Tell whether a value equals one of the others; those behind the first equal one are free."""
    number = _as_number(value)
    for other in others:
        other_number = _as_number(other)
        if number is not None and other_number is not None:
            equal = number == other_number
        elif type(value) is type(other):
            equal = value == other
        else:
            raise _incomparable(value, other)
        if equal:
            return True
    return False


def _is_ordered(function: str, left: Value, right: Value) -> bool:
    compare = _ORDERS[function]
    left_number, right_number = _as_number(left), _as_number(right)
    if left_number is not None and right_number is not None:
        return compare(left_number, right_number)
    if isinstance(left, str) and isinstance(right, str):
        # Code points have the order of the bytes that Go compares.
        return compare(left, right)
    raise _incomparable(left, right)


def _as_number(value: Value) -> Decimal | None:
    """Return the exact number that a value is; None when it is no number."""
    match value:
        case bool():
            return None
        case int():
            return Decimal(value)
        case float():
            # As it is written: 0.1 is a tenth here and no sum of powers of two.
            return Decimal(repr(value))
        case str():
            return Decimal(value) if _NUMBER.fullmatch(value) else None
        case _:
            assert_never(value)


def _incomparable(left: Value, right: Value) -> RenderError:
    return RenderError(f"{_describe(left)} cannot be compared with {_describe(right)}")


def _describe(value: Value) -> str:
    if isinstance(value, str):
        shown = value if len(value) <= _MAX_SHOWN else f"{value[: _MAX_SHOWN - 1]}…"
        return f"the text {shown!r}"
    return f"{'the truth value' if isinstance(value, bool) else 'the number'} {_print(value)}"


def _is_true(value: Value) -> bool:
    """Tell whether a value counts as true: the empty text, 0 and false do not."""
    return bool(value)


def _print(value: Value) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case _:
            return format_number(value)
