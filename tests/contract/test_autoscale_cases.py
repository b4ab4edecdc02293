"""The shared autoscaler cases pass, on the functions that production runs."""

import json
from pathlib import Path

import pytest

from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.keda_metric import metric
from tests.cases import autoscale
from tests.cases.__main__ import main

FILE = Path(__file__).parents[1] / "data" / "cases" / "autoscale.json"
CASES = json.loads(FILE.read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"autoscale {case['case']}")
def test_a_shared_case(case):
    outcome = autoscale.run(case)
    assert outcome.actual == outcome.expected, outcome.note


def test_the_runner_calls_the_production_functions():
    assert autoscale.evaluate is evaluate
    assert autoscale.metric is metric


def test_the_file_passes_on_the_command_line(capsys):
    assert main(["autoscale", str(FILE)]) == 0
    assert capsys.readouterr().out == f"{len(CASES)} passed, 0 failed\n"


def test_a_wrong_expectation_fails(tmp_path, capsys):
    case = CASES[0] | {"expectedKedaMetric": 99}
    file = tmp_path / "cases.json"
    file.write_text(json.dumps({"cases": [case]}))
    assert main(["autoscale", str(file)]) == 1
    assert "'kedaMetric': 99" in capsys.readouterr().out
