"""Amounts as users write them."""

from fractions import Fraction

import pytest

from aggregator.scaling.quantity import ceiling, floor, parse_amount, render_amount
from shared.errors import InvalidInput


@pytest.mark.parametrize(
    ("raw", "amount"),
    [
        (0, 0),
        (3, 3),
        ("3", 3),
        ("007", 7),
        ("3.0", 3),
        ("3.", 3),
        ("3.1", 4),
        ("1.0", 1),
        ("0", 0),
        ("0.0", 0),
        (2**31 - 1, 2**31 - 1),
        ("0.2", Fraction(1, 5)),
        (".2", Fraction(1, 5)),
        ("20%", Fraction(1, 5)),
        ("99.9%", Fraction(999, 1000)),
        ("0.1", Fraction(1, 10)),
    ],
)
def test_an_amount_is_read_exactly(raw, amount):
    parsed = parse_amount(raw, "minAvailable")
    assert parsed == amount
    assert type(parsed) is type(amount)


NO_NUMBERS = (
    "",
    "abc",
    "-1",
    -1,
    "+1",
    " 1",
    "1 ",
    "1_0",
    "1e3",
    "1e400",
    "inf",
    True,
    "٣",
    "1.2.3",
)
NO_SHARES = ("%", "100%", "0%", "0.0%", "150%", "3%%")
TOO_LARGE = (2**31, "9" * 400)


@pytest.mark.parametrize("raw", [*NO_NUMBERS, *NO_SHARES, *TOO_LARGE])
def test_what_is_no_amount_is_refused_with_its_field(raw):
    with pytest.raises(InvalidInput) as refused:
        parse_amount(raw, "minAvailable")
    assert refused.value.field == "minAvailable"
    assert "must" in refused.value.message
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("amount", "text"), [(3, 3), (Fraction(1, 5), "20%"), (Fraction(1, 3), "1/3")]
)
def test_an_amount_is_shown_as_it_is_written(amount, text):
    assert render_amount(amount) == text


def test_rounding_goes_up_and_down_exactly():
    assert [ceiling(Fraction(n, 2)) for n in (-3, -2, 0, 1, 2)] == [-1, -1, 0, 1, 1]
    assert [floor(Fraction(n, 2)) for n in (-3, -2, 0, 1, 2)] == [-2, -1, 0, 0, 1]
