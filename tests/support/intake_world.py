"""The rest of the aggregator, as far as the report intake sees it, and reports to send to it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aggregator.intake.auth import PodIdentity
from aggregator.intake.batches import ReportBatch
from aggregator.intake.routes import IntakePorts
from aggregator.ledger import Ledger
from aggregator.reviews import Unauthenticated
from shared.protocol.probes import ExecAction, ProbeSpec

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from aiohttp.test_utils import TestClient

    from aggregator.kube.resources import ObjectKey
    from shared.protocol.report import Report

POD = PodIdentity("games", "minecraft-0", "uid-0", "default")
PROBES = (ProbeSpec("idle", "game", exec=ExecAction(("./probe.sh",))),)


@dataclass
class Aggregator:
    """The rest of the aggregator, as far as the intake sees it."""

    ledger: Ledger = field(default_factory=lambda: Ledger(0, 10))
    known: bool = True
    seconds: float = 0.0
    accepted: list[tuple[ObjectKey, bool]] = field(default_factory=list)
    failure: Exception | None = None
    leading: bool = True
    counted: Counter[str] = field(default_factory=Counter)
    reports: list[Report] = field(default_factory=list)
    batch: ReportBatch = field(default_factory=ReportBatch)

    async def authenticate(self, token: str) -> PodIdentity:
        if self.failure is not None:
            raise self.failure
        if token != "good":
            raise Unauthenticated("the token is not valid")
        return POD

    def ports(self) -> IntakePorts:
        return IntakePorts(
            authenticate=self.authenticate,
            ledger=self.ledger,
            probes_for=lambda identity: ("r2", PROBES) if self.known else None,
            on_accepted=lambda key, changed: self.accepted.append((key, changed)),
            heartbeat_seconds=10,
            monotonic=lambda: self.seconds,
            leading=lambda: self.leading,
            on_report=self.reports.append,
            count=lambda outcome: self.counted.update([outcome]),
            batch=self.batch,
        )

    def took_nothing(self) -> bool:
        """Whether nothing that was sent had any effect."""
        return (self.accepted, self.reports, len(self.ledger)) == ([], [], 0)


def report(epoch: int = 1, sequence: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "podUid": "uid-0",
        "epoch": epoch,
        "sequence": sequence,
        "sentAt": "2026-06-01T12:00:00Z",
        "agentVersion": "0.1.0",
        "probesRevision": "r2",
        "probes": [{"name": "idle", "status": "True", "result": "empty"}],
    } | fields


async def post(http: TestClient, body: Any, **headers: str) -> ClientResponse:
    defaults = {"Authorization": "Bearer good", "Content-Type": "application/json"}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await http.post("/v1/reports", data=data, headers=defaults | headers)
