"""The parts of a parsed template, and what can be wrong with one. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

Value = str | int | float | bool


class TemplateError(Exception):
    """A template that does not parse, with the place where it stops making sense.

    Args:
        line: from 1.
        column: in characters, from 1.
        message: what is wrong there and what would be right.
    """

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column
        self.message = message


class RenderError(Exception):
    """A template that parses and yet has no value for this result; one line says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """`.Result`: the cleaned result of the probe."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A string or a number."""

    value: Value


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments; their number is right."""

    function: str
    arguments: tuple[Expression, ...]


Expression = Result | Literal | Call


@dataclass(frozen=True, slots=True)
class Text:
    """Characters outside of actions, with the trimming done."""

    text: str


@dataclass(frozen=True, slots=True)
class Output:
    """An action that prints a value."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Branch:
    """A condition and what is rendered when it is the first that holds."""

    condition: Expression
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class If:
    """`if`, any number of `else if`, and an `else` that may be empty."""

    branches: tuple[Branch, ...]
    otherwise: tuple[Node, ...] = ()


Node = Text | Output | If


@dataclass(frozen=True, slots=True)
class Template:
    """A template that parsed."""

    nodes: tuple[Node, ...]
