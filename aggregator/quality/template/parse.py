"""Parses a template (SPEC 4.7). Pure.

    template   = { text | comment | output | if }
    output     = "{{" expression "}}"
    if         = "{{" "if" expression "}}" template
                 { "{{" "else" "if" expression "}}" template }
                 [ "{{" "else" "}}" template ]
                 "{{" "end" "}}"
    expression = function operand { operand } | operand
    operand    = ".Result" | string | number | character | "(" expression ")"
    function   = "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "and" | "or" | "not"

A subset of https://pkg.go.dev/text/template: what Go refuses is refused here too, and what it
refuses only when it runs (a wrong number of arguments) is refused at once. The cost is linear in
the length; length and depth have bounds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from aggregator.quality.template.literals import parse_number, unquote, unquote_character
from aggregator.quality.template.syntax import (
    Branch,
    Call,
    Expression,
    If,
    Literal,
    Node,
    Output,
    Result,
    Template,
    TemplateError,
    Text,
)
from aggregator.quality.template.tokens import Kind, Token, error_at, tokenise

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CHARACTERS = 4096
"""Of a template; the schema allows 1024 for opsState and priorities."""
MAX_DEPTH = 32
"""Of `if` within `if`, and of parentheses within parentheses."""

# Function -> the least and the most arguments; None is no limit.
_ARITY: dict[str, tuple[int, int | None]] = {
    "eq": (2, None),
    "ne": (2, 2),
    "lt": (2, 2),
    "le": (2, 2),
    "gt": (2, 2),
    "ge": (2, 2),
    "and": (1, None),
    "or": (1, None),
    "not": (1, 1),
}
_LITERALS: dict[Kind, Callable[[str], str | float]] = {
    Kind.STRING: unquote,
    Kind.NUMBER: parse_number,
    Kind.CHARACTER: unquote_character,
}
# A fleet has a few templates and each is rendered at every edge.
_REMEMBERED = 1024


def is_template(value: str) -> bool:
    """Tell whether a value has an action; without one it is written as it is."""
    return "{{" in value


@lru_cache(maxsize=_REMEMBERED)
def parse_template(text: str) -> Template:
    """Return the parsed template.

    Raises:
        TemplateError: with the line and column of what is not in the grammar.
    """
    if len(text) > MAX_CHARACTERS:
        raise TemplateError(1, MAX_CHARACTERS + 1, f"longer than {MAX_CHARACTERS} characters")
    parser = _Parser(text)
    nodes = parser.body(0)
    parser.expect_end()
    return Template(nodes)


class _Parser:
    """Recursive descent over the tokens; each method leaves the next token unread."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokenise(text))
        self._index = 0

    def body(self, depth: int) -> tuple[Node, ...]:
        """Read nodes up to an `else`, an `end` or the end of the template."""
        nodes: list[Node] = []
        while (token := self._peek()).kind is not Kind.END:
            if token.kind is Kind.TEXT:
                self._index += 1
                nodes.append(Text(token.text))
                continue
            word = self._peek(1)
            if word.kind is Kind.WORD and word.text in ("else", "end"):
                break
            self._index += 1
            if word.kind is Kind.WORD and word.text == "if":
                nodes.append(self._if(depth + 1))
            else:
                nodes.append(Output(self._whole_expression()))
        return tuple(nodes)

    def expect_end(self) -> None:
        """Refuse an `else` or `end` that belongs to no `if`."""
        if self._peek().kind is not Kind.END:
            word = self._peek(1)
            raise self._error(word, f"{word.text} without an if")

    def _if(self, depth: int) -> If:
        opening = self._next()
        if depth > MAX_DEPTH:
            raise self._error(opening, f"more than {MAX_DEPTH} ifs within each other")
        branches = [Branch(self._whole_expression(), self.body(depth))]
        while (word := self._keyword(opening)).text == "else":
            following = self._peek()
            if following.kind is Kind.WORD and following.text == "if":
                self._index += 1
                branches.append(Branch(self._whole_expression(), self.body(depth)))
                continue
            self._close("else")
            otherwise = self.body(depth)
            word = self._keyword(opening)
            if word.text == "else":
                raise self._error(word, "an if has one else, and it comes last")
            self._close("end")
            return If(tuple(branches), otherwise)
        self._close("end")
        return If(tuple(branches))

    def _keyword(self, opening: Token) -> Token:
        """Read {{ and the `else` or `end` at which a body stopped."""
        if self._next().kind is Kind.END:
            raise self._error(opening, "this if has no {{end}}")
        return self._next()

    def _close(self, word: str) -> None:
        token = self._next()
        if token.kind is not Kind.CLOSE:
            raise self._error(token, f"unexpected {token.text} after {word}")

    def _whole_expression(self) -> Expression:
        """Read an expression and the end of its action."""
        expression = self._expression(Kind.CLOSE, 0)
        self._index += 1
        return expression

    def _expression(self, closing: Kind, depth: int) -> Expression:
        """Read an expression up to `closing`, which stays unread."""
        first = self._next()
        if first.kind is Kind.WORD:
            return self._call(first, closing, depth)
        expression = self._operand(first, depth)
        following = self._peek()
        if following.kind is not closing:
            raise self._error(
                following, f"unexpected {following.text}: only a function has arguments"
            )
        return expression

    def _call(self, function: Token, closing: Kind, depth: int) -> Call:
        if function.text not in _ARITY:
            raise self._error(function, _unknown(function.text))
        arguments = []
        while self._peek().kind is not closing:
            arguments.append(self._operand(self._next(), depth))
        least, most = _ARITY[function.text]
        if not least <= len(arguments) <= (most or len(arguments)):
            wanted = f"{least} argument{'s' if least > 1 else ''}" + ("" if most else " or more")
            raise self._error(function, f"{function.text} takes {wanted}, not {len(arguments)}")
        return Call(function.text, tuple(arguments))

    def _operand(self, token: Token, depth: int) -> Expression:
        if token.kind in (Kind.CLOSE, Kind.RIGHT):
            raise self._error(token, f"a value is missing before {token.text}")
        if not token.spaced:
            raise self._error(token, f"write a space before {token.text}")
        match token.kind:
            case Kind.FIELD if token.text == ".Result":
                return Result()
            case Kind.FIELD:
                raise self._error(token, f"{token.text} is not known: .Result is all there is")
            case Kind.LEFT:
                if depth == MAX_DEPTH:
                    raise self._error(token, f"more than {MAX_DEPTH} parentheses within each other")
                inner = self._expression(Kind.RIGHT, depth + 1)
                self._index += 1
                return inner
            case Kind.WORD if token.text in _ARITY:
                raise self._error(token, f"put {token.text} and its arguments into parentheses")
            case Kind.WORD:
                raise self._error(token, _unknown(token.text))
            case _:
                return self._literal(token)

    def _literal(self, token: Token) -> Literal:
        try:
            return Literal(_LITERALS[token.kind](token.text))
        except ValueError as error:
            raise self._error(token, f"{token.text} {error}") from None

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[self._index + ahead]

    def _next(self) -> Token:
        self._index += 1
        return self._tokens[self._index - 1]

    def _error(self, token: Token, message: str) -> TemplateError:
        return error_at(self._text, token.at, message)


def _unknown(word: str) -> str:
    functions = ", ".join(_ARITY)
    return f"{word} is not supported: the keywords are if, else and end, the functions {functions}"
