"""Splits a template into text and the tokens of its actions. Pure, and linear in the text.

An action stands between {{ and }}. A minus beside a space inside of these marks, as in {{- x -}},
trims the space outside; a comment /* */ fills an action of its own.
Source: https://pkg.go.dev/text/template#hdr-Text_and_spaces
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from aggregator.quality.template.syntax import TemplateError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_SPACE = " \t\r\n"
_OPEN = "{{"
_LEFT_TRIM = re.compile(r"-[ \t\r\n]")
_INSIDE = re.compile(
    r"""
    (?P<close>(?P<trim>[ \t\r\n]+-)?\}\})
    |(?P<space>[ \t\r\n]+)
    |(?P<word>[^\W\d]\w*)
    |(?P<field>\.[^\W\d]\w*)
    |(?P<number>[+-]?\.?[0-9](?:[eEpP][+-]|[\w.])*)
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`)
    |(?P<character>'(?:[^'\\\n]|\\[^\n])*')
    |(?P<left>\()
    |(?P<right>\))
    """,
    re.VERBOSE,
)
# What people write who know the whole language, and what does the same here.
_FOREIGN = {
    "|": 'pipes are not supported: write the function first, as in eq .Result "0"',
    "$": "variables are not supported: .Result is all there is",
    ".": "a dot alone is not supported: write .Result",
    '"': "the string is not closed on its line",
    "`": "the string is not closed",
    "'": "the character is not closed",
}


class Kind(Enum):
    """What a token is."""

    TEXT = "text"
    OPEN = "{{"
    CLOSE = "}}"
    WORD = "word"
    FIELD = "field"
    NUMBER = "number"
    STRING = "string"
    CHARACTER = "character"
    LEFT = "("
    RIGHT = ")"
    END = "the end of the template"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the template.

    Attributes:
        text: as written; for TEXT with the trimming done.
        at: its offset in characters.
        spaced: whether space, an opening parenthesis or the action's begin stands before it.
    """

    kind: Kind
    text: str
    at: int
    spaced: bool = True


def error_at(template: str, at: int, message: str) -> TemplateError:
    """Return the error that names the line and column of an offset."""
    line = template.count("\n", 0, at) + 1
    column = at - (template.rfind("\n", 0, at) + 1) + 1
    return TemplateError(line, column, message)


def tokenise(template: str) -> Iterator[Token]:
    """Yield the tokens of a template, with END as the last.

    Raises:
        TemplateError: something in an action is no token, or an action is not closed.
    """
    position, trims = 0, False
    while (start := template.find(_OPEN, position)) >= 0:
        inside = start + len(_OPEN)
        mark = _LEFT_TRIM.match(template, inside)
        text = template[position:start]
        text = text.lstrip(_SPACE) if trims else text
        text = text.rstrip(_SPACE) if mark else text
        if text:
            yield Token(Kind.TEXT, text, position)
        inside = mark.end() if mark else inside
        if template.startswith("/*", inside):
            close = _end_of_comment(template, inside)
        else:
            yield Token(Kind.OPEN, _OPEN, start)
            close = yield from _action(template, start, inside)
        position, trims = close.end(), close["trim"] is not None
    text = template[position:]
    text = text.lstrip(_SPACE) if trims else text
    if text:
        yield Token(Kind.TEXT, text, position)
    yield Token(Kind.END, "", len(template))


def _end_of_comment(template: str, begin: int) -> re.Match[str]:
    end = template.find("*/", begin + 2)
    if end < 0:
        raise error_at(template, begin, "the comment is not closed with */")
    close = _INSIDE.match(template, end + 2)
    if close is None or close["close"] is None:
        raise error_at(template, end + 2, "after a comment write }}, or a space and -}}")
    return close


def _action(template: str, start: int, inside: int) -> Generator[Token, None, re.Match[str]]:
    """Yield the tokens of one action, CLOSE included; return the match of its end."""
    position, spaced = inside, True
    while position < len(template):
        found = _INSIDE.match(template, position)
        if found is None:
            character = template[position]
            raise error_at(template, position, _FOREIGN.get(character, f"unexpected {character!r}"))
        group = str(found.lastgroup)
        if group != "space":
            yield Token(Kind[group.upper()], found[0].strip(_SPACE), position, spaced)
        if group == "close":
            return found
        spaced = group in ("space", "left")
        position = found.end()
    raise error_at(template, start, "the action is not closed with }}")
