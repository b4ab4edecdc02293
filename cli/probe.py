"""`gamekeeper probe`: runs one service quality here, once, with the agent's own code.

For whoever writes a probe: what the agent would see, and which actions that would match. The target
is this machine, or a process of it whose view (root, folder, user, environment) the command gets.
"""

from __future__ import annotations

import os
import selectors
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.exec import helper
from agent.exec.engine import ProcrootEngine
from agent.exec.resolve import MainProcess, read_process
from agent.probes.handlers import Handlers
from aggregator.quality.match import contribution, verdict_of
from aggregator.quality.probes import plan_probes
from cli.manifests import check_set, read_yaml
from cli.output import print_document
from cli.probe_text import render_run
from shared.api import names
from shared.api.gameserverset import GameServerSet
from shared.clock import monotonic_seconds
from shared.errors import InvalidInput
from shared.protocol.report import Status
from shared.protocol.wire import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.probes.outcome import Outcome
    from shared.api.service_quality import ServiceQuality, ServiceQualityAction
    from shared.protocol.probes import ProbeSpec

_QUIET_SECONDS = 1.0
_EXIT_CODES = {Status.TRUE: 0, Status.FALSE: 1, Status.UNKNOWN: 2}


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What to run and where.

    Attributes:
        files: manifests, in which the quality is looked for.
        name: of the service quality.
        container: overrides the quality's containerName; None: as it is written.
        pid: process whose view the command gets; None: this machine as the caller sees it.
        address: where network probes go that name no host.
    """

    files: Sequence[Path]
    name: str
    container: str | None = None
    pid: int | None = None
    address: str = "127.0.0.1"


def run_probe(options: ProbeOptions, output: str) -> int:
    """Run the quality once and print what came of it.

    Returns:
        0 for True, 1 for False, 2 for Unknown.

    Raises:
        InvalidInput: naming what in the files or options is wrong.
    """
    game_server_set, quality = _find_quality(options)
    spec = _probe_of(game_server_set, quality)
    process = _target(options.pid)
    outcome = _run_once(spec, process, options.address)
    document = _describe(quality, spec, outcome, options)
    print_document(document, output, render_run)
    return _EXIT_CODES[outcome.status]


def _find_quality(options: ProbeOptions) -> tuple[GameServerSet, ServiceQuality]:
    sets = [each for file in options.files for each in _read_sets(file)]
    found = [
        (each, quality)
        for each in sets
        for quality in each.spec.service_qualities
        if quality.name == options.name
    ]
    if not found:
        listed = sorted({q.name for each in sets for q in each.spec.service_qualities})
        there = f"there are {', '.join(listed)}" if listed else "there is none in the files"
        raise InvalidInput("", f"--name {options.name}: no such service quality; {there}")
    if len(found) > 1:
        owners = ", ".join(each.metadata.name for each, _ in found)
        message = f"several sets have it ({owners}): give the file of one"
        raise InvalidInput("", f"--name {options.name}: {message}")
    game_server_set, quality = found[0]
    if options.container is not None:
        quality = quality.model_copy(update={"container_name": options.container})
    return game_server_set, quality


def _read_sets(file: Path) -> list[GameServerSet]:
    documents = read_yaml(file)
    found = []
    for number, document in enumerate(documents, start=1):
        if not isinstance(document, dict) or document.get("kind") != names.GAMESERVERSET_KIND:
            continue
        check_set(file, number, document)
        found.append(GameServerSet.model_validate(document))
    if not found:
        raise InvalidInput("", f"{file}: it holds no {names.GAMESERVERSET_KIND}")
    return found


def _probe_of(game_server_set: GameServerSet, quality: ServiceQuality) -> ProbeSpec:
    """Return the probe as an agent would get it: named ports are resolved."""
    alone = game_server_set.spec.model_copy(update={"service_qualities": (quality,)})
    plan = plan_probes(alone)
    if plan.problems:
        raise InvalidInput("", f"{quality.name}: {plan.problems[0].message}")
    return plan.probes[0]


def _target(pid: int | None) -> MainProcess:
    process = read_process(os.getpid() if pid is None else pid)
    if process is None:
        raise InvalidInput("", f"--pid {pid}: there is no such process on this machine")
    return process


def _run_once(spec: ProbeSpec, process: MainProcess, address: str) -> Outcome:
    exec_helper = helper.fork()
    with selectors.DefaultSelector() as selector:
        engine = ProcrootEngine(selector, exec_helper, lambda: 0.0)
        handlers = Handlers(selector, engine, address)
        try:
            return _turn_until_done(spec, process, (engine, handlers), selector)
        finally:
            handlers.close()
            engine.close()
            os.waitpid(exec_helper.pid, 0)


def _turn_until_done(
    spec: ProbeSpec,
    process: MainProcess,
    parts: tuple[ProcrootEngine, Handlers],
    selector: selectors.BaseSelector,
) -> Outcome:
    outcomes: list[Outcome] = []
    parts[1].start(spec, process, outcomes.append)
    tell_at: float | None = monotonic_seconds() + _QUIET_SECONDS
    while not outcomes:
        times = [tell_at, *(part.deadline() for part in parts)]
        planned = [time for time in times if time is not None]
        wait = max(0.0, min(planned) - monotonic_seconds()) if planned else None
        for key, _ in selector.select(wait):
            if selector.get_map().get(key.fd) is key:
                key.data()
        now = monotonic_seconds()
        for part in parts:
            part.step(now)
        if tell_at is not None and tell_at <= now and not outcomes:
            tell_at = None
            most = f"at most {spec.timeout_seconds} s"
            print(f"gamekeeper probe: {spec.name} is running ({most})", file=sys.stderr)
    return outcomes[0]


def _describe(
    quality: ServiceQuality, spec: ProbeSpec, outcome: Outcome, options: ProbeOptions
) -> dict[str, Any]:
    where = "this machine" if options.pid is None else f"process {options.pid}"
    return {
        "name": spec.name,
        "containerName": spec.container_name,
        "target": f"{where}, network {options.address}",
        "probe": render(spec),
        "outcome": render(outcome),
        "actions": [
            _describe_action(number, action, quality, outcome)
            for number, action in enumerate(quality.service_quality_action, start=1)
        ],
    }


def _describe_action(
    number: int, action: ServiceQualityAction, quality: ServiceQuality, outcome: Outcome
) -> dict[str, Any]:
    described: dict[str, Any] = {"number": number, "state": action.state, "result": action.result}
    if outcome.status == Status.UNKNOWN:
        return described | {"matches": False, "because": "Unknown never matches an action"}
    is_true = outcome.status == Status.TRUE
    alone = quality.model_copy(update={"service_quality_action": (action,)})
    asked = contribution(alone, verdict_of("True" if is_true else "False", outcome.result))
    if not asked.actions:
        differs = "the verdict" if action.state is not is_true else "the result"
        return described | {"matches": False, "because": f"{differs} is another"}
    return described | {
        "matches": True,
        "sets": {".".join(field): value for field, value in asked.fields.items()},
        "skips": {".".join(field): reason for field, reason in asked.skipped},
    }
