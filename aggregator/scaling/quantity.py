"""Amounts of servers as users write them: a count, or a share of the servers. Pure and exact.

| written | means |
| --- | --- |
| 3, "3", "3.0" | 3 servers |
| "3.1" | 4 servers: a decimal from 1 on is a count, rounded up |
| "20%", "0.2" | a fifth of the servers |

A share is a `Fraction` and a count an `int`, so nothing is ever rounded before the end: a fifth of
ten is two, never 2.0000000000000004.
Source: the external scaler of OpenKruiseGame, which reads minAvailable in these three forms (and
computes with 32-bit floats, which we do not).
"""

from __future__ import annotations

import re
from fractions import Fraction

from shared.api.meta import INT32_MAX
from shared.errors import InvalidInput

Amount = int | Fraction
"""A count of servers, or a share strictly between 0 and 1."""

# Signs, exponents, blanks, digits of other scripts and endless texts are no amounts: int() and
# Fraction() alone would take "1_000", " 1 " and "1e400".
_PATTERN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(%?)")
_REMEDY = 'must be a whole number such as 3, or a share such as "20%" or "0.2"'


def parse_amount(raw: int | str, field: str) -> Amount:
    """Return what an amount means.

    Args:
        raw: as it was written.
        field: for the error.

    Raises:
        InvalidInput: it is none; the message says what would be right.
    """
    match = _PATTERN.fullmatch(str(raw))
    if match is None or isinstance(raw, bool):
        raise InvalidInput(field, f"{str(raw)[:32]!r} is no amount: it {_REMEDY}")
    number = Fraction(match[1])
    if match[2]:
        share = Fraction(number, 100)
        if not 0 < share < 1:
            raise InvalidInput(field, f"{raw!r} is no share: it must lie between 0% and 100%")
        return share
    if 0 < number < 1:
        return number
    count = ceiling(number)
    if count > INT32_MAX:
        raise InvalidInput(field, f"{raw!r} is too large: it must be at most {INT32_MAX}")
    return count


def render_amount(amount: Amount) -> int | str:
    """Return an amount as it is written: 3, or "20%"; a share of no whole percent as a fraction."""
    if isinstance(amount, int):
        return amount
    percent = amount * 100
    return f"{percent}%" if percent.denominator == 1 else str(amount)


def ceiling(value: Fraction | int) -> int:
    """Return the smallest integer that is not below `value`."""
    return -(-value // 1)


def floor(value: Fraction | int) -> int:
    """Return the largest integer that is not above `value`."""
    return value // 1
