"""What the autoscalers see of a set: its servers, from pods and GameServers. Pure.

Both autoscalers, the built-in one and KEDA's, look at the very same picture. It is taken from the
objects themselves: totals in a status and labels of a pod lag behind.

When a server was marked is kept where a restart does not lose it: in the annotation that is written
with the pod's mirror label. Until the label shows the mark, the mark is new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    from shared.api.gameserver import DeletionReason, GameServer
    from shared.api.gameserverset import GameServerSet

_LOWERS_REPLICAS = frozenset({"Kill", "Autoscaler"})
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Known:
    """A server as it was described, and what that rests on."""

    pod: Pod
    server: GameServer | None
    probed: bool
    view: ServerView
    claim: DeletionReason | None


ViewMemo = dict[str, _Known]
"""Descriptions by pod uid. Objects of the caches are replaced, never changed: the same two objects
say the same, so of ten thousand servers only those that changed are described again."""


def take_snapshot(
    owner: GameServerSet,
    pairs: Iterable[tuple[Pod, GameServer | None]],
    now: datetime,
    claimed: Collection[str] = _NOTHING,
    *,
    marks_idle: bool = False,
    memo: ViewMemo | None = None,
) -> Snapshot:
    """Return what there is of a set.

    Args:
        owner: the set.
        pairs: the pods that it controls, each with the GameServer of its name.
        now: counts as the time of a mark that is not mirrored yet.
        claimed: uids of pods that we claimed and whose claim the cache may not show yet.
        marks_idle: the set's probe marks every empty server, so one that it has not looked at yet
            has no opsState that means anything.
        memo: descriptions of this set's servers from before; it is brought up to date.
    """
    annotation = owner.metadata.annotations.get(names.ACCOUNTED_ANNOTATION, "")
    accounted = frozenset(part.strip() for part in annotation.split(","))
    probed = marks_idle and bool(owner.spec.service_qualities)
    before = {} if memo is None else memo
    fresh: ViewMemo = {}
    views = []
    for pod, server in pairs:
        uid = pod.metadata.uid
        known = before.get(uid)
        if (
            known is None
            or known.pod is not pod
            or known.server is not server
            or known.probed != probed
        ):
            view, claim = _describe(owner.metadata.name, pod, server, probed, now)
            if view is None:
                continue
            known = _Known(pod, server, probed, view, claim)
        if known.view.marked_since is not now:
            fresh[uid] = known
        claim = "Autoscaler" if uid in claimed else known.claim
        view = known.view
        if claim is not None:
            lowers = claim in _LOWERS_REPLICAS and uid not in accounted
            view = replace(view, leaving=True, unaccounted=lowers)
        views.append(view)
    if memo is not None:
        memo.clear()
        memo.update(fresh)
    observed = owner.status.observed_generation == owner.metadata.generation
    return Snapshot(owner.spec.replicas, tuple(views), observed)


def _describe(
    set_name: str, pod: Pod, found: GameServer | None, probed: bool, now: datetime
) -> tuple[ServerView | None, DeletionReason | None]:
    """Return a server without its claim, and the claim; None for a pod that is no server."""
    id_ = _id_of(set_name, pod.metadata.name)
    if id_ is None:
        return None, None
    uid = pod.metadata.uid
    if found is None or not speaks_for(found, pod):
        # Its GameServer is on its way: it boots, and has no opsState yet.
        return ServerView(id_, "", "", leaving=pod.terminating, pod_uid=uid), None
    ops_state = found.spec.ops_state
    marked = ops_state == names.OPS_STATE_WAIT_TO_BE_DELETED
    if probed and ops_state == names.OPS_STATE_NONE and not _was_probed(found, uid):
        ops_state = ""
    view = ServerView(
        id=id_,
        ops_state=ops_state,
        state=found.status.current_state,
        marked_since=_marked_since(pod, now) if marked else None,
        deletion_priority=parse_priority(found.spec.deletion_priority).value,
        leaving=pod.terminating or found.metadata.deletion_timestamp is not None,
        stale=marked and is_stale_mark(found, uid),
        pod_uid=uid,
    )
    return view, claim_on(found, pod)


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
