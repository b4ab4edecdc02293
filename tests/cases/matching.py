"""Runs matching cases: verdicts, one step after another, on one GameServer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aggregator.quality.fields import CONTAINERS, Field, FieldValue, container_fields
from aggregator.quality.match import Verdict, verdict_of
from aggregator.quality.merge import Situation, decide
from aggregator.quality.verdicts import nest, parse_records, render_records
from aggregator.selection import parse_priority
from shared.api.gameserver import GameServerContainer
from shared.api.service_quality import ServiceQuality
from tests.cases.outcome import CaseOutcome

_POD_UID = "pod-1"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run(case: dict[str, Any]) -> CaseOutcome:
    """Return the first step that comes out wrong, or the whole case as passed."""
    qualities = [ServiceQuality.model_validate(item) for item in case["serviceQualities"]]
    present = _flatten(case["start"])
    annotation: str | None = None
    for number, step in enumerate(case["steps"], start=1):
        present |= _flatten(step.get("userSets", {}))
        effects = decide(
            Situation(
                qualities=qualities,
                # The annotation is the only memory, so every step goes through its text.
                records=parse_records(annotation),
                verdicts=_verdicts(step),
                present=present,
                pod_uid=_POD_UID,
                now=_NOW,
            )
        )
        writes = dict(effects.writes) if effects is not None else {}
        expected = {
            field: value
            for field, value in _flatten(step["expectWrite"] or {}).items()
            if present.get(field) != value
        }
        if writes != expected:
            return CaseOutcome(
                case["case"], case["note"], nest(expected), nest(writes), f"step {number}"
            )
        present |= writes
        if effects is not None:
            annotation = render_records(effects.records)
    return CaseOutcome(case["case"], case["note"], expected={}, actual={})


def _verdicts(step: dict[str, Any]) -> dict[str, Verdict]:
    verdicts = {}
    for name, verdict in step["verdicts"].items():
        if verdict["status"] != "Unknown":
            verdicts[name] = verdict_of(verdict["status"], verdict["result"])
    return verdicts


def _flatten(fields: dict[str, Any]) -> dict[Field, FieldValue]:
    """Return the fields of a manifest by path, as production reads them of a GameServer."""
    flat: dict[Field, FieldValue] = {}
    for name, value in fields.items():
        if name == CONTAINERS:
            flat |= container_fields(GameServerContainer.model_validate(item) for item in value)
        elif isinstance(value, dict):
            flat |= {(name, key): item for key, item in value.items()}
        elif name.endswith("Priority"):
            flat[(name,)] = parse_priority(value).value
        else:
            flat[(name,)] = value
    return flat
