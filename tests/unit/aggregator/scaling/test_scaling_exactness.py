"""No float anywhere in what decides: not as a literal, not by division, not by a function."""

import ast
from pathlib import Path

import pytest

import aggregator.scaling

FILES = sorted(Path(aggregator.scaling.__file__).parent.glob("*.py"))
FLOAT_NAMES = {"float", "round", "math", "statistics", "total_seconds", "timestamp"}


def inexact(tree: ast.AST) -> list[str]:
    """Every place that could make a float."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append(f"line {node.lineno}: {node.value}")
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append(f"line {node.lineno}: /")
        elif isinstance(node, ast.Name) and node.id in FLOAT_NAMES:
            found.append(f"line {node.lineno}: {node.id}")
        elif isinstance(node, ast.Attribute) and node.attr in FLOAT_NAMES:
            found.append(f"line {node.lineno}: {node.attr}")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
            found += [f"line {node.lineno}: {name}" for name in names if name in FLOAT_NAMES]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_that_decides_computes_with_floats(file):
    assert inexact(ast.parse(file.read_text())) == []


@pytest.mark.parametrize(
    "source", ["x = 0.5", "x = a / b", "x /= 2", "x = float(y)", "import math", "y.total_seconds()"]
)
def test_the_search_finds_each_kind_of_float(source):
    assert len(inexact(ast.parse(source))) == 1


def test_there_are_files_to_look_at():
    assert {"evaluate.py", "demand.py", "behavior.py", "quantity.py"} <= {f.name for f in FILES}
