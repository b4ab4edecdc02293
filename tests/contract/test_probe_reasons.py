"""The table of reasons: complete, without anything extra, and the same in the docs."""

from __future__ import annotations

import ast
from pathlib import Path

from shared.protocol.reasons import REASONS, render_table

REPOSITORY = Path(__file__).parents[2]
# Calls that give a reason as a literal, and which argument of theirs it is.
_GIVERS = {
    "unknown": 0,
    "EntryRefusedError": 0,
    "_CannotRunError": 0,
    "fail": 0,
    "Finding": 2,
}
_BY_THE_AGGREGATOR = {"AgentLost", "AgentMissing"}


def reasons_in(tree: ast.AST) -> set[str]:
    """Return the reasons that a module can give: literals where a reason is expected."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args):
                if name in _GIVERS and len(args) > _GIVERS[name]:
                    found |= texts(args[_GIVERS[name]])
            case ast.keyword(arg="reason", value=value):
                found |= texts(value)
            case ast.Return(value=ast.Tuple(elts=[_, ast.Constant() as reason, _])):
                found |= texts(reason)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if name in ("PROBE_PENDING", "RESULT_SHORTENED"):
                    found |= texts(value)
                elif name == "_REFUSALS" and isinstance(value, ast.Dict):
                    for entry in value.values:
                        found |= texts(entry)
    return found


def texts(node: ast.AST) -> set[str]:
    values = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return {value for value in values if isinstance(value, str) and value[:1].isupper()}


def test_the_table_has_every_reason_that_the_agent_can_give_and_no_other() -> None:
    sources = sorted((REPOSITORY / "agent").rglob("*.py"))
    given = set().union(*(reasons_in(ast.parse(file.read_text())) for file in sources))
    assert given == set(REASONS) - _BY_THE_AGGREGATOR


def test_the_docs_show_the_table() -> None:
    page = (REPOSITORY / "docs" / "probe-reasons.md").read_text()
    assert render_table() in page


def test_every_reason_has_one_line_of_meaning_and_one_of_remedy() -> None:
    for reason in REASONS.values():
        for text in (reason.meaning, reason.remedy):
            assert text.endswith(".")
            assert "\n" not in text
