"""What is no template: the line, the column and the remedy; and the bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.quality.template.parse import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    is_template,
    parse_template,
)
from aggregator.quality.template.render import render
from aggregator.quality.template.syntax import (
    Branch,
    Call,
    If,
    Literal,
    Output,
    RenderError,
    Result,
    Template,
    TemplateError,
    Text,
)

UNKNOWN = (
    "is not supported: the keywords are if, else and end, "
    "the functions eq, ne, lt, le, gt, ge, and, or, not"
)


def test_a_template_becomes_text_outputs_and_ifs():
    text = 'a{{.Result}}{{if eq .Result "x" 7}}b{{else if (not 1.5)}}c{{else}}d{{end}}'
    assert parse_template(text) == Template(
        (
            Text("a"),
            Output(Result()),
            If(
                (
                    Branch(Call("eq", (Result(), Literal("x"), Literal(7))), (Text("b"),)),
                    Branch(Call("not", (Literal(1.5),)), (Text("c"),)),
                ),
                (Text("d"),),
            ),
        )
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", False), ("None", False), ("}}", False), ("{ {", False), ("{{", True), ("a{{b", True)],
)
def test_a_value_with_an_action_is_a_template(value, expected):
    assert is_template(value) is expected


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        pytest.param("{{", 1, 1, "the action is not closed with }}", id="open"),
        pytest.param("a\nbc {{.Result", 2, 4, "the action is not closed with }}", id="open later"),
        pytest.param("{{.Result}} {{ .Result", 1, 13, "the action is not closed with }}", id="2nd"),
        pytest.param("{{}}", 1, 3, "a value is missing before }}", id="empty"),
        pytest.param("{{ -}}", 1, 3, "a value is missing before -}}", id="empty and trimming"),
        pytest.param("{{if}}{{end}}", 1, 5, "a value is missing before }}", id="if nothing"),
        pytest.param("{{eq 1 (}}", 1, 9, "a value is missing before }}", id="open parenthesis"),
        pytest.param("{{(eq 1 1}}", 1, 10, "a value is missing before }}", id="not closed"),
        pytest.param("{{()}}", 1, 4, "a value is missing before )", id="empty parentheses"),
        pytest.param("{{.Result)}}", 1, 10, "unexpected ): only a function has arguments", id=")"),
        pytest.param("{{1 2}}", 1, 5, "unexpected 2: only a function has arguments", id="two"),
        pytest.param(
            "é\n\n {{ .Name }}", 3, 5, ".Name is not known: .Result is all there is", id="field"
        ),
        pytest.param(
            "{{.Result.Name}}", 1, 10, "unexpected .Name: only a function has arguments", id="chain"
        ),
        pytest.param(
            "{{eq .Result.Name 1}}", 1, 13, "write a space before .Name", id="chain as an argument"
        ),
        pytest.param("{{ . }}", 1, 4, "a dot alone is not supported: write .Result", id="dot"),
        pytest.param(
            "{{$x}}", 1, 3, "variables are not supported: .Result is all there is", id="variable"
        ),
        pytest.param(
            '{{.Result | eq "a"}}',
            1,
            11,
            'pipes are not supported: write the function first, as in eq .Result "0"',
            id="pipe",
        ),
        pytest.param("{{.Result;}}", 1, 10, "unexpected ';'", id="semicolon"),
        pytest.param('{{"a\n"}}', 1, 3, "the string is not closed on its line", id="string"),
        pytest.param("{{`a\n}}", 1, 3, "the string is not closed", id="raw string"),
        pytest.param("{{'a}}", 1, 3, "the character is not closed", id="character"),
        pytest.param("{{range .Result}}", 1, 3, f"range {UNKNOWN}", id="range"),
        pytest.param("{{eq printf 1}}", 1, 6, f"printf {UNKNOWN}", id="unknown as an argument"),
        pytest.param("{{if true}}{{end}}", 1, 6, f"true {UNKNOWN}", id="true"),
        pytest.param(
            '{{eq not ""}}', 1, 6, "put not and its arguments into parentheses", id="nested call"
        ),
        pytest.param("{{eq(1) 1}}", 1, 5, "write a space before (", id="glued parenthesis"),
        pytest.param('{{eq "a""b"}}', 1, 9, 'write a space before "b"', id="glued string"),
        pytest.param("{{not}}", 1, 3, "not takes 1 argument, not 0", id="too few"),
        pytest.param("{{not 1 2}}", 1, 3, "not takes 1 argument, not 2", id="too many"),
        pytest.param("{{ne 1}}", 1, 3, "ne takes 2 arguments, not 1", id="too few of two"),
        pytest.param("{{ge 1 2 3}}", 1, 3, "ge takes 2 arguments, not 3", id="too many of two"),
        pytest.param("{{eq 1}}", 1, 3, "eq takes 2 arguments or more, not 1", id="at least two"),
        pytest.param("{{or}}", 1, 3, "or takes 1 argument or more, not 0", id="at least one"),
        pytest.param("{{1x}}", 1, 3, "1x is no number", id="number"),
        pytest.param("{{1e999}}", 1, 3, "1e999 does not fit into 64 bits", id="too large"),
        pytest.param(
            "{{9223372036854775808}}",
            1,
            3,
            "9223372036854775808 does not fit into 64 bits",
            id="too large an integer",
        ),
        pytest.param("{{0x1p4}}", 1, 3, "0x1p4 is no number", id="float in base 16"),
        pytest.param("{{1i}}", 1, 3, "1i is no number", id="imaginary"),
        pytest.param(r'{{"\q"}}', 1, 3, r'"\q" has an unknown escape \q', id="escape"),
        pytest.param(
            r'{{"\qab"}}', 1, 3, r'"\qab" has an unknown escape \q', id="escape, then text"
        ),
        pytest.param("\n{{end}}", 2, 3, "end without an if", id="behind a line that is empty"),
        pytest.param(r'{{"a\xff"}}', 1, 3, r'"a\xff" must be valid UTF-8', id="UTF-8"),
        pytest.param(
            r'{{"\ud800"}}', 1, 3, r'"\ud800" has no character \ud800', id="half a character"
        ),
        pytest.param("{{''}}", 1, 3, "'' must be one character between the quotes", id="none"),
        pytest.param("{{end}}", 1, 3, "end without an if", id="end"),
        pytest.param("{{ else }}", 1, 4, "else without an if", id="else"),
        pytest.param("a {{if 1}}b", 1, 5, "this if has no {{end}}", id="no end"),
        pytest.param("{{if 1}}{{if 2}}{{end}}", 1, 3, "this if has no {{end}}", id="outer"),
        pytest.param("{{if 1}}{{else}}b", 1, 3, "this if has no {{end}}", id="no end after else"),
        pytest.param(
            "{{if 1}}{{else}}{{else}}{{end}}",
            1,
            19,
            "an if has one else, and it comes last",
            id="two elses",
        ),
        pytest.param(
            "{{if 1}}{{else}}{{else if 1}}{{end}}",
            1,
            19,
            "an if has one else, and it comes last",
            id="else if after else",
        ),
        pytest.param("{{if 1}}{{end 2}}", 1, 15, "unexpected 2 after end", id="end with a value"),
        pytest.param(
            "{{if 1}}{{else 2}}{{end}}", 1, 16, "unexpected 2 after else", id="else with a value"
        ),
        pytest.param(
            "{{if 1}}{{else foo}}{{end}}", 1, 16, "unexpected foo after else", id="else with a word"
        ),
        pytest.param(
            "{{if 1}}{{else}}{{end 2}}", 1, 23, "unexpected 2 after end", id="end after an else"
        ),
        pytest.param("{{/* a", 1, 3, "the comment is not closed with */", id="comment"),
        pytest.param(
            "{{/* a */ }}", 1, 10, "after a comment write }}, or a space and -}}", id="after it"
        ),
        pytest.param("{{ /* a */}}", 1, 4, "unexpected '/'", id="space before a comment"),
    ],
)
def test_a_refused_template_names_line_column_and_remedy(text, line, column, message):
    with pytest.raises(TemplateError) as refused:
        parse_template(text)
    error = refused.value
    assert (error.line, error.column, error.message) == (line, column, message)
    assert str(error) == f"line {line}, column {column}: {message}"


def nested(depth: int) -> str:
    return "{{if 1}}" * depth + "{{end}}" * depth


def in_parentheses(depth: int) -> str:
    return "{{" + "(" * depth + "1" + ")" * depth + "}}"


@pytest.mark.parametrize(
    ("fits", "too_much", "column", "message"),
    [
        pytest.param(
            "a" * MAX_CHARACTERS,
            "a" * (MAX_CHARACTERS + 1),
            MAX_CHARACTERS + 1,
            f"longer than {MAX_CHARACTERS} characters",
            id="length",
        ),
        pytest.param(
            nested(MAX_DEPTH),
            nested(MAX_DEPTH + 1),
            8 * MAX_DEPTH + 3,
            f"more than {MAX_DEPTH} ifs within each other",
            id="ifs",
        ),
        pytest.param(
            in_parentheses(MAX_DEPTH),
            in_parentheses(MAX_DEPTH + 1),
            MAX_DEPTH + 3,
            f"more than {MAX_DEPTH} parentheses within each other",
            id="parentheses",
        ),
    ],
)
def test_a_bound_is_reached_and_not_passed(fits, too_much, column, message):
    parse_template(fits)
    with pytest.raises(TemplateError) as refused:
        parse_template(too_much)
    error = refused.value
    assert (error.line, error.column, error.message) == (1, column, message)


def test_many_branches_are_no_depth():
    branches = "".join(f"{{{{else if eq .Result {n}}}}}{n}" for n in range(100))
    template = parse_template("{{if 0}}" + branches + "{{end}}")
    assert render(template, "99") == "99"


PIECES = st.sampled_from(
    ["{{", "}}", "{{- ", " -}}", "if ", "else", "end", ".Result", " ", '"a"', "`", "(", ")", "eq ",
     "not ", "/*", "*/", "1", "-", "'", "\\", "\n", "|", "$x", "and ", "é"]
)  # fmt: skip


def refusal(text: str, result: str) -> TemplateError | None:
    try:
        render(parse_template(text), result)
    except TemplateError as error:
        return error
    except RenderError:
        pass
    return None


@given(st.lists(PIECES, max_size=30).map("".join), st.text(max_size=5))
def test_any_text_is_rendered_or_refused_at_a_place_inside_it(text, result):
    error = refusal(text, result)
    if error is not None:
        lines = text.split("\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
