"""Patches, recreates and adopts pods (SPEC 6.2, 6.9). Not pure.

Every patch carries the version of the pod that was looked at, and holds the next decision back
until the cache shows it: an update decided on an old pod would disturb more servers than it may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from aggregator.gameserverset.adoption import render_adoption
from aggregator.gameserverset.ids import server_name
from aggregator.gameserverset.inplace import render_annotation, render_change
from aggregator.gameserverset.set_writer import key_of
from aggregator.gameserverset.update import Mark, PatchInPlace, ReCreate, Step, Unmark
from aggregator.kube.batch import run_batch
from aggregator.kube.errors import Conflict, NotFound, TestFailed
from aggregator.kube.resources import GAMESERVERS, PODS, ObjectKey, ObjectReference
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aggregator.gameserverset.adoption import Adoption
    from aggregator.gameserverset.deletions import Deletions
    from aggregator.gameserverset.plan import Observed, Plan
    from aggregator.gameserverset.roster import Entry
    from aggregator.gameserverset.server import Server
    from aggregator.gameserverset.unshown import UnshownWrites
    from aggregator.kube.events import EventRecorder
    from aggregator.kube.patch import JsonPatch
    from aggregator.kube.transport import KubeClient
    from shared.errors import AppError

    Job = Callable[[], Awaitable[None]]

# Bound on requests in flight for one set, as with creations.
MAX_PATCHES = 16


class Rollout:
    """Carries out the updates, replacements and adoptions of plans."""

    def __init__(
        self,
        client: KubeClient,
        events: EventRecorder,
        deletions: Deletions,
        unshown: UnshownWrites,
    ) -> None:
        self._client = client
        self._events = events
        self._deletions = deletions
        self._unshown = unshown

    async def adopt(self, observed: Observed, plan: Plan) -> list[AppError]:
        """Make the set control the orphans of its name; another's by now stays as it is."""
        jobs = [self._adopt(observed, adoption) for adoption in plan.adoptions]
        return await run_batch(jobs, MAX_PATCHES)

    async def replace(self, observed: Observed, plan: Plan) -> list[AppError]:
        """Delete pods that ended, so that their ids are created again."""
        jobs = [self._replace(observed, server) for server in plan.replacements.due]
        return await run_batch(jobs, MAX_PATCHES)

    async def update(self, observed: Observed, plan: Plan) -> list[AppError]:
        """Do the steps of the update."""
        jobs = [self._step(observed, step) for step in plan.updates.steps]
        return await run_batch(jobs, MAX_PATCHES)

    def _step(self, observed: Observed, step: Step) -> Job:
        async def run() -> None:
            owner = key_of(observed.owner)
            key = _server_key(owner, step.server)
            entry = observed.present.entries[key.name]
            match step:
                case Mark(_, update):
                    change = render_annotation(entry.pod, update)
                    await self._patch(owner, key, change)
                case Unmark(server):
                    await self._patch(owner, key, render_annotation(entry.pod, None))
                    if server.update_complete:
                        self._tell(entry, key, names.REASON_UPDATED, "the updated server is ready")
                case PatchInPlace(server, change, revision):
                    if change.images:
                        await self._look_again(entry, key, server)
                    rendered = render_change(entry.pod, change, revision, observed.now)
                    await self._patch(owner, key, rendered)
                    images = ", ".join(f"{name}={image}" for name, image in change.images.items())
                    message = f"updated in place to {revision}: {images or 'metadata only'}"
                    self._tell(entry, key, names.REASON_UPDATING, message)
                case ReCreate(server):
                    await self._recreate(observed, entry, key, server)
                case _:
                    assert_never(step)

        return run

    async def _recreate(
        self, observed: Observed, entry: Entry, key: ObjectKey, server: Server
    ) -> None:
        """Delete the pod of a server that is to be made again."""
        await self._look_again(entry, key, server)
        await self._delete_as_seen(observed, entry, key)
        message = "deleted to be made again with the new template"
        self._tell(entry, key, names.REASON_UPDATING, message)

    async def _delete_as_seen(self, observed: Observed, entry: Entry, key: ObjectKey) -> None:
        """Delete a pod that is to be made again, only as it was seen.

        A request may be late: by then the set can be deleted without its pods and applied again,
        and the pod be a server of the new one. Nothing but its version tells.
        """
        metadata = entry.pod.metadata
        owner = key_of(observed.owner)
        await self._deletions.delete_pod(owner, key, metadata.uid, metadata.resource_version)

    async def _look_again(self, entry: Entry, key: ObjectKey, server: Server) -> None:
        """Make sure, right before a restart, that the server is in the state that was decided on.

        The cache may be a moment behind the players, and behind whoever kills or claims. What
        remains is one request: only a claim would lock the state, and a claimed server is one
        that does not come back. Who must not lose that moment uses a hook.

        Raises:
            Conflict: its opsState is another by now, or it was claimed.
            AppError: the API server could not be asked.
        """
        stored = await self._client.get(GAMESERVERS, key)
        if stored is None or entry.own is None:
            return
        state = stored["spec"].get("opsState", names.OPS_STATE_NONE)
        if state != server.written_ops_state or "deletion" in stored["spec"]:
            raise Conflict("ServerChanged", f"{key.name} changed before it was restarted")

    def _replace(self, observed: Observed, server: Server) -> Job:
        async def run() -> None:
            owner = key_of(observed.owner)
            key = _server_key(owner, server)
            entry = observed.present.entries[key.name]
            # A Kill of a pod that ended would be lost with it.
            await self._look_again(entry, key, server)
            await self._delete_as_seen(observed, entry, key)
            message = f"its pod ended ({entry.pod.status.phase}); the server is made again"
            self._tell(entry, key, names.REASON_REPLACED, message)

        return run

    def _adopt(self, observed: Observed, adoption: Adoption) -> Job:
        async def run() -> None:
            metadata = adoption.pod.metadata
            key = ObjectKey(metadata.namespace, metadata.name)
            change = render_adoption(observed.owner, adoption)
            await self._patch(key_of(observed.owner), key, change)
            self._events.record(
                ObjectReference(PODS, key, metadata.uid),
                "Normal",
                names.REASON_ADOPTED,
                f"adopted by the GameServerSet {observed.owner.metadata.name}",
            )

        return run

    async def _patch(self, owner: ObjectKey, key: ObjectKey, change: JsonPatch) -> None:
        self._unshown.note(owner, PODS, key)
        try:
            await self._client.patch(PODS, key, change)
        except (TestFailed, NotFound) as error:
            self._unshown.drop(owner, PODS, key)
            raise Conflict("PodChanged", f"{key.name} changed before it was patched") from error

    def _tell(self, entry: Entry, key: ObjectKey, reason: str, message: str) -> None:
        if entry.found is not None:
            reference = ObjectReference(GAMESERVERS, key, entry.found.metadata.uid)
            self._events.record(reference, "Normal", reason, message)


def _server_key(owner: ObjectKey, server: Server) -> ObjectKey:
    return ObjectKey(owner.namespace, server_name(owner.name, server.id))
