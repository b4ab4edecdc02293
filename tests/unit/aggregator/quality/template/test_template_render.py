"""What a parsed template renders, what cannot be rendered, and what that costs."""

import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.quality.template.parse import MAX_CHARACTERS, parse_template
from aggregator.quality.template.render import MAX_OUTPUT, render
from aggregator.quality.template.syntax import RenderError, TemplateError


def rendered(text: str, result: str = "gate") -> str:
    return render(parse_template(text), result)


@pytest.mark.parametrize(
    ("expression", "result", "message"),
    [
        pytest.param(
            "ge .Result 70",
            "many",
            "the text 'many' cannot be compared with the number 70",
            id="text and number",
        ),
        pytest.param(
            "eq 1.5 .Result", "", "the number 1.5 cannot be compared with the text ''", id="eq"
        ),
        pytest.param(
            "ne .Result 1", "x", "the text 'x' cannot be compared with the number 1", id="ne"
        ),
        pytest.param(
            "lt (not 1) (not 0)",
            "",
            "the truth value false cannot be compared with the truth value true",
            id="truth has no order",
        ),
        pytest.param(
            "eq (not 1) .Result",
            "false",
            "the truth value false cannot be compared with the text 'false'",
            id="truth and text",
        ),
        pytest.param(
            "eq (not 0) 1",
            "",
            "the truth value true cannot be compared with the number 1",
            id="true is not 1",
        ),
        pytest.param(
            "lt .Result 1",
            "x" * 32,
            f"the text '{'x' * 32}' cannot be compared with the number 1",
            id="a text that is shown whole",
        ),
        pytest.param(
            "lt .Result 1",
            "x" * 33,
            f"the text '{'x' * 31}…' cannot be compared with the number 1",
            id="a text that is cut",
        ),
    ],
)
def test_what_cannot_be_compared_says_so(expression, result, message):
    with pytest.raises(RenderError) as refused:
        rendered(f"{{{{{expression}}}}}", result)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "text", ["nan", "inf", "1_000", "٣", "0x10", "1e1000", " 5", "5 ", "--5", ".", "e5", "1e", ""]
)
def test_what_only_looks_like_a_number_is_a_text(text):
    assert rendered('{{eq .Result "5" "1000" "3" "16"}}', text) == "false"
    with pytest.raises(RenderError):
        rendered("{{eq .Result 5}}", text)


def test_the_output_has_a_bound():
    whole = "{{.Result}}" * 8
    assert rendered(whole, "x" * (MAX_OUTPUT // 8)) == "x" * MAX_OUTPUT
    with pytest.raises(RenderError) as refused:
        rendered(whole + "y", "x" * (MAX_OUTPUT // 8))
    assert str(refused.value) == f"renders more than {MAX_OUTPUT} characters"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a{{/* one */}}b{{/* two */}}c", "abc"),
        ("{{`a\r\nb`}}", "a\nb"),
        (r'{{"\U0010ffff"}}', "\U0010ffff"),
        (r"{{'\U0010ffff'}}", "1114111"),
    ],
    ids=["two comments", "raw text has no carriage return", "the last character", "its number"],
)
def test_corners(text, expected):
    assert rendered(text) == expected


def test_a_result_is_never_a_template():
    assert rendered("{{.Result}}", "{{.Result}}{{end}}") == "{{.Result}}{{end}}"


def calls_of(text: str, result: str) -> int:
    """How many functions are called, those of C too: the cost, however busy the machine is."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    parse_template.cache_clear()
    sys.setprofile(count)
    try:
        with suppress(TemplateError, RenderError):
            rendered(text, result)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("begin", "repeated", "end"),
    [
        ("", "{{", ""),
        ("", "{{/*", ""),
        ("", "{{/**/}}", ""),
        ('{{"', "\\n", '"}}'),
        ('{{"', "\\", ""),
        ("{{", " ", ""),
        ("{{-", "9", "}}"),
        ("{{", "1e+", "}}"),
        ("", "{{if 1}}", ""),
        ("{{if 0}}", "{{else if 0}}", "{{end}}"),
        ("{{eq .Result", ' "9"', "}}"),
        ("{{or", " .Result", "}}"),
        ("", "a {{- 1 -}} ", ""),
        ("", "{{.Result}}", ""),
    ],
)
@pytest.mark.parametrize("result", ["1" * 500, "x" * 500, ""], ids=["digits", "letters", "none"])
def test_the_cost_is_linear_in_the_length_even_for_odd_templates(begin, repeated, end, result):
    most = (MAX_CHARACTERS - len(begin) - len(end)) // len(repeated)
    half, whole = (calls_of(begin + repeated * n + end, result) for n in (most // 2, most))
    # Twice the length: a linear cost at most doubles, a quadratic one is four times as large.
    assert whole < 2.5 * half


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.integers(-99, 99))
def test_a_number_compares_with_a_literal_as_the_numbers_do(number, literal):
    for function, expected in [
        ("eq", number == literal),
        ("lt", number < literal),
        ("ge", number >= literal),
    ]:
        text = f"{{{{{function} .Result {literal}}}}}"
        assert rendered(text, f"{number:f}") == str(expected).lower()
        quoted = f'{{{{{function} .Result "{literal}"}}}}'
        assert rendered(quoted, f"{number:f}") == str(expected).lower()


@given(st.text(alphabet="abgz-é世", max_size=6), st.text(alphabet="abgz-é世", max_size=6))
def test_texts_compare_as_their_bytes_do(left, right):
    assert (
        rendered(f'{{{{lt .Result "{right}"}}}}', left)
        == str(left.encode() < right.encode()).lower()
    )
    assert rendered(f'{{{{eq .Result "{right}"}}}}', left) == str(left == right).lower()


@given(st.lists(st.sampled_from([".Result", '""', '"b"', "0", "7"]), min_size=1, max_size=4))
def test_and_or_return_the_argument_that_decides_and_not_the_opposite(arguments):
    values = {".Result": "a", '""': "", '"b"': "b", "0": 0, "7": 7}
    chosen = [values[argument] for argument in arguments]
    first_false = next((value for value in chosen if not value), chosen[-1])
    first_true = next((value for value in chosen if value), chosen[-1])
    joined = " ".join(arguments)
    assert rendered(f"{{{{and {joined}}}}}", "a") == str(first_false)
    assert rendered(f"{{{{or {joined}}}}}", "a") == str(first_true)
    assert rendered(f"{{{{not (and {joined})}}}}", "a") == str(not first_false).lower()
