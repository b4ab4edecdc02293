"""What the status API answers, as plain data. No I/O.

`shared.protocol.wire.render` makes JSON of it: camelCase names, times in UTC, nothing for None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aggregator.status.changes import Action, Transition
    from aggregator.status.explain import ActedOn, ExplainedAction, ExplainedField
    from aggregator.status.history import Run
    from shared.protocol.report import ContainerReport, ProbeReport


@dataclass(frozen=True, slots=True)
class ServerSummary:
    """A server in a list.

    Attributes:
        game_server_set: name of its set; empty for an orphan.
        agent: Reporting, NoReport, AgentLost, AgentMissing or NoPod.
        verdicts: by name of the quality, for example `True(empty)`, as last reported.
        deletion: why the server was chosen for deletion; None while it was not.
    """

    namespace: str
    name: str
    game_server_set: str
    state: str
    ops_state: str
    deletion_priority: int | str
    update_priority: int | str
    agent: str
    verdicts: Mapping[str, str]
    deletion: str | None


@dataclass(frozen=True, slots=True)
class AgentDocument:
    """The agent of a server.

    Attributes:
        probes_revision: that it runs.
        wanted_probes_revision: that it should run; it gets the list with its next answer.
        silent_seconds: since its last report.
        lost_in_seconds: until its verdicts stop counting if it stays silent; 0 when they have.
    """

    state: str
    version: str | None = None
    epoch: int | None = None
    sequence: int | None = None
    received_at: datetime | None = None
    silent_seconds: float | None = None
    lost_in_seconds: float | None = None
    probes_revision: str | None = None
    wanted_probes_revision: str | None = None
    containers: tuple[ContainerReport, ...] = ()


@dataclass(frozen=True, slots=True)
class QualityDocument:
    """One quality of one server: what was reported, and what became of it.

    Attributes:
        verdict: as last reported; None before the first report of this probe.
        decision: a reason in CamelCase, see `explain.Decision`.
        runs: the oldest first, as far as reports told of them.
    """

    name: str
    permanent: bool
    decision: str
    message: str
    verdict: ProbeReport | None
    acted_on: ActedOn | None
    actions: tuple[ExplainedAction, ...]
    fields: tuple[ExplainedField, ...]
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class ServerDocument:
    """Everything about one server.

    Attributes:
        actions: executed ones, the newest last.
        transitions: at most 50, the newest last.
        observed_since: start of this process: what was before is in no history.
    """

    summary: ServerSummary
    pod_uid: str
    network_disabled: bool | None
    agent: AgentDocument
    qualities: tuple[QualityDocument, ...]
    actions: tuple[Action, ...]
    transitions: tuple[Transition, ...]
    observed_since: datetime


@dataclass(frozen=True, slots=True)
class SetQuality:
    """One quality of a set, over all its servers.

    Attributes:
        verdicts: number of servers by verdict: True, False, Unknown.
        decisions: number of servers by decision.
    """

    name: str
    permanent: bool
    verdicts: Mapping[str, int]
    decisions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ConditionDocument:
    """A condition of a set."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SetSummary:
    """A set in a list.

    Attributes:
        replicas: wanted.
        ops_states: number of live servers by opsState.
        agents: number of live servers by the state of their agent.
    """

    namespace: str
    name: str
    replicas: int
    current_replicas: int
    ready_replicas: int
    ops_states: Mapping[str, int]
    agents: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SetDocument:
    """Everything about one set but the histories of its servers.

    Attributes:
        servers: the first 500, in the order of their ids.
        servers_omitted: how many there are beyond; the list of servers has them.
        observed_at: when its servers were looked over: a large set is not looked over for everyone.
    """

    summary: SetSummary
    generation: int
    observed_generation: int
    conditions: tuple[ConditionDocument, ...]
    qualities: tuple[SetQuality, ...]
    servers: tuple[ServerSummary, ...]
    servers_omitted: int
    observed_at: datetime
    observed_since: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        next: what to ask for with `continue=`; None at the end.
    """

    items: tuple[ServerSummary, ...] | tuple[SetSummary, ...]
    next: str | None = None
