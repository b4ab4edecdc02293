"""`python -m tests.cases KIND FILE`: exit 0 all pass, 1 some fail, 2 cannot run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from shared.errors import AppError
from tests.cases import autoscale, matching, scaling
from tests.cases.outcome import CaseOutcome

RUNNERS = {"autoscale": autoscale.run, "matching": matching.run, "scaling": scaling.run}


def _run(kind: str, case: dict[str, Any]) -> CaseOutcome:
    """Run one case; one that the production functions choke on has failed, the others still run."""
    try:
        return RUNNERS[kind](case)
    except (AppError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return CaseOutcome(case.get("case", "?"), case.get("note", ""), "an answer", repr(error))


def _read(file: Path) -> list[dict[str, Any]]:
    """Return the cases of a file.

    Raises:
        OSError, ValueError: there are none in it.
    """
    match json.loads(file.read_text()):
        case {"cases": list(cases)} if all(isinstance(case, dict) for case in cases):
            return cases
    raise ValueError('it must be an object with a list "cases" of objects')


def main(arguments: list[str] | None = None) -> int:
    """Run the cases of one file and print each that fails, with expected and actual."""
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description=__doc__)
    parser.add_argument("kind", choices=sorted(RUNNERS))
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    try:
        cases = _read(options.file)
    except (OSError, ValueError) as error:
        print(f"{options.file}: no file of cases: {error!r}", file=sys.stderr)
        return 2
    outcomes = [_run(options.kind, case) for case in cases]
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        place = f", {outcome.place}" if outcome.place else ""
        print(f"case {outcome.case}{place}: {outcome.note}")
        print(f"  expected {outcome.expected}")
        print(f"  actual   {outcome.actual}")
    print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
