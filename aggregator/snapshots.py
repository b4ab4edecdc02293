"""What the autoscalers see of a set: its servers, from pods and GameServers. Pure.

Both autoscalers, the built-in one and KEDA's, look at the very same picture. It is taken from the
objects themselves: totals in a status and labels of a pod lag behind.

When a server was marked is kept where a restart does not lose it: in the annotation that is written
with the pod's mirror label. Until the label shows the mark, the mark is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from aggregator.binding import claim_on, speaks_for
from aggregator.quality.marks import is_stale_mark
from aggregator.quality.verdicts import parse_records
from aggregator.scaling.policy import ServerView, Snapshot
from aggregator.selection import parse_priority
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet

_LOWERS_REPLICAS = frozenset({"Kill", "Autoscaler"})
_NOTHING: frozenset[str] = frozenset()


def take_snapshot(
    owner: GameServerSet,
    pairs: Iterable[tuple[Pod, GameServer | None]],
    now: datetime,
    claimed: Collection[str] = _NOTHING,
    *,
    marks_idle: bool = False,
) -> Snapshot:
    """Return what there is of a set.

    Args:
        owner: the set.
        pairs: the pods that it controls, each with the GameServer of its name.
        now: counts as the time of a mark that is not mirrored yet.
        claimed: uids of pods that we claimed and whose claim the cache may not show yet.
        marks_idle: the set's probe marks every empty server, so one that it has not looked at yet
            has no opsState that means anything.
    """
    annotation = owner.metadata.annotations.get(names.ACCOUNTED_ANNOTATION, "")
    picture = _Picture(
        now,
        claimed,
        accounted=frozenset(part.strip() for part in annotation.split(",")),
        probed=marks_idle and bool(owner.spec.service_qualities),
    )
    views = []
    for pod, server in pairs:
        id_ = _id_of(owner.metadata.name, pod.metadata.name)
        if id_ is not None:
            own = server if server is not None and speaks_for(server, pod.metadata.uid) else None
            views.append(_view(id_, pod, own, picture))
    observed = owner.status.observed_generation == owner.metadata.generation
    return Snapshot(owner.spec.replicas, tuple(views), observed)


@dataclass(frozen=True, slots=True)
class _Picture:
    """What all servers of a snapshot share."""

    now: datetime
    claimed: Collection[str]
    accounted: frozenset[str]
    probed: bool


def _view(id_: int, pod: Pod, server: GameServer | None, picture: _Picture) -> ServerView:
    uid = pod.metadata.uid
    if server is None:
        # Its GameServer is on its way: it boots, and has no opsState yet.
        return ServerView(id_, "", "", leaving=pod.terminating, pod_uid=uid)
    claim = "Autoscaler" if uid in picture.claimed else claim_on(server, pod)
    ops_state = server.spec.ops_state
    marked = ops_state == names.OPS_STATE_WAIT_TO_BE_DELETED
    if picture.probed and ops_state == names.OPS_STATE_NONE and not _was_probed(server, uid):
        ops_state = ""
    going = pod.terminating or server.metadata.deletion_timestamp is not None
    return ServerView(
        id=id_,
        ops_state=ops_state,
        state=server.status.current_state,
        marked_since=_marked_since(pod, picture.now) if marked else None,
        deletion_priority=parse_priority(server.spec.deletion_priority).value,
        leaving=going or claim is not None,
        unaccounted=claim in _LOWERS_REPLICAS and uid not in picture.accounted,
        stale=marked and is_stale_mark(server, uid),
        pod_uid=uid,
    )


def _was_probed(server: GameServer, pod_uid: str) -> bool:
    records = parse_records(server.metadata.annotations.get(names.VERDICTS_ANNOTATION))
    return any(record.pod_uid == pod_uid for record in records.values())


def _marked_since(pod: Pod, now: datetime) -> datetime | None:
    """Return when the server was marked; None for longer than the pod's age can tell."""
    mirrored = pod.metadata.labels.get(names.OPS_STATE_LABEL)
    if mirrored != names.OPS_STATE_WAIT_TO_BE_DELETED:
        return now
    text = pod.metadata.annotations.get(names.OPS_STATE_CHANGED_ANNOTATION, "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        # Somebody spoiled it. A mark that never counts would keep the server for ever.
        return pod.metadata.creation_timestamp
    return moment if moment.tzinfo is not None else pod.metadata.creation_timestamp


def _id_of(set_name: str, pod_name: str) -> int | None:
    prefix, _, tail = pod_name.rpartition("-")
    if prefix != set_name or not (tail.isascii() and tail.isdigit()):
        return None
    return int(tail)
