"""The CEL rules of a schema (`x-kubernetes-validations`): compiled once, evaluated at every node.

Compiling walks the schema and keeps only the nodes at or above a rule; evaluating walks an object
along them, at any depth, list items and map values included. A rule that names `oldSelf` runs only
where an earlier value exists at the same place, and a rule that does not is skipped where nothing
changed since (ratcheting), so that a stricter definition does not block writes to other fields.

Rules run in the order and with the causes of the real server. Not here: the estimate of their cost.
The library does not know optional fields (`self.?a`) and two-variable macros; rules that use them
are refused. Pure, as far as the outside can tell: a rule keeps its context between calls.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
and k8s.io/apiextensions-apiserver pkg/apiserver/schema/cel/validation.go (messages)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import cel

from localcluster.apiserver.cel_compile import Program, compile_rule
from localcluster.apiserver.cel_values import root_schema, view
from localcluster.apiserver.errors import Cause, shown
from localcluster.apiserver.objects import Object, dig, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcluster.apiserver.schema import Schema

# What an expression can raise while it is evaluated (the library maps CEL's errors to these).
_EVALUATION_ERRORS = (
    ArithmeticError, KeyError, IndexError, TypeError, ValueError, RuntimeError
)  # fmt: skip
# The words before the message, by the rule's `reason`.
_WORDS = {
    "FieldValueForbidden": "Forbidden",
    "FieldValueRequired": "Required value",
}


class _Absent:
    """There is no earlier value to compare with."""


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `x-kubernetes-validations`.

    Args:
        program: the rule; it holds where this is true.
        message: says what to do; empty stands for the rule itself.
        message_program: makes a better message; None for none.
        reason: of the cause.
        path: below the node, where the cause is reported; begins with a dot, or is empty.
        transition: whether the rule compares with the earlier value.
        optional_old: whether it also runs where there is none; oldSelf is an optional then.
    """

    program: Program
    message: str
    message_program: Program | None
    reason: str
    path: str
    transition: bool
    optional_old: bool


@dataclass(slots=True)
class RuleNode:
    """A node of a schema that has rules, or has nodes with rules below it.

    Args:
        schema: of the node, as its rules see it.
        rules: of the node itself.
        properties: by name.
        extra: additionalProperties.
        items: of a list.
    """

    schema: Schema
    rules: tuple[Rule, ...] = ()
    properties: dict[str, RuleNode] = field(default_factory=dict)
    extra: RuleNode | None = None
    items: RuleNode | None = None


def compile_rules(schema: Schema, path: str) -> tuple[RuleNode | None, list[Cause]]:
    """Compile every rule of the schema of a whole object.

    Args:
        schema: structural.
        path: of the schema in its definition, for causes.

    Returns:
        The rules, None where there are none; and what is wrong with those that do not compile.
    """
    causes: list[Cause] = []
    node = _compile_node(schema, root_schema(schema), path, causes, correlated=True)
    return node, causes


def _compile_node(
    schema: Schema, seen: Schema, path: str, causes: list[Cause], *, correlated: bool
) -> RuleNode | None:
    """Compile what is at and below a node.

    Args:
        schema: of the node.
        seen: the same as its rules see it.
        path: of the node in its definition.
        causes: receives what does not compile.
        correlated: whether a value here can be found again in an older object.
    """
    node = RuleNode(seen, tuple(_own_rules(schema, seen, path, causes, correlated=correlated)))
    for name, child in (schema.get("properties") or {}).items():
        below = _compile_node(
            child, child, f"{path}.properties[{name}]", causes, correlated=correlated
        )
        if below is not None:
            node.properties[name] = below
    extra, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(extra, dict):
        at = f"{path}.additionalProperties"
        node.extra = _compile_node(extra, extra, at, causes, correlated=correlated)
    if isinstance(items, dict):
        kept = correlated and schema.get("x-kubernetes-list-type") == "map"
        node.items = _compile_node(items, items, f"{path}.items", causes, correlated=kept)
    empty = not (node.rules or node.properties or node.extra or node.items)
    return None if empty else node


def _own_rules(
    schema: Schema, seen: Schema, path: str, causes: list[Cause], *, correlated: bool
) -> Iterator[Rule]:
    for number, declared in enumerate(schema.get("x-kubernetes-validations") or []):
        at = f"{path}.x-kubernetes-validations[{number}]"
        compiled, wrong = compile_rule(declared, seen, at)
        causes += wrong
        if compiled is None:
            continue
        if compiled.uses_old and not correlated:
            why = (
                f"oldSelf cannot be used on the uncorrelatable portion of the schema within {path}"
            )
            cause = f"Invalid value: {shown(declared['rule'])}: {why}"
            causes.append(Cause("FieldValueInvalid", f"{at}.rule", cause))
            continue
        yield Rule(
            compiled.program,
            str(declared.get("message") or "").strip(),
            compiled.message_program,
            declared.get("reason") or "FieldValueInvalid",
            declared.get("fieldPath") or "",
            compiled.uses_old,
            bool(declared.get("optionalOldSelf")),
        )


