"""String and number literals as Go writes them, and numbers as Go prints them. Pure.

Source: https://go.dev/ref/spec#Lexical_elements and the verb %v of https://pkg.go.dev/fmt. Left
out, and refused: imaginary numbers, floats in base 16, and escapes that make no valid UTF-8.
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import isinf

_INT64_MAX = 2**63 - 1
_INT64_MIN = -(2**63)
_INTEGER = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>(?:_?[0-9a-fA-F])+)|0[bB](?P<binary>(?:_?[01])+)"
    r"|0[oO]?(?P<octal>(?:_?[0-7])+)|(?P<decimal>0|[1-9](?:_?[0-9])*))"
)
_BASES = {"hex": 16, "binary": 2, "octal": 8, "decimal": 10}
_DIGITS = r"[0-9](?:_?[0-9])*"
_FLOAT = re.compile(rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_LOOKS_LIKE_A_FLOAT = re.compile(r"[.eE]")
_ESCAPE = re.compile(
    r"\\(?:(?P<one>[abfnrtv\\\"'])|(?P<octal>[0-3][0-7]{2})|x(?P<hex>[0-9a-fA-F]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_ONE = dict(zip("abfnrtv\\\"'", "\a\b\f\n\r\t\v\\\"'", strict=True))
_QUOTES = frozenset("\"'")
_MAX_POINT = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
# %v writes an exponent from here on: https://pkg.go.dev/strconv#FormatFloat with the format 'g'.
_LEAST_EXPONENT = -4
_EXPONENT = 6


def parse_number(text: str) -> int | float:
    """Return the number that a literal means.

    Raises:
        ValueError: it is none, or none that Go can hold; the message says which.
    """
    integer = _INTEGER.fullmatch(text)
    if integer is not None:
        base = next(name for name in _BASES if integer[name])
        value = int(integer[base].replace("_", ""), _BASES[base])
        value = -value if integer["sign"] == "-" else value
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise ValueError("does not fit into 64 bits")
        return value
    if _FLOAT.fullmatch(text) is None or not _LOOKS_LIKE_A_FLOAT.search(text):
        raise ValueError("is no number")
    number = float(text.replace("_", ""))
    if isinf(number):
        raise ValueError("does not fit into 64 bits")
    return number


def unquote(text: str) -> str:
    """Return the text of a string literal, given with its double quotes or its backquotes.

    Raises:
        ValueError: an escape is none of Go's; the message says which.
    """
    body = text[1:-1]
    if text[0] == "`":
        return body.replace("\r", "")
    encoded = bytearray()
    position = 0
    while (start := body.find("\\", position)) >= 0:
        encoded += body[position:start].encode()
        escape = _escape_at(body, start, quote='"')
        encoded += _bytes_of(escape)
        position = escape.end()
    encoded += body[position:].encode()
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        raise ValueError("must be valid UTF-8") from None


def unquote_character(text: str) -> int:
    """Return the number of a character literal, given with its quotes.

    Raises:
        ValueError: it is not exactly one character.
    """
    body = text[1:-1]
    if body.startswith("\\"):
        escape = _escape_at(body, 0, quote="'")
        if escape.end() == len(body):
            written = _bytes_of(escape)
            is_byte = escape["octal"] or escape["hex"]
            return written[0] if is_byte else ord(written.decode())
    elif len(body) == 1:
        return ord(body)
    raise ValueError("must be one character between the quotes")


def format_number(number: float) -> str:
    """Return a number as Go's %v prints it: 1000000.0 is 1e+06."""
    if isinstance(number, int):
        return str(number)
    exact = Decimal(repr(number)).normalize()
    if not number or _LEAST_EXPONENT <= exact.adjusted() < _EXPONENT:
        return f"{exact:f}"
    mantissa, exponent = f"{exact:e}".split("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:]:0>2}"


def _escape_at(body: str, start: int, *, quote: str) -> re.Match[str]:
    escape = _ESCAPE.match(body, start)
    if escape is None or escape["one"] in _QUOTES - {quote}:
        raise ValueError(f"has an unknown escape {body[start : start + 2]}")
    return escape


def _bytes_of(escape: re.Match[str]) -> bytes:
    if escape["one"]:
        return _ONE[escape["one"]].encode()
    if escape["octal"]:
        return bytes([int(escape["octal"], 8)])
    if escape["hex"]:
        return bytes([int(escape["hex"], 16)])
    point = int(escape["short"] or escape["long"], 16)
    if point > _MAX_POINT or point in _SURROGATES:
        raise ValueError(f"has no character {escape[0]}")
    return chr(point).encode()
