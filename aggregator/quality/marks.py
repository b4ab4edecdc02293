"""Whether a WaitToBeDeleted still counts (SPEC 4.10). Pure.

A quality that marked a server as idle may fall silent: its agent is lost, its container restarts.
Nobody knows then whether players have come since, so the mark counts as None wherever servers are
chosen or counted, and counts again once the probe says so. A mark set by hand is not touched.
NB: a person who sets by hand what a quality had written before cannot be told from the quality;
the server then is spared for longer, which is the safe side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.quality.fields import OPS_STATE
from aggregator.quality.verdicts import parse_records
from shared.api import names

if TYPE_CHECKING:
    from shared.api.gameserver import GameServer

_UNKNOWN = "Unknown"


def counted_ops_state(server: GameServer, pod_uid: str) -> str:
    """Return the opsState that selection and scaling count with: None for a stale mark.

    Args:
        server: with the records of its qualities and their conditions.
        pod_uid: of the pod it speaks for; conditions of an earlier pod say nothing about it.
    """
    return names.OPS_STATE_NONE if is_stale_mark(server, pod_uid) else server.spec.ops_state


def is_stale_mark(server: GameServer, pod_uid: str) -> bool:
    """Tell whether the server is WaitToBeDeleted on the word of qualities that are all Unknown."""
    if server.spec.ops_state != names.OPS_STATE_WAIT_TO_BE_DELETED:
        return False
    records = parse_records(server.metadata.annotations.get(names.VERDICTS_ANNOTATION))
    writers = [
        name
        for name, record in records.items()
        if record.fields.get(OPS_STATE) == names.OPS_STATE_WAIT_TO_BE_DELETED
    ]
    known = {
        condition.name
        for condition in server.status.service_qualities_conditions
        if server.status.pod_uid == pod_uid and condition.status != _UNKNOWN
    }
    return bool(writers) and known.isdisjoint(writers)