def check(node: RuleNode, value: Any, old: Any, path: str = "") -> Iterator[Cause]:
    """Yield the rules that `value` breaks.

    Args:
        node: the rules.
        value: of the node.
        old: the value it replaces, or ABSENT.
        path: of the node in its object.
    """
    if value is None:
        # A rule about null belongs to the node above, which sees it.
        return
    if node.rules:
        yield from _check_node(node, value, old, path)
    if isinstance(value, dict):
        yield from _check_fields(node, value, old, path)
    elif isinstance(value, list) and node.items is not None:
        for index, (item, before) in enumerate(_correlated(node, value, old)):
            yield from check(node.items, item, before, f"{path}[{index}]")


def _check_fields(node: RuleNode, value: Object, old: Any, path: str) -> Iterator[Cause]:
    older = old if isinstance(old, dict) else {}
    for name, item in value.items():
        before = older.get(name, ABSENT)
        if name in node.properties:
            at = f"{path}.{name}" if path else name
            yield from check(node.properties[name], item, before, at)
        elif node.extra is not None:
            yield from check(node.extra, item, before, f"{path}[{name}]")


def _correlated(node: RuleNode, value: list[Any], old: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each item with the one it replaces, or ABSENT."""
    keys = node.schema.get("x-kubernetes-list-map-keys")
    if value == old:
        yield from zip(value, value, strict=True)
    elif keys and isinstance(old, list):
        older = {_identity(item, keys): item for item in old}
        for item in value:
            yield item, older.get(_identity(item, keys), ABSENT)
    else:
        # Items of a set or an atomic list have no identity that an update keeps.
        yield from ((item, ABSENT) for item in value)


def _identity(item: Any, keys: list[str]) -> bytes:
    return encode([dig(item, key) for key in keys])


def _check_node(node: RuleNode, value: Any, old: Any, path: str) -> Iterator[Cause]:
    changed = old is ABSENT or old is None or value != old
    absent = old is ABSENT or old is None
    due = [
        rule
        for rule in node.rules
        if (rule.optional_old or not absent if rule.transition else changed)
    ]
    if not due:
        return
    seen = view(node.schema, value)
    before = None if absent else view(node.schema, old)
    for rule in due:
        variables = {"self": seen}
        if rule.optional_old:
            some, none = cel.OptionalValue.of, cel.OptionalValue.none
            variables["oldSelf"] = none() if absent else some(before)
        elif rule.transition:
            variables["oldSelf"] = before
        cause = _broken(rule, variables, str(node.schema.get("type") or ""), path)
        if cause is not None:
            yield cause


def _broken(rule: Rule, variables: Object, kind: str, path: str) -> Cause | None:
    try:
        if rule.program.evaluate(variables) is True:
            return None
    except _EVALUATION_ERRORS as error:
        told = rule.message or rule.program.source
        return Cause(
            "FieldValueInvalid", path, f"Invalid value: {shown(kind)}: {_said(error, told)}"
        )
    message = _message(rule, variables)
    at = f"{path}{rule.path}" if path else rule.path.lstrip(".")
    if rule.reason == "FieldValueDuplicate":
        return Cause(rule.reason, at, f"Duplicate value: {shown(kind)}")
    words = _WORDS.get(rule.reason, f"Invalid value: {shown(kind)}")
    return Cause(rule.reason, at, f"{words}: {message}")


def _said(error: Exception, rule: str) -> str:
    if isinstance(error, TypeError):
        return (
            "'no such overload': call arguments did not match a supported operator, "
            f"function or macro signature for rule: {rule}"
        )
    what = f"no such key: {error.args[0]}" if isinstance(error, KeyError) else str(error)
    return f"{what} evaluating rule: {rule}"


def _message(rule: Rule, variables: Object) -> str:
    fallback = rule.message or f"failed rule: {rule.program.source}"
    if rule.message_program is None:
        return fallback
    try:
        made = rule.message_program.evaluate(variables)
    except _EVALUATION_ERRORS:
        # The real server logs this and falls back too: the object is what was judged.
        return fallback
    usable = isinstance(made, str) and made.strip() and "\n" not in made
    return made.strip() if usable else fallback
