"""Mirrors a GameServer in its pod's metadata, for selectors and services (SPEC 5.2). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aggregator.selection import parse_priority
from shared.api import names
from shared.api.meta import LABEL_VALUE_PATTERN
from shared.protocol.wire import render_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aggregator.pods import Pod
    from aggregator.quality.fields import Field, FieldValue
    from shared.api.gameserver import GameServer


def plan_mirror(
    pod: Pod,
    server: GameServer,
    writes: Mapping[Field, FieldValue],
    state: str,
    now: datetime,
) -> dict[str, Any] | None:
    """Return the merge patch of the pod's metadata, None when the pod mirrors its server already.

    Args:
        pod: with the labels it has now.
        server: what they mirror.
        writes: fields that the same plan writes to the GameServer: they count already.
        state: of the server now.
        now: for the annotations that say when opsState and state last changed.
    """
    wanted = _labels(server, writes, state)
    if pod.controller is not None:
        # Selectors of people rest on it, and anybody can remove it.
        wanted[names.OWNER_LABEL] = pod.set_name
    present = pod.metadata.labels
    wanted |= _synced("labels", present, server.metadata.labels, writes)
    labels = {key: value for key, value in wanted.items() if present.get(key) != value}
    stamps = {
        names.OPS_STATE_LABEL: names.OPS_STATE_CHANGED_ANNOTATION,
        names.STATE_LABEL: names.STATE_CHANGED_ANNOTATION,
    }
    annotations = {stamps[key]: render_time(now) for key in labels if key in stamps} | _synced(
        "annotations", pod.metadata.annotations, server.metadata.annotations, writes
    )
    patch = {"labels": labels, "annotations": annotations}
    return {name: values for name, values in patch.items() if values} or None


def _synced(
    kind: str,
    present: Mapping[str, str],
    source: Mapping[str, str],
    writes: Mapping[Field, FieldValue],
) -> dict[str, str | None]:
    """Return what to change so that the pod has the `gs-sync/` keys of its server and no others.

    Args:
        kind: labels or annotations.
        present: those of the pod.
        source: those of the server.
        writes: fields that the same plan writes to the server.
    """
    written = {field[1]: str(value) for field, value in writes.items() if field[0] == kind}
    wanted = {
        key: value
        for key, value in {**source, **written}.items()
        if key.startswith(names.SYNC_PREFIX)
    }
    gone = {key: None for key in present if key.startswith(names.SYNC_PREFIX) and key not in wanted}
    return gone | {key: value for key, value in wanted.items() if present.get(key) != value}


def _labels(
    server: GameServer, writes: Mapping[Field, FieldValue], state: str
) -> dict[str, str | None]:
    spec = server.spec
    disabled = writes.get(("networkDisabled",), spec.network_disabled)
    labels = {
        names.STATE_LABEL: state,
        names.OPS_STATE_LABEL: str(writes.get(("opsState",), spec.ops_state)),
        names.UPDATE_PRIORITY_LABEL: _number(writes, "updatePriority", spec.update_priority),
        names.DELETE_PRIORITY_LABEL: _number(writes, "deletionPriority", spec.deletion_priority),
        names.NETWORK_DISABLED_LABEL: None if disabled is None else str(disabled).lower(),
    }
    # A negative number is no legal label value: such a label is removed, not written wrong.
    return {key: value if _is_legal(value) else None for key, value in labels.items()}


def _number(writes: Mapping[Field, FieldValue], name: str, spec: int | str) -> str:
    return str(parse_priority(writes.get((name,), spec)).value)


def _is_legal(value: str | None) -> bool:
    return value is not None and re.fullmatch(LABEL_VALUE_PATTERN, value) is not None
