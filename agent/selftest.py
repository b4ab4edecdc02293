"""Enters each container once when it is found, before its first probe is due (AGENT-EXEC).

A wrong security profile shows at once then: in /status, in the log and as the reason of the probes,
not after the initial delay. Nothing is run in the container.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.log import data
from agent.probes.exec import ExecBackend, ExecRun, RunningExec, outcome_of
from shared.protocol.report import Status
from shared.protocol.wire import render

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from agent.containers import Containers
    from agent.exec.resolve import MainProcess
    from agent.probes.outcome import Outcome

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
_NOTHING: tuple[str, ...] = ()


@dataclass(slots=True)
class _Trial:
    """One entry into one run of a container; `outcome` is None while it is under way."""

    process: MainProcess
    running: RunningExec | None = None
    outcome: Outcome | None = None


class SelfTest:
    """Tries the exec back end on every container that exec probes need.

    Args:
        containers: where main processes come from.
        backend: what is tried.
        on_refused: called with a container and the reason why it cannot be entered.
    """

    def __init__(
        self,
        containers: Containers,
        backend: ExecBackend,
        on_refused: Callable[[str, Outcome], None],
    ) -> None:
        self._containers = containers
        self._backend = backend
        self._on_refused = on_refused
        self._trials: dict[str, _Trial] = {}

    def look(self, names: Collection[str]) -> None:
        """Try the containers of these names that run and were not tried yet; forget the others."""
        for name in [name for name in self._trials if name not in names]:
            _cancel(self._trials.pop(name))
        for name in names:
            container = self._containers.get(name)
            trial = self._trials.get(name)
            if trial is not None and (container is None or trial.process != container.process):
                _cancel(self._trials.pop(name))
                trial = None
            if container is not None and trial is None:
                self._try(name, container.process)

    def describe(self) -> dict[str, Any]:
        """Return the latest result for each container, for /status."""
        return {name: _describe(trial.outcome) for name, trial in sorted(self._trials.items())}

    def close(self) -> None:
        """Cancel what is under way."""
        self.look(())

    def _try(self, name: str, process: MainProcess) -> None:
        trial = self._trials[name] = _Trial(process)

        def on_done(run: ExecRun) -> None:
            trial.running = None
            trial.outcome = outcome_of(run)
            self._tell(name, trial.outcome)

        trial.running = self._backend.start(process, _NOTHING, TIMEOUT_SECONDS, on_done)

    def _tell(self, name: str, outcome: Outcome) -> None:
        if outcome.status == Status.TRUE:
            took = outcome.duration_seconds
            log.info("self-test passed", extra=data(container=name, seconds=took))
            return
        found = data(container=name, reason=outcome.reason, error=outcome.message)
        log.warning("self-test failed", extra=found)
        self._on_refused(name, outcome)


def _describe(outcome: Outcome | None) -> dict[str, Any]:
    if outcome is None:
        return {"passed": None}
    return {
        "passed": outcome.status == Status.TRUE,
        "reason": outcome.reason,
        "message": outcome.message,
        "at": render(outcome.started_at),
        "durationSeconds": outcome.duration_seconds,
    }


def _cancel(trial: _Trial) -> None:
    if trial.running is not None:
        trial.running.cancel()
        trial.running = None
