"""The annotation that remembers the last acted-on verdicts of a GameServer (SPEC 4.2). Pure.

It is written in the same patch as the effect, and edges are computed against it, never against
memory or status: so neither a crash nor a new leader makes or loses an edge. Its form is a
promise:

    gamekeeper.dev/service-quality-verdicts: {"healthy": {
        "status": "True",                       the verdict
        "resultHash": "5feceb66ffc86f38d952",   of the cleaned result
        "result": "0",                          the cleaned result, absent if empty or unwieldy
        "podUid": "...",                        of which pod; a record of another pod is void
        "executedAt": "2026-01-02T03:04:05.678Z",  when its actions last ran, absent if never
        "fields": {"opsState": "None", "labels": {"team": "red"}}}}   what they wrote
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aggregator.quality.fields import CONTAINERS, Field, FieldValue
from aggregator.quality.match import Verdict, hash_result
from shared.protocol.wire import render_time

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bytes of a result in JSON. Control characters take six each, and the annotations of an object may
# have 256 KiB together: https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations
_MAX_RESULT = 1024 + 2
_EMPTY_HASH = hash_result("")


@dataclass(frozen=True, slots=True)
class Record:
    """The last acted-on verdict of one service quality.

    Attributes:
        executed_at: in whole milliseconds, as the annotation keeps it; None when no action ran yet.
        fields: what its actions wrote, not what they found there already: that is somebody else's.
    """

    verdict: Verdict
    pod_uid: str
    executed_at: datetime | None = None
    fields: Mapping[Field, FieldValue] = field(default_factory=dict)


def render_records(records: Mapping[str, Record]) -> str:
    """Return the annotation's text; equal records give equal text."""
    body = {name: _render(record) for name, record in records.items()}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse_records(text: str | None) -> dict[str, Record]:
    """Return the records in the annotation's text.

    An entry that a person has spoiled is left out: its quality then has a first verdict again,
    which is what deleting the entry means. It never stops the others.
    """
    if not text:
        return {}
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        # Brackets without end are no JSON error to Python.
        return {}
    if not isinstance(body, dict):
        return {}
    parsed = {name: _parse(entry) for name, entry in body.items()}
    return {name: record for name, record in parsed.items() if record is not None}


def nest(fields: Mapping[Field, FieldValue]) -> dict[str, Any]:
    """Return fields by path as a nested object."""
    nested: dict[str, Any] = {}
    for path, value in fields.items():
        parent = nested
        for key in path[:-1]:
            parent = parent.setdefault(key, {})
        parent[path[-1]] = value
    return nested


def _render(record: Record) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "status": record.verdict.status,
        "resultHash": record.verdict.result_hash,
        "podUid": record.pod_uid,
    }
    result = record.verdict.result
    if result and len(json.dumps(result, ensure_ascii=False).encode()) <= _MAX_RESULT:
        entry["result"] = result
    if record.executed_at is not None:
        entry["executedAt"] = render_time(record.executed_at)
    if record.fields:
        entry["fields"] = nest(record.fields)
    return entry


def _parse(entry: Any) -> Record | None:
    match entry:
        case {"status": "True" | "False" as status, "resultHash": str(digest), "podUid": str(uid)}:
            return Record(
                verdict=Verdict(status, digest, _parse_result(entry.get("result"), digest)),
                pod_uid=uid,
                executed_at=_parse_time(entry.get("executedAt")),
                fields=dict(_flatten(entry.get("fields"))),
            )
    return None


def _parse_result(text: Any, digest: str) -> str | None:
    """Return the result, None when it is not there or is not the one that was acted on."""
    if text is None and digest == _EMPTY_HASH:
        return ""
    return text if isinstance(text, str) and hash_result(text) == digest else None


def _parse_time(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _flatten(fields: Any) -> list[tuple[Field, FieldValue]]:
    if not isinstance(fields, dict):
        return []
    flat: list[tuple[Field, FieldValue]] = []
    for key, value in fields.items():
        if key == CONTAINERS:
            flat += _flatten_containers(value)
        elif isinstance(value, dict):
            flat += [((key, name), text) for name, text in value.items() if isinstance(text, str)]
        elif isinstance(value, str | int):
            flat.append(((key,), value))
    return flat


def _flatten_containers(containers: Any) -> list[tuple[Field, FieldValue]]:
    if not isinstance(containers, dict):
        return []
    return [
        ((CONTAINERS, name, part), text)
        for name, parts in containers.items()
        if isinstance(parts, dict)
        for part, text in parts.items()
        if isinstance(text, str)
    ]
