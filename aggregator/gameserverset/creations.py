"""Creates the pods of missing servers (SPEC 6.12). Not pure.

What the API server refuses once (a quota, an admission rule) it would refuse a thousand times, so
creations begin slowly and stop at the first refusal; it is said in an event and a condition, and
tried again in a while, because nobody tells when a quota is lifted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator.binding import is_of_another_set
from aggregator.gameserverset.ids import server_name
from aggregator.gameserverset.pod import render_pod, wants_agent
from aggregator.gameserverset.set_writer import key_of
from aggregator.kube.batch import run_slow_start
from aggregator.kube.errors import AlreadyExists, Conflict, NotFound, Unavailable
from aggregator.kube.resources import (
    GAMESERVERS,
    GAMESERVERSETS,
    PODS,
    ObjectKey,
    ObjectReference,
)
from shared.api import names
from shared.api.gameserver import GameServer
from shared.backoff import Backoff
from shared.clock import monotonic_seconds
from shared.errors import AppError, InvalidInput, TerminalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aggregator.gameserverset.agent_container import AgentTemplate
    from aggregator.gameserverset.plan import Observed, Plan
    from aggregator.gameserverset.trust import TrustBundle
    from aggregator.gameserverset.volume_claims import VolumeClaims
    from aggregator.kube.events import EventRecorder
    from aggregator.kube.expectations import Expectations
    from aggregator.kube.transport import KubeClient

    Job = Callable[[], Awaitable[None]]

# Bound on requests in flight for one set (SPEC 6.12).
MAX_CREATIONS = 16
# A person who has just lifted a quota waits for it.
REFUSED_BACKOFF = Backoff(base_seconds=1.0, cap_seconds=15.0)
_TAKEN_SECONDS = 15.0
# A watch shows a creation within a fraction of that.
UNSHOWN_SECONDS = 5.0


@dataclass(slots=True)
class _Refusals:
    """What the API server would not create for one set.

    Attributes:
        message: of the last refusal; empty when the last creations succeeded.
        in_a_row: number of runs that were refused.
        taken: by id, until when its name is taken to belong to somebody else.
    """

    message: str = ""
    in_a_row: int = 0
    taken: dict[int, float] = field(default_factory=dict)


class Creations:
    """Creates pods, and remembers of each set why some could not be created."""

    def __init__(
        self,
        client: KubeClient,
        events: EventRecorder,
        expectations: Expectations,
        trust: TrustBundle,
        agent: AgentTemplate,
        volumes: VolumeClaims,
    ) -> None:
        self._client = client
        self._events = events
        self._expectations = expectations
        self._trust = trust
        self._agent = agent
        self._volumes = volumes
        self._refusals: dict[ObjectKey, _Refusals] = {}

    def forget(self, key: ObjectKey) -> None:
        """Forget a set that is gone."""
        self._refusals.pop(key, None)

    def refusal(self, key: ObjectKey) -> str:
        """Return why the last pods of a set were refused; empty when they were not."""
        known = self._refusals.get(key)
        return known.message if known is not None else ""

    async def taken(self, key: ObjectKey) -> frozenset[int]:
        """Return the ids whose names belong to somebody else; asks again after a while.

        Raises:
            AppError: the API server could not be asked.
        """
        known = self._refusals.get(key)
        if known is None:
            return frozenset()
        for id_, until in list(known.taken.items()):
            if until <= monotonic_seconds():
                pod = ObjectKey(key.namespace, server_name(key.name, id_))
                if await self._client.get(PODS, pod) is None:
                    del known.taken[id_]
                else:
                    known.taken[id_] = monotonic_seconds() + _TAKEN_SECONDS
        return frozenset(known.taken)

    async def forget_vanished(self, key: ObjectKey) -> None:
        """Stop waiting for pods that came and went before the cache could show them.

        Raises:
            AppError: the API server could not be asked.
        """
        now = monotonic_seconds()
        for name in self._expectations.overdue_creations(key, now, UNSHOWN_SECONDS):
            if await self._client.get(PODS, ObjectKey(key.namespace, name)) is None:
                self._expectations.observed_creation(key, name)

    def retry_seconds(self, key: ObjectKey) -> float | None:
        """Return when to try again what was refused; None when nothing was."""
        known = self._refusals.get(key)
        if known is None:
            return None
        waits = [until - monotonic_seconds() for until in known.taken.values()]
        if known.in_a_row:
            waits.append(REFUSED_BACKOFF.ceiling_seconds(known.in_a_row))
        return min(waits, default=None)

    async def apply(self, observed: Observed, plan: Plan) -> list[AppError]:
        """Create what is missing.

        Returns:
            The failures that a later try may mend; a refusal is remembered instead.
        """
        owner, key = observed.owner, key_of(observed.owner)
        ids = plan.scale.creations
        if not ids:
            # Nobody is refused who asks for nothing.
            self._settle(key, "")
            return []
        if wants_agent(owner):
            await self._trust.ensure(owner.metadata.namespace)
        jobs = [self._create(observed, plan, id_) for id_ in ids]
        failures = await run_slow_start(jobs, MAX_CREATIONS)
        refused = [each for each in failures if isinstance(each, TerminalError | InvalidInput)]
        self._settle(key, f"cannot create pods: {refused[0].message}" if refused else "")
        # An admission webhook that is down answers 500: nothing for good, yet worth an event.
        told: list[AppError] = [*refused]
        told += [each for each in failures if isinstance(each, Unavailable)]
        if told:
            reference = ObjectReference(GAMESERVERSETS, key, owner.metadata.uid)
            message = f"cannot create pods: {told[0].message}"
            self._events.record(reference, "Warning", names.REASON_FAILED_CREATE, message)
        return [each for each in failures if each not in refused]

    def _settle(self, key: ObjectKey, message: str) -> None:
        known = self._refusals.get(key)
        if known is None and not message:
            return
        known = self._refusals.setdefault(key, _Refusals())
        known.message = message
        known.in_a_row = known.in_a_row + 1 if message else 0
        if not message and not known.taken:
            del self._refusals[key]

    def _create(self, observed: Observed, plan: Plan, id_: int) -> Job:
        async def run() -> None:
            owner, key = observed.owner, key_of(observed.owner)
            name = server_name(key.name, id_)
            template = None
            if id_ in plan.former_ids:
                template = (observed.templates or {})[plan.former_revision]
            survivor = await self._survivor(observed, ObjectKey(key.namespace, name))
            body = render_pod(owner, id_, self._agent, template, survivor)
            await self._volumes.ensure(owner, id_)
            self._expectations.expect_creation(key, name, monotonic_seconds())
            try:
                await self._client.create(PODS, key.namespace, body)
            except AlreadyExists:
                self._expectations.observed_creation(key, name)
                await self._look_at(observed, id_, name)
            except AppError as error:
                if isinstance(error, Unavailable) and error.outcome_unknown:
                    # It may be there, unseen: the next run asks before it decides anything.
                    long_ago = monotonic_seconds() - UNSHOWN_SECONDS
                    self._expectations.expect_creation(key, name, long_ago)
                else:
                    self._expectations.observed_creation(key, name)
                if isinstance(error, NotFound):
                    # The namespace is going: the set goes with it.
                    raise Conflict(error.reason, error.message) from error
                raise

        return run

    async def _look_at(self, observed: Observed, id_: int, name: str) -> None:
        """Find out whose pod has the name: ours, from a lost answer, or somebody else's."""
        key = key_of(observed.owner)
        stored = await self._client.get(PODS, ObjectKey(key.namespace, name))
        metadata = stored["metadata"] if stored is not None else {}
        references = metadata.get("ownerReferences") or ()
        owners = {each["uid"] for each in references if each.get("controller")}
        ours = observed.owner.metadata.uid in owners
        orphan = not owners and (metadata.get("labels") or {}).get(names.OWNER_LABEL) == key.name
        if stored is None or ours or orphan or "deletionTimestamp" in metadata:
            # The cache will show it, or that it is gone; until then the set is planned again.
            raise Conflict("NotShown", f"the cache does not show the pod {name} yet")
        known = self._refusals.setdefault(key, _Refusals())
        known.taken[id_] = monotonic_seconds() + _TAKEN_SECONDS

    async def _survivor(self, observed: Observed, key: ObjectKey) -> GameServer | None:
        """Return the GameServer that outlived its former pod, for the images that it asks for."""
        if observed.owner.spec.game_server_template.reclaim_policy != "Delete":
            return None
        stored = await self._client.get(GAMESERVERS, key)
        if stored is None or "deletionTimestamp" in stored["metadata"]:
            return None
        survivor = GameServer.model_validate(stored)
        return None if is_of_another_set(survivor, observed.owner.metadata.uid) else survivor
