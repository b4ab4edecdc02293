"""One CEL rule from its declaration: parsed, its names checked against the schema. Pure.

The library parses but does not check types. What it can tell of a rule, the names of its variables
and functions, is checked here, and of the fields those that hang on `self` and `oldSelf`. Types are
found by trying the rule on a sample of the schema: CEL is typed, so one result tells of all.

Source: k8s.io/apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go
(ValidateCustomResourceDefinitionOpenAPISchema, rule, message, fieldPath, reason)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cel

from localcluster.apiserver.cel_functions import added_functions, unknown_functions
from localcluster.apiserver.cel_values import escaped, is_dynamic, sample, view
from localcluster.apiserver.errors import (
    Cause,
    invalid_value,
    required,
    unsupported_value,
)

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.schema import Schema

REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
# Names that stand for types and for namespaces of functions.
_GLOBALS = frozenset(
    {
        "self", "oldSelf", "int", "uint", "double", "bool", "string", "bytes", "list",
        "map", "type", "null_type", "timestamp", "duration", "optional", "math", "sets",
        "lists", "strings", "base64",
    }
)  # fmt: skip
_STRING = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")
_BOUND = re.compile(r"\.(?:all|exists|exists_one|existsOne|map|filter)\(\s*([A-Za-z_]\w*)\s*,")
# A path of fields from self, and whether its last name is a function that is called.
_FIELDS = re.compile(r"(?<![\w.])(?:self|oldSelf)((?:\.[A-Za-z_]\w*)+)\s*(\(?)")


class Program:
    """A compiled expression with the functions it needs.

    Args:
        source: the expression.

    Raises:
        ValueError: it is no CEL, or it names something that does not exist.
    """

    def __init__(self, source: str) -> None:
        self.source = source.strip()
        self._program = cel.compile(self.source)
        functions = self._program.functions()
        unknown = unknown_functions(functions)
        if unknown:
            raise ValueError(f"undeclared reference to '{unknown[0]}' (in container '')")
        names = set(self._program.variables())
        bound = set(_BOUND.findall(_STRING.sub("''", self.source)))
        strange = sorted(names - bound - _GLOBALS)
        if strange:
            raise ValueError(f"undeclared reference to '{strange[0]}' (in container '')")
        self.uses_old = "oldSelf" in names
        self._context = cel.Context(functions=added_functions(functions))

    def evaluate(self, variables: Object) -> Any:
        """Return the value of the expression.

        Raises:
            ArithmeticError, KeyError, IndexError, TypeError, ValueError, RuntimeError: as CEL's
                division by zero, missing key, index, overload, conversion and the rest.
        """
        for name, value in variables.items():
            self._context.add_variable(name, value)
        return self._program.execute(self._context)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule that compiled.

    Args:
        program: the rule.
        message_program: messageExpression, or None.
        uses_old: whether one of them names oldSelf.
    """

    program: Program
    message_program: Program | None
    uses_old: bool


def compile_rule(declared: Any, schema: Schema, path: str) -> tuple[Compiled | None, list[Cause]]:
    """Compile one entry of `x-kubernetes-validations`.

    Args:
        declared: the entry.
        schema: of the node it stands on, as rules see it.
        path: of the entry in its definition.

    Returns:
        The rule, or None and what is wrong with it.
    """
    if not isinstance(declared, dict) or not str(declared.get("rule") or "").strip():
        return None, [required(f"{path}.rule", "rule is not specified")]
    causes = _other_causes(declared, schema, path)
    program = _program(declared["rule"], schema, f"{path}.rule", causes, bool)
    message_program = None
    if declared.get("messageExpression"):
        field = f"{path}.messageExpression"
        message_program = _program(declared["messageExpression"], schema, field, causes, str)
    if causes or program is None:
        return None, causes
    uses_old = program.uses_old or bool(message_program and message_program.uses_old)
    return Compiled(program, message_program, uses_old), []


def _program(
    source: Any, schema: Schema, field: str, causes: list[Cause], result: type
) -> Program | None:
    """Compile an expression whose value is a `result`; say in `causes` why it is refused."""
    try:
        program = Program(str(source))
    except ValueError as error:
        line = " ".join(str(error).split())
        causes.append(invalid_value(field, source, f"compilation failed: {line}"))
        return None
    missing = undeclared_field(schema, program.source)
    why = f"undefined field '{missing}'" if missing else _mistyped(program, schema, result)
    if why is not None:
        causes.append(invalid_value(field, source, f"compilation failed: {why}"))
        return None
    return program


def _mistyped(program: Program, schema: Schema, result: type) -> str | None:
    """Try an expression on a sample of its schema; say so if its types do not fit."""
    value = view(schema, sample(schema))
    # What is not written for an optional oldSelf takes it for a plain one.
    old = cel.OptionalValue.of(value) if ".hasValue()" in program.source else value
    try:
        tried = program.evaluate({"self": value, "oldSelf": old})
    except TypeError as error:
        return None if is_dynamic(schema) else f"found no matching overload: {error}"
    except (ArithmeticError, LookupError, RuntimeError, ValueError):
        # The sample's content is made up: an index or a number that is not there tells nothing.
        return None
    if isinstance(tried, result):
        return None
    return f"the expression must evaluate to a {'bool' if result is bool else 'string'}"


def _other_causes(declared: Object, schema: Schema, path: str) -> list[Cause]:
    causes: list[Cause] = []
    message = str(declared.get("message") or "")
    if "\n" in message.strip():
        causes.append(
            invalid_value(f"{path}.message", message, "message must not contain line breaks")
        )
    reason = declared.get("reason")
    if reason is not None and reason not in REASONS:
        causes.append(unsupported_value(f"{path}.reason", reason, REASONS))
    below = str(declared.get("fieldPath") or "")
    if below and not _is_declared(schema, below):
        why = "fieldPath must be a valid path: does not refer to a valid field"
        causes.append(invalid_value(f"{path}.fieldPath", below, why))
    return causes


def _is_declared(schema: Schema, path: str) -> bool:
    head, *names = path.split(".")
    return not head and _first_undeclared(schema, names) is None


def undeclared_field(schema: Schema, source: str) -> str | None:
    """Return a field after `self` or `oldSelf` that the schema does not declare, or None.

    Fields of other variables, and what follows a map or an int-or-string, are not looked at.
    """
    for match in _FIELDS.finditer(_STRING.sub("''", source)):
        names = match[1].strip(".").split(".")
        missing = _first_undeclared(schema, names[:-1] if match[2] else names)
        if missing is not None:
            return missing
    return None


def _first_undeclared(schema: Schema, names: list[str]) -> str | None:
    for name in names:
        if "type" not in schema or isinstance(schema.get("additionalProperties"), dict):
            return None
        declared = {
            escaped(each): child for each, child in (schema.get("properties") or {}).items()
        }
        if name not in declared:
            return name
        schema = declared[name]
    return None
