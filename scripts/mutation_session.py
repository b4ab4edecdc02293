"""Tries mutants in forks of one collected test session; mutation_sample.py starts it.

mutmut starts a pytest of its own for each mutant and collects anew, which costs three times what
the tests do. Here the tests are collected once; each mutant is a fork that runs the tests which
mutmut found for its function, fastest first, up to the first that fails. Nothing has run in the
session before, so no cache is warm. Runs in the folder `mutants`; the names come on standard input,
the verdicts go where mutmut keeps its own: exit codes in the `.meta` files.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol
from mutmut.configuration import config
from mutmut.mutation.trampoline import set_mutant_under_test

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SURVIVED, KILLED, WITHOUT_TESTS, TIMED_OUT = 0, 1, 33, 36
# A mutant that loops takes all of its time: some seconds, and several times what its tests took.
_LEAST_SECONDS = 5
_TIMES = 5
# For one that waits and takes no processor, on a machine as busy as can be.
_WALL_SECONDS = 900


class Session:
    """A pytest plugin that runs mutants instead of tests."""

    def __init__(self, mutants: Sequence[str], stats: Mapping[str, Any]) -> None:
        self._mutants = mutants
        self._tests: dict[str, list[str]] = stats["tests_by_mangled_function_name"]
        self._seconds: dict[str, float] = stats["duration_by_test"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge every mutant; True, so that no test is run besides."""
        items = {item.nodeid: item for item in session.items}
        # Otherwise the first collection in each fork would copy every page.
        gc.freeze()
        for count, mutant in enumerate(self._mutants, 1):
            names = self._tests.get(function_of(mutant), ())
            mine = sorted((name for name in names if name in items), key=self._seconds.__getitem__)
            limit = _LEAST_SECONDS + _TIMES * ceil(sum(self._seconds[name] for name in mine))
            tests = [items[name] for name in mine]
            code = _judge(mutant, tests, limit) if tests else WITHOUT_TESTS
            _keep(mutant, code)
            if code not in (KILLED, TIMED_OUT) or count % 50 == 0:
                said = "" if code in (KILLED, TIMED_OUT) else f" survived: {mutant}"
                print(f"{count} of {len(self._mutants)}{said}", file=sys.stderr)
        return True


def function_of(mutant: str) -> str:
    """Return the name under which mutmut keeps the tests of a mutant."""
    return mutant.partition("__mutmut_")[0]


def _judge(mutant: str, items: Iterable[pytest.Item], limit: int) -> int:
    """Return what becomes of a mutant that may take so many seconds of the processor."""
    process = os.fork()
    if process == 0:
        # NB: whatever happens here, it must not return into the session.
        code = KILLED
        try:
            code = _try(mutant, items, limit)
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    return TIMED_OUT if code < 0 else code


def _try(mutant: str, items: Iterable[pytest.Item], limit: int) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_WALL_SECONDS)
    set_mutant_under_test(mutant)
    for item in items:
        if any(report.failed for report in runtestprotocol(item, nextitem=None, log=False)):
            return KILLED
    return SURVIVED


def _keep(mutant: str, code: int) -> None:
    """Write a verdict where mutmut looks for it."""
    module = mutant.partition(".x_")[0].partition(".xǁ")[0]
    file = Path(f"{module.replace('.', '/')}.py.meta")
    body = json.loads(file.read_text())
    body["exit_code_by_key"][mutant] = code
    file.write_text(json.dumps(body, indent=4))


def main() -> int:
    """Try the mutants on standard input."""
    mutants = sys.stdin.read().split()
    stats = json.loads(Path("mutmut-stats.json").read_text())
    tests = stats["tests_by_mangled_function_name"]
    functions = {function_of(mutant) for mutant in mutants}
    files = {name.partition("::")[0] for function in functions for name in tests.get(function, ())}
    if not files:
        # pytest would take no file for all files.
        for mutant in mutants:
            _keep(mutant, WITHOUT_TESTS)
        return 0
    # The mutated sources of this folder come before the installed ones.
    sys.path.insert(0, str(Path.cwd()))
    set_mutant_under_test("")
    arguments = [*config().pytest_add_cli_args, "-q", "-p", "no:cacheprovider", *sorted(files)]
    code = int(pytest.main(arguments, plugins=[Session(mutants, stats)]))
    # No test ran in the session itself.
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else code


if __name__ == "__main__":
    sys.exit(main())
