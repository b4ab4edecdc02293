"""A GameServer as the decision about its qualities sees it, over several steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aggregator.quality.match import OPS_STATE, Verdict, verdict_of
from aggregator.quality.merge import Executed, Situation, decide
from aggregator.quality.verdicts import parse_records, render_records
from tests.support.builders import NOW, quality

# As the annotation keeps it.
NOW_AS_KEPT = NOW.replace(microsecond=678_000)
IDLE = quality(
    "idle", {"state": True, "opsState": "WaitToBeDeleted"}, {"state": False, "opsState": "None"}
)
HEALTHY = quality(
    "healthy", {"state": True, "opsState": "None"}, {"state": False, "opsState": "Maintaining"}
)
ONCE = quality("once", {"state": True, "result": "full", "opsState": "Allocated"}, permanent=True)


def seen(**statuses: str) -> dict[str, Verdict]:
    """`idle="True"` or `idle="True:result"`."""
    verdicts = {}
    for name, text in statuses.items():
        status, _, result = text.partition(":")
        verdicts[name] = verdict_of("True" if status == "True" else "False", result)
    return verdicts


@dataclass
class Server:
    """A GameServer as the decision sees it: its fields and its annotation, over several steps."""

    qualities: tuple[Any, ...]
    present: dict[tuple[str, ...], Any] = field(default_factory=lambda: {OPS_STATE: "None"})
    annotation: str | None = None
    pod_uid: str = "pod-0"
    executed: tuple[Executed, ...] = ()

    def step(self, **statuses: str) -> dict[tuple[str, ...], Any] | None:
        """Decide and apply; the fields written, None when no quality had an edge."""
        self.executed = ()
        effects = decide(
            Situation(
                self.qualities,
                parse_records(self.annotation),
                seen(**statuses),
                self.present,
                self.pod_uid,
                NOW,
            )
        )
        if effects is None:
            return None
        self.executed = effects.executed
        self.annotation = render_records(effects.records)
        self.present |= effects.writes
        return dict(effects.writes)


def written_by(server: Server) -> dict[str, Any]:
    """By quality: the opsState that it wrote, as its record says."""
    records = parse_records(server.annotation)
    return {name: record.fields.get(OPS_STATE) for name, record in records.items()}
