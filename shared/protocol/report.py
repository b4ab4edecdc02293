"""Report protocol v1: what an agent says and what it is answered (SPEC 3). Pure.

A report is always the whole current state of one agent, so losing any message costs time, never
truth. Standard library only. The aggregator decodes these same dataclasses with pydantic, which
reads `__pydantic_config__` (it means nothing to the agent), so that the two sides cannot part.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - pydantic reads the annotation at run time
from enum import StrEnum
from typing import Any

from shared.protocol.paths import MAX_RESULT_BYTES
from shared.protocol.probes import ProbeList, parse_probe_list
from shared.protocol.reading import ObjectReader
from shared.protocol.wire import camel

_WIRE: dict[str, Any] = {"alias_generator": camel, "extra": "forbid", "populate_by_name": True}


class Status(StrEnum):
    """The verdict of a probe. `Unknown`: it could not be run; that never matches an action."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class ContainerReport:
    """One probed container as the agent sees it."""

    name: str
    running: bool
    started_at: datetime | None = None

    __pydantic_config__ = _WIRE


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """The published verdict of one probe and how it came about.

    Attributes:
        name: name of the service quality.
        status: the published verdict.
        result: cleaned stdout (SPEC 2.3), at most 1024 bytes.
        reason: CamelCase, see reasons.py; always set when the status is Unknown.
        message: one line that says what to do about the reason.
        exit_code: of the last run, when there was a process.
        stderr: last 1 KiB of the last run, for people; never the result.
        started_at: start of the last run.
        duration_seconds: of the last run.
        transition_at: when status or result last changed.
        runs: number of runs since the container started.
        consecutive: number of equal states in a row, the last run included.
    """

    name: str
    status: Status
    result: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    stderr: str = ""
    started_at: datetime | None = None
    duration_seconds: float | None = None
    transition_at: datetime | None = None
    runs: int = 0
    consecutive: int = 0

    __pydantic_config__ = _WIRE


@dataclass(frozen=True, slots=True)
class Report:
    """The whole current state of one agent.

    Attributes:
        pod_uid: uid of the agent's pod; the token decides, this must agree with it.
        epoch: start of the agent in milliseconds; a new epoch beats any sequence of an older one.
        sequence: counts the reports of an epoch from 1.
        probes_revision: revision of the probe list the agent runs; empty before the first.
    """

    pod_uid: str
    epoch: int
    sequence: int
    sent_at: datetime
    agent_version: str
    probes_revision: str
    containers: tuple[ContainerReport, ...] = ()
    probes: tuple[ProbeReport, ...] = ()

    __pydantic_config__ = _WIRE


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a 200. `probes` is there only when the agent's revision is an old one."""

    probes_revision: str
    heartbeat_seconds: float
    probes: ProbeList | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """The body of every other status.

    Attributes:
        reason: CamelCase.
        field: path of the offending field, for a 400.
        epoch: the accepted epoch, for a 409: a living agent goes on with max(own, epoch) + 1.
    """

    reason: str
    message: str
    field: str | None = None
    epoch: int | None = None


def parse_answer(body: Any) -> Answer:
    """Return the answer that a decoded JSON body holds.

    Raises:
        InvalidInput: naming the field; the agent keeps its last good list and says so in /status.
    """
    fields = ObjectReader.of(body, "")
    probes = fields.optional("probes")
    return Answer(
        probes_revision=fields.text("probesRevision", max_length=64),
        heartbeat_seconds=fields.number("heartbeatSeconds", least=0.1, most=3600),
        probes=None if probes is None else parse_probe_list(probes, "probes"),
    )


_DROPPED = str.maketrans("", "", "\r\n|")


def clean_result(raw: str) -> str:
    r"""Return a probe's output as the result that actions match.

    Without `\r`, `\n` and `|`, trimmed, at most 1024 bytes, cut at a character.
    Source: OpenKruise's pod probe marker drops the same characters.
    """
    cleaned = raw.translate(_DROPPED).strip()
    encoded = cleaned.encode()
    if len(encoded) <= MAX_RESULT_BYTES:
        return cleaned
    return encoded[:MAX_RESULT_BYTES].decode(errors="ignore").rstrip()
