"""Kubernetes quantities: `250m`, `1Gi`, `2e3`. Pure.

Source: Kubernetes API reference, Quantity (decimal and binary suffixes, decimal exponents).
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:([eE][+-]?\d+)|([A-Za-z]*))")
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


def parse_quantity(text: str) -> Decimal:
    """Return the number that a quantity means.

    Raises:
        ValueError: not a quantity; the message says so.
    """
    match = _FORM.fullmatch(text)
    if match is None or (match[3] or "") not in _SUFFIXES:
        raise ValueError(f"{text!r} is not a quantity; want a number such as 250m, 2 or 1Gi")
    number = Decimal(match[1])
    return number.scaleb(int(match[2][1:])) if match[2] else number * _SUFFIXES[match[3] or ""]


def divide_up(quantity: str, divisor: str) -> int:
    """Return `quantity` in units of `divisor`, rounded up; a divisor of 0 counts as 1.

    Raises:
        ValueError: one of the two is not a quantity.
    """
    by = parse_quantity(divisor) or Decimal(1)
    return math.ceil(parse_quantity(quantity) / by)
