"""`python -m tests.cases`: the shared cases pass, on the functions that production runs."""

import json
from pathlib import Path

import pytest

import aggregator.gameserver.plan
import aggregator.gameserverset.facts
import aggregator.gameserverset.plan
import aggregator.gameserverset.server
import aggregator.gameserverset.set_writer
import aggregator.quality.match
from aggregator.gameserverset.ids import parse_reserve_list
from aggregator.gameserverset.reserve import add_ids
from aggregator.gameserverset.scale import plan_scale
from aggregator.quality.match import verdict_of
from aggregator.quality.merge import decide
from aggregator.quality.verdicts import parse_records, render_records
from aggregator.selection import parse_priority
from tests.cases import matching, scaling
from tests.cases.__main__ import main

FILES = Path(__file__).parents[1] / "data" / "cases"
RUN = {"matching": matching.run, "scaling": scaling.run}
# Templates, Kill, ReserveIds and the autoscaler's claims are not built yet. A case that begins to
# pass has to leave this table.
OPEN = {"matching": set(), "scaling": set()}
CASES = [
    pytest.param(kind, case, id=f"{kind} {case['case']}")
    for kind in RUN
    for case in json.loads((FILES / f"{kind}.json").read_text())["cases"]
]


@pytest.mark.parametrize(("kind", "case"), CASES)
def test_a_shared_case(kind, case):
    outcome = RUN[kind](case)
    if case["case"] in OPEN[kind]:
        assert not outcome.passed, "it passes now: take its number out of OPEN"
    else:
        assert outcome.actual == outcome.expected, outcome.place


def test_the_runners_call_the_production_functions():
    assert matching.decide is aggregator.gameserver.plan.decide is decide
    assert matching.parse_records is aggregator.gameserver.plan.parse_records is parse_records
    assert matching.render_records is aggregator.gameserver.plan.render_records is render_records
    assert matching.verdict_of is aggregator.quality.match.verdict_of is verdict_of
    assert scaling.plan_scale is aggregator.gameserverset.plan.plan_scale is plan_scale
    assert (
        scaling.parse_priority is aggregator.gameserverset.server.parse_priority is parse_priority
    )
    assert (
        scaling.parse_reserve_list
        is aggregator.gameserverset.facts.parse_reserve_list
        is parse_reserve_list
    )
    assert scaling.add_ids is aggregator.gameserverset.set_writer.add_ids is add_ids


def server(id_):
    return {"id": id_, "opsState": "None", "deletionPriority": 0}


GOOD = {
    "case": 1,
    "note": "one too many",
    "servers": [server(0), server(1)],
    "replicas": 1,
    "reserveGameServerIds": [],
    "expected": {"delete": [1], "create": []},
}


def run_file(tmp_path, *cases):
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": cases}))
    return main(["scaling", str(path)])


def test_all_pass(tmp_path, capsys):
    assert run_file(tmp_path, GOOD, GOOD) == 0
    assert capsys.readouterr().out == "2 passed, 0 failed\n"


def test_a_failure_shows_expected_and_actual(tmp_path, capsys):
    wrong = GOOD | {"case": 2, "expected": {"delete": [0], "create": []}}
    assert run_file(tmp_path, wrong, GOOD) == 1
    assert capsys.readouterr().out == (
        "case 2: one too many\n"
        "  expected {'delete': {0}, 'create': set()}\n"
        "  actual   {'delete': {1}, 'create': set()}\n"
        "1 passed, 1 failed\n"
    )


def test_a_case_that_cannot_be_run_has_failed_and_the_others_still_run(tmp_path, capsys):
    assert run_file(tmp_path, {"case": 3, "note": "empty"}, GOOD) == 1
    assert capsys.readouterr().out == (
        "case 3: empty\n"
        "  expected an answer\n"
        "  actual   KeyError('reserveGameServerIds')\n"
        "1 passed, 1 failed\n"
    )


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"cases": 7}', '{"cases": [7]}'])
def test_what_is_no_file_of_cases_is_said_in_one_line(tmp_path, capsys, text):
    path = tmp_path / "cases.json"
    if text is not None:
        path.write_text(text)
    assert main(["scaling", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{path}: no file of cases: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["scaling"], ["dancing", "file"]])
def test_wrong_arguments_are_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: python -m tests.cases")
