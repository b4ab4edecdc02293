"""What one run of a probe showed: the handlers' common result. Data only, pure.

An outcome is an observation, not a verdict: verdict.py decides what is published, by the
thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.protocol.report import Status

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of a probe.

    Attributes:
        status: True, False, or Unknown when the probe could not be run.
        result: cleaned output (SPEC 2.3), at most 1024 bytes.
        reason: CamelCase, see shared/protocol/reasons.py: why it is Unknown, or False other than by
            the program's own exit code, or a warning beside True.
        message: one line that says what to do about the reason.
        exit_code: of the program, when it ended by itself.
        stdout, stderr: what was kept of the streams, for people.
        started_at: wall-clock start of the run; None when it could not start.
        duration_seconds: how long it took.
    """

    status: Status
    result: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    started_at: datetime | None = None
    duration_seconds: float | None = None


def unknown(reason: str, message: str) -> Outcome:
    """Return the outcome of a run that could not take place."""
    return Outcome(Status.UNKNOWN, reason=reason, message=message)
