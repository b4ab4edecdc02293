"""Runs a sample of the mutants of each pure module; `make mutation SAMPLE=100 SEED=1` asks for it.

    python scripts/mutation_sample.py --size 100 --seed 1 'aggregator.gameserverset.*'

All of them take hours. A sample of 100 says the score of a module within about seven points, in
minutes: mutmut makes the mutants, mutation_session.py tries them. Those with the smallest hashes of
seed and name are chosen: the same seed always means the same mutants, a larger size adds some to
them, and a change of one function leaves the choice among the others as it was. Mutants that were
killed before are not run again, so that a run goes on where the last one ended, and one after new
tests tries the survivors; remove the folder `mutants` for a fresh measurement.
scripts/mutation_score.py prints what came of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from mutation_score import MUTANTS, read
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def list_mutants(file: Path) -> list[str]:
    """Return the names of all mutants of a module; making them takes seconds, reading them none."""
    made, known = MUTANTS / file, MUTANTS / f"{file}.meta"
    # As mutmut does it: a source that is older than its mutants has these.
    if known.exists() and file.stat().st_mtime < made.stat().st_mtime:
        return list(json.loads(known.read_text())["exit_code_by_key"])
    mutated = mutate_file_contents(str(file), file.read_text())
    return [get_mutant_name(file, name) for name in mutated.mutant_names]


def choose(mutants: Iterable[str], size: int, seed: int) -> list[str]:
    """Return so many of the mutants, all where there are fewer."""
    return sorted(mutants, key=lambda name: sha256(f"{seed} {name}".encode()).digest())[:size]


def sample(patterns: Sequence[str], size: int, seed: int) -> list[str]:
    """Return the names of a sample of each module, of those mutants that match a pattern."""
    chosen = []
    for file in sorted(walk_mutatable_files()):
        module = get_mutant_name(file, "")
        asked = [pattern for pattern in patterns if _may_match(module, pattern)]
        names = [
            name
            for name in (list_mutants(file) if asked else ())
            if any(fnmatchcase(name, pattern) for pattern in asked)
        ]
        chosen += choose(names, size, seed)
    return chosen


def _may_match(module: str, pattern: str) -> bool:
    """Tell whether a mutant whose name begins with `module` may match."""
    literal = re.split(r"[*?[]", pattern)[0]
    return literal.startswith(module) or module.startswith(literal)


def main() -> int:
    """Run the sample; 0 when every mutant was tried."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("patterns", nargs="*", default=["*"], help="of mutants (default: all)")
    parser.add_argument("--size", type=int, required=True, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=1, help="chooses them (default: 1)")
    parser.add_argument(
        "--max-children", type=int, default=os.cpu_count(), help="of mutmut at a time"
    )
    options = parser.parse_args()
    chosen = sample(options.patterns, options.size, options.seed)
    if not chosen:
        parser.error(f"no mutant matches {' '.join(options.patterns)}")
    # mutmut makes all mutants and finds out which tests they have before it runs any.
    mutmut = [str(Path(sys.executable).with_name("mutmut")), "run"]
    first = [*mutmut, "--max-children", str(options.max_children), chosen[0]]
    code = subprocess.run(first, check=False).returncode  # noqa: S603 - our own arguments
    if code != 0:
        return code
    left = [name for name in chosen if name not in _killed()]
    print(f"{len(chosen)} mutants in the sample, {len(left)} of them to run", flush=True)
    if not left:
        return 0
    session = [sys.executable, str(Path(__file__).resolve().with_name("mutation_session.py"))]
    done = subprocess.run(session, cwd=MUTANTS, input="\n".join(left), text=True, check=False)  # noqa: S603
    return done.returncode


def _killed() -> set[str]:
    """Return the mutants that were killed before; one of a changed function is another one."""
    return {
        name
        for judged in read(MUTANTS).values()
        for name, what in judged.items()
        if what == "killed"
    }


if __name__ == "__main__":
    sys.exit(main())
