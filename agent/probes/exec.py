"""The exec handler: what the end of a command means for the probe, and what a back end must offer.

The mapping is pure. The back end is an interface, so that pods without a shared PID namespace can
get another one; `exec/engine.py` is the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agent.exec.wire import EXITED, TIMED_OUT, Reply
from agent.probes.outcome import Outcome
from shared.protocol.report import Status, clean_result

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agent.exec.resolve import MainProcess

# 20 runs of every probe are kept for /status; more of each would cost memory in every game pod.
_SHOWN_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class ExecRun:
    """A command that has ended, one way or the other.

    Attributes:
        stdout: the first 10 KiB.
        stderr: the last 4 KiB.
    """

    reply: Reply
    stdout: bytes
    stderr: bytes
    started_at: datetime
    duration_seconds: float


class RunningExec(Protocol):
    """A command that is under way."""

    def cancel(self) -> None:
        """End it and everything it started; its `on_done` is not called any more."""


class ExecBackend(Protocol):
    """Runs commands in containers of this pod.

    Attributes:
        name: as /status shows it.
    """

    name: str

    def start(
        self,
        process: MainProcess,
        command: tuple[str, ...],
        timeout_seconds: float,
        on_done: Callable[[ExecRun], None],
    ) -> RunningExec:
        """Start a command; `on_done` is called once, later, from the main loop.

        Args:
            process: main process of the container.
            command: program and arguments; empty: only enter the container and leave it again.
            timeout_seconds: the whole tree is killed after this time.
            on_done: takes how it ended.
        """


def outcome_of(run: ExecRun) -> Outcome:
    """Return what a finished command means: code 0 is True, any other False, not run is Unknown.

    A timeout is False, with what the command had printed by then as its result.
    126 and 127 are what a POSIX shell returns when it cannot run a command (Shell Command Language,
    2.8.2). Source: SPEC 2.2, 2.3; OpenKruise shows stderr on failure, we always show stdout.
    """
    status, reason, message = _judge(run.reply)
    stdout = run.stdout.decode(errors="replace")
    return Outcome(
        status=status,
        result=clean_result(stdout),
        reason=reason,
        message=message,
        exit_code=run.reply.exit_code if run.reply.ending == EXITED else None,
        stdout=stdout[:_SHOWN_CHARACTERS],
        stderr=run.stderr.decode(errors="replace"),
        started_at=run.started_at,
        duration_seconds=round(run.duration_seconds, 4),
    )


def _judge(reply: Reply) -> tuple[Status, str, str]:
    if reply.ending == TIMED_OUT:
        return (
            Status.FALSE,
            "Timeout",
            "the command was killed: raise timeoutSeconds or make it faster",
        )
    if reply.ending != EXITED:
        return Status.UNKNOWN, reply.reason, reply.message
    match reply.exit_code:
        case 0:
            return Status.TRUE, "", ""
        case 127:
            message = "exit code 127: a command in the script is not in the container; see stderr"
            return Status.UNKNOWN, "ExecNotFound", message
        case 126:
            message = "exit code 126: a command in the script cannot be executed; see stderr"
            return Status.UNKNOWN, "ExecNotExecutable", message
        case _:
            return Status.FALSE, "", ""
