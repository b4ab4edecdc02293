"""Says how many of the mutants the tests have killed, by module; reads what mutmut left behind.

    python scripts/mutation_score.py --least 85

A mutant is a copy of a function with one small change. One that no test notices has survived: the
tests say nothing about that line. One that runs too long counts as killed. `mutmut show NAME`
prints the change of a survivor. A line of the table says how many were killed of those that were
run, and how many the module has; every module is held to the least score, not only their total.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

MUTANTS = Path("mutants")
# Exit codes of a run, as mutmut keeps them.
KILLED = {1, 3}
TIMEOUT = {36, 24, -24, 152, 255}
NOT_RUN = {None, 2}


def judge(exit_code: int | None) -> str:
    """Return what became of a mutant."""
    if exit_code in KILLED | TIMEOUT:
        return "killed"
    return "not run" if exit_code in NOT_RUN else "survived"


def read(folder: Path) -> dict[str, dict[str, str]]:
    """Return what became of each mutant, by module and name."""
    found = {}
    for file in sorted(folder.rglob("*.meta")):
        codes: dict[str, int | None] = json.loads(file.read_text())["exit_code_by_key"]
        judged = {name: judge(code) for name, code in codes.items()}
        if any(what != "not run" for what in judged.values()):
            found[str(file.relative_to(folder)).removesuffix(".meta")] = judged
    return found


def score(counts: Counter[str]) -> float:
    """Return the percentage of killed mutants among those that were run."""
    run = counts["killed"] + counts["survived"]
    return 100 * counts["killed"] / run if run else 0.0


def line(name: str, counts: Counter[str]) -> str:
    """Return a line of the table."""
    run = counts["killed"] + counts["survived"]
    return (
        f"{name:48} {counts['killed']:5} of {run:5}, {counts.total():5} in all"
        f"  {score(counts):5.1f} %"
    )


def main() -> int:
    """Print the table and the survivors; exit 1 when a module is below the least score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--least", type=float, default=85, help="percent (default: 85)")
    options = parser.parse_args()
    found = read(MUTANTS)
    total: Counter[str] = Counter()
    low = []
    for module, judged in found.items():
        counts = Counter(judged.values())
        total += counts
        print(line(module, counts))
        if score(counts) < options.least:
            low.append(module)
    print(line("all of these", total))
    for judged in found.values():
        for name, what in judged.items():
            if what == "survived":
                print(f"  survived: {name}")
    for module in low:
        print(f"  too low: {module}")
    print(f"score {score(total):.1f} %, at least {options.least:g} % of each module is asked for")
    return 1 if low or not found else 0


if __name__ == "__main__":
    sys.exit(main())
