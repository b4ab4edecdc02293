"""One pass over 10,000 servers: `make bench-autoscaler`. Prints a table, then the same as JSON.

Measured is the pure decision alone: census, demand, windows, rates, victims in order. Each set is
the worst of its kind: all of its servers are marked, or idle and too many, so that all are sorted.
It waits for nothing, so what counts is the processor's time: others on the machine do not blur it.
"""

from __future__ import annotations

import json
import random
import sys
from datetime import UTC, datetime, timedelta
from statistics import median
from time import process_time

from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.policy import History, Policy, ServerView, Snapshot

SERVERS = 10_000
RUNS = 50
LIMIT_MS = 20.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPS_STATES = ("None", "Allocated", "Maintaining", "WaitToBeDeleted", "Custom", "Kill", "")


def _servers(ops_states: tuple[str, ...]) -> tuple[ServerView, ...]:
    chosen = random.Random(7)  # noqa: S311 - the same servers in every run
    return tuple(
        ServerView(
            id=id_,
            ops_state=chosen.choice(ops_states),
            state=chosen.choice(("Ready", "NotReady")),
            marked_since=NOW - timedelta(seconds=chosen.randrange(100)),
            deletion_priority=chosen.randrange(10),
        )
        for id_ in range(SERVERS)
    )


def main() -> int:
    """Measure each kind of set; exit 1 when the median of one is above its limit."""
    policy = Policy(0, 20_000, min_available=10, max_available=20)
    rows = []
    for name, ops_states in (
        ("all marked", ("WaitToBeDeleted",)),
        ("all idle", ("None",)),
        ("all in use", ("Allocated",)),
        ("mixed", OPS_STATES),
    ):
        snapshot = Snapshot(SERVERS, _servers(ops_states))
        times = []
        for _ in range(RUNS):
            started = process_time()
            evaluate(snapshot, policy, History(), NOW)
            times.append((process_time() - started) * 1000)
        rows.append({"set": name, "median_ms": median(times), "worst_ms": max(times)})
    print(f"{'10,000 servers':<16}{'median ms':>10}{'worst ms':>10}{'limit ms':>10}")
    for row in rows:
        print(f"{row['set']:<16}{row['median_ms']:>10.2f}{row['worst_ms']:>10.2f}{LIMIT_MS:>10.0f}")
    print(json.dumps(rows))
    return 0 if all(row["median_ms"] <= LIMIT_MS for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
