"""A program for tests: runs commands through the real exec engine, inside a pod sandbox.

Reads one JSON object from stdin: {"podUid", "container", "commands", "timeout"}; all commands run
at the same time. Writes {"runs": [...], "openFiles": [before, after]} to stdout.
"""

from __future__ import annotations

import json
import os
import selectors
import sys

from agent.exec import helper

_HELPER = helper.fork()  # before the imports below, as in the agent

from agent.containers import Containers  # noqa: E402
from agent.exec.engine import ProcrootEngine  # noqa: E402
from agent.probes.exec import ExecRun, outcome_of  # noqa: E402
from shared.clock import monotonic_seconds  # noqa: E402
from shared.protocol.wire import render  # noqa: E402


def main() -> None:
    order = json.load(sys.stdin)
    selector = selectors.DefaultSelector()
    engine = ProcrootEngine(selector, _HELPER, lambda: 0.0)
    containers = Containers(selector, order["podUid"], lambda _name: None)
    containers.want({order["container"]: 3}, monotonic_seconds())
    containers.step(monotonic_seconds())
    container = containers.get(order["container"])
    assert container is not None, containers.explain_absence(order["container"])
    before = len(os.listdir("/proc/self/fd"))
    done: dict[int, ExecRun] = {}
    for number, command in enumerate(order["commands"]):

        def on_done(run: ExecRun, number: int = number) -> None:
            done[number] = run

        engine.start(container.process, tuple(command), order["timeout"], on_done)
    while len(done) < len(order["commands"]):
        deadline = engine.deadline()
        wait = None if deadline is None else max(0.0, deadline - monotonic_seconds())
        for key, _ in selector.select(wait):
            if selector.get_map().get(key.fd) is key:
                key.data()
        engine.step(monotonic_seconds())
    after = len(os.listdir("/proc/self/fd"))
    outcomes = [render(outcome_of(run)) for _, run in sorted(done.items())]
    json.dump({"runs": outcomes, "openFiles": [before, after]}, sys.stdout)


if __name__ == "__main__":
    main()
