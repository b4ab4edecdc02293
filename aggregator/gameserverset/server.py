"""One server as the decisions of its set see it: a pod and what its GameServer says. Pure.

A description depends on the two objects and on little else, so the roster keeps it until one of
them changes: a set of ten thousand is planned again after each event, and most of it is as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aggregator.binding import claim_on, speaks_for
from aggregator.gameserverset.overrides import Images, asked_images, given_images
from aggregator.lifecycle import holds_deletion, holds_update
from aggregator.pod_update import is_complete, parse_update
from aggregator.quality.marks import counted_ops_state
from aggregator.selection import parse_priority
from shared.api import names
from shared.protocol.paths import AGENT_CONTAINER_NAME

if TYPE_CHECKING:
    from aggregator.pod_update import PodUpdate
    from aggregator.pods import Pod
    from shared.api.gameserver import DeletionReason, GameServer
    from shared.api.gameserverset import GameServerSet

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Server:
    """One pod of the set, with what its GameServer says.

    Attributes:
        ops_state: as it counts for choosing (the mark of a silent quality does not); empty before
            the pod has its own GameServer.
        terminating: the pod has a deletionTimestamp.
        claimed: reason of the claim on this very pod, None without one.
        held: the preDelete hook keeps the pod from being deleted.
        written_ops_state: as the GameServer has it.
        revision: of the template that the pod has; empty when it does not say.
        finished: the pod ended (Failed or Succeeded) and will never be Ready again.
        ready: the pod says so.
        available: it is not being updated and has been Ready for minReadySeconds.
        started_at: when the pod was created; None when it does not say.
        has_agent: the pod has an agent.
        update: what is being done to the pod.
        update_complete: that is done.
        update_held: the inPlaceUpdate hook keeps the pod from being patched.
        asked_images: per-server images that the GameServer asks for.
        given_images: per-server images that the pod was given.
    """

    id: int
    pod_uid: str
    ops_state: str = ""
    deletion_priority: int = 0
    terminating: bool = False
    claimed: DeletionReason | None = None
    held: bool = False
    written_ops_state: str = ""
    update_priority: int = 0
    revision: str = ""
    finished: bool = False
    ready: bool = True
    available: bool = True
    started_at: datetime | None = None
    has_agent: bool = False
    update: PodUpdate | None = None
    update_complete: bool = False
    update_held: bool = False
    asked_images: Images = ()
    given_images: Images = ()

    @property
    def pre_deleting(self) -> bool:
        """Whether it waits for a preDelete hook."""
        going = self.claimed is not None or (
            self.update is not None and self.update.kind == "ReCreate"
        )
        return going and self.held and not self.terminating


@dataclass(frozen=True, slots=True)
class Description:
    """A server, and until when the description holds if neither object changes.

    Attributes:
        valid_until: when it becomes available by itself; None for no time.
    """

    server: Server
    valid_until: datetime | None = None


def describe(
    owner: GameServerSet, pod: Pod, found: GameServer | None, id_: int, now: datetime
) -> Description:
    """Return the server of a pod.

    Args:
        owner: the set, for its hooks and minReadySeconds.
        pod: that the set controls.
        found: the GameServer of that name, which may speak for an older pod; then it says nothing.
        id_: the ordinal in the pod's name.
        now: for minReadySeconds.
    """
    uid = pod.metadata.uid
    server = found if found is not None and speaks_for(found, pod) else None
    update = parse_update(pod)
    available_at = _available_at(owner, pod) if update is None else None
    return Description(
        Server(
            id=id_,
            pod_uid=uid,
            ops_state=counted_ops_state(server, uid) if server is not None else "",
            written_ops_state=server.spec.ops_state if server is not None else "",
            deletion_priority=parse_priority(server.spec.deletion_priority).value if server else 0,
            update_priority=parse_priority(server.spec.update_priority).value if server else 0,
            terminating=pod.terminating,
            claimed=claim_on(server, pod),
            held=holds_deletion(owner, pod),
            revision=pod.metadata.labels.get(names.REVISION_LABEL, ""),
            finished=pod.finished,
            ready=pod.ready,
            available=available_at is not None and available_at <= now,
            started_at=pod.metadata.creation_timestamp,
            has_agent=pod.has_container(AGENT_CONTAINER_NAME),
            update=update,
            update_complete=update is not None and is_complete(update, pod),
            update_held=holds_update(owner, pod),
            asked_images=asked_images(server) if server is not None else given_images(pod),
            given_images=given_images(pod),
        ),
        available_at if available_at is not None and available_at > now else None,
    )


def _available_at(owner: GameServerSet, pod: Pod) -> datetime | None:
    """Return when the pod is, or was, available; None when it is not Ready or that is unknown."""
    if not pod.ready or pod.finished:
        return None
    seconds = owner.spec.update_strategy.rolling_update.min_ready_seconds
    since = pod.ready_since
    if not seconds:
        # At once, whatever the clock of the node says.
        return _LONG_AGO
    return since + timedelta(seconds=seconds) if since is not None else None
