"""Plays schedules from the command line: `make simulate`.

python -m tests.simulation --count 100000      many, on all cores
python -m tests.simulation --seed 17           one, and tells all that happens in it
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.simulation.play import play
from tests.simulation.runner import describe, play_all

_TELL_EVERY = 1_000
_MOST_FAILURES = 10


def main() -> int:
    """Play what was asked for; 1 when an invariant does not hold."""
    parser = argparse.ArgumentParser(description="plays schedules of the set simulator")
    parser.add_argument("--seed", type=int, help="play this one and tell what happens")
    parser.add_argument("--first", type=int, default=0, help="seed to begin with")
    parser.add_argument("--count", type=int, default=100_000, help="how many to play")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        played = play(arguments.seed, tells=True)
        print(*played.story, sep="\n")
        print(played.failure or "every invariant holds")
        return 1 if played.failure else 0
    return _play_many(arguments.first, arguments.count)


def _play_many(first: int, count: int) -> int:
    verdicts: Counter[str] = Counter()
    failures = 0
    for number, played in enumerate(play_all(first, count), start=1):
        verdicts.update(played.verdicts)
        if played.failure:
            failures += 1
            if failures <= _MOST_FAILURES:
                print(describe(played), flush=True)
        if number % _TELL_EVERY == 0:
            print(f"{number} of {count} schedules", file=sys.stderr, flush=True)
    judged = ", ".join(f"{count} {name}s" for name, count in sorted(verdicts.items()))
    print(f"{failures} of {count} schedules failed; judged: {judged}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
