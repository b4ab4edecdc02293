"""The template language against Go's: the tables that helm rendered, and the one difference."""

import json
from pathlib import Path

import pytest

from aggregator.quality.template.parse import parse_template
from aggregator.quality.template.render import render
from aggregator.quality.template.syntax import RenderError, TemplateError

TABLES = Path(__file__).parents[4] / "data" / "templates"


def rows(name):
    table = json.loads((TABLES / f"{name}.json").read_text())
    return [pytest.param(row, id=f"{row['template']!a} {row['result']!a}") for row in table]


@pytest.mark.parametrize("row", rows("same"))
def test_what_go_renders_is_rendered_alike_and_what_go_refuses_is_refused(row):
    if "go" in row:
        assert render(parse_template(row["template"]), row["result"]) == row["go"]
        return
    with pytest.raises((TemplateError, RenderError)):
        render(parse_template(row["template"]), row["result"])


@pytest.mark.parametrize("row", rows("numbers"))
def test_numbers_compare_as_numbers_where_go_compares_texts_or_refuses(row):
    rendered = render(parse_template(row["template"]), row["result"])
    assert rendered == row["ours"] != row.get("go")
