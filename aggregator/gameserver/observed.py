"""Everything that a decision about one game server looks at. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.gameserver.conditions import Surroundings
from aggregator.gameserver.precedence import overtaken_for

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet
    from shared.protocol.report import ProbeReport, Report


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is known about one game server.

    Attributes:
        pod: None when it does not exist.
        server: the GameServer, None when it does not exist.
        owner: the set of the pod, or of the server without a pod; None when it does not exist.
        report: the last accepted report of this very pod.
        lost: the agent has been silent for too long.
        remembered_at: when verdicts without an effect were last written for this server.
        around: node and volumes of the pod.
        awaited: without a pod: the set has too few servers, so it may create one of this name.
        alone_for: without a pod: for how long that has been so.
        at_report: the server as it was when the report came; None when that is not known.
    """

    pod: Pod | None
    server: GameServer | None
    owner: GameServerSet | None
    report: Report | None
    lost: bool
    remembered_at: datetime | None
    now: datetime
    around: Surroundings = field(default_factory=Surroundings)
    awaited: bool = True
    alone_for: timedelta | None = None
    at_report: GameServer | None = None

    @property
    def reports(self) -> dict[str, ProbeReport]:
        """The reported probes by name; empty before the first report."""
        return {probe.name: probe for probe in self.report.probes} if self.report else {}

    @property
    def overtaken_for(self) -> timedelta | None:
        """For how long the report counts for nothing, because a later one was acted on."""
        if self.server is None or self.report is None:
            return None
        return overtaken_for(self.server, self.report, self.now)
