"""Carries out the plan of a set, part by part. Not pure.

The parts do not depend on each other: a set whose pods are refused still shrinks, and one whose
network policy is forbidden still grows. Each does what it can and hands its failures back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.gameserverset.companions import CompanionSettings
from aggregator.gameserverset.creations import Creations
from aggregator.gameserverset.deletions import Deletions
from aggregator.gameserverset.history import RevisionHistory
from aggregator.gameserverset.ids import server_name
from aggregator.gameserverset.rollout import Rollout
from aggregator.gameserverset.set_writer import SetWriter, key_of
from aggregator.gameserverset.surroundings import Surroundings
from aggregator.gameserverset.unshown import UnshownWrites
from aggregator.gameserverset.volume_claims import VolumeClaims
from aggregator.kube.resources import GAMESERVERS, PODS, ObjectKey
from shared.errors import AppError

if TYPE_CHECKING:
    from aggregator.gameserverset.agent_container import AgentTemplate
    from aggregator.gameserverset.plan import Observed, Plan
    from aggregator.gameserverset.trust import TrustBundle
    from aggregator.kube.events import EventRecorder
    from aggregator.kube.expectations import Expectations
    from aggregator.kube.transport import KubeClient
    from shared.api.gameserverset import GameServerSet


class Applier:
    """Writes the plans of sets.

    Attributes:
        sets: writes to the sets themselves.
        history: the kept revisions.
        creations: what could not be created, and why.
    """

    def __init__(
        self,
        client: KubeClient,
        events: EventRecorder,
        expectations: Expectations,
        trust: TrustBundle,
        agent: AgentTemplate,
        companions: CompanionSettings | None = None,
    ) -> None:
        volumes = VolumeClaims(client)
        self._client = client
        self._volumes = volumes
        self._unshown = UnshownWrites(client)
        self._surroundings = Surroundings(client, companions or CompanionSettings())
        self.sets = SetWriter(client)
        self.history = RevisionHistory(client, self.sets)
        self.creations = Creations(client, events, expectations, trust, agent, volumes)
        self._deletions = Deletions(client, events, expectations, self.sets, self._unshown, volumes)
        self._rollout = Rollout(client, events, self._deletions, self._unshown)
        # By uid of an accounted pod: its name, so that one request tells whether it is gone.
        self._accounted_names: dict[ObjectKey, dict[str, str]] = {}

    def forget(self, key: ObjectKey) -> None:
        """Forget a set that is gone."""
        self._accounted_names.pop(key, None)
        for part in (
            self._unshown,
            self._volumes,
            self._surroundings,
            self.sets,
            self.history,
            self.creations,
        ):
            part.forget(key)

    async def own_patches_are_shown(self, observed: Observed) -> bool:
        """Tell whether the cache shows the claims and patches of former runs.

        Raises:
            AppError: the API server could not be asked.
        """
        key = key_of(observed.owner)
        return await self._unshown.are_shown(key, observed.present.entries)

    async def apply(self, observed: Observed, plan: Plan) -> list[AppError]:
        """Do everything that the plan says.

        Returns:
            The failures, in the order of the parts; everything that could be done was done.
        """
        owner = observed.owner
        failures: list[AppError] = []
        try:
            if plan.recalled:
                await self._forget_recalled(owner, plan)
                return []
            if plan.scale.claims or plan.scale.creations or plan.adoptions:
                await self.sets.confirm(owner)
        except AppError as error:
            return [error]
        if plan.adoptions:
            # Whom the set controls changes: everything else is for the next plan.
            return await self._rollout.adopt(observed, plan)
        deletion_failures = await self._deletions.apply(observed, plan.scale)
        failures += deletion_failures
        failures += await self._rollout.replace(observed, plan)
        failures += await self._rollout.update(observed, plan)
        if not (deletion_failures and plan.scale.accounting):
            # What deletions cost is accounted before anything is created.
            failures += await self._try_creations(observed, plan)
        failures += await self._ensure_surroundings(owner)
        failures += await self._forget_gone(observed, plan)
        return failures

    async def _try_creations(self, observed: Observed, plan: Plan) -> list[AppError]:
        try:
            return await self.creations.apply(observed, plan)
        except AppError as error:
            return [error]

    async def _ensure_surroundings(self, owner: GameServerSet) -> list[AppError]:
        try:
            await self._surroundings.ensure(owner)
            await self._volumes.sync(owner)
        except AppError as error:
            return [error]
        return []

    async def _forget_recalled(self, owner: GameServerSet, plan: Plan) -> None:
        """Forget deletions that were taken back, if nobody has claimed those servers again."""
        free = set()
        for server in plan.recalled:
            name = server_name(owner.metadata.name, server.id)
            stored = await self._client.get(GAMESERVERS, ObjectKey(owner.metadata.namespace, name))
            if stored is not None and "deletion" not in stored["spec"]:
                free.add(server.pod_uid)
        if free:
            await self.sets.account(owner, None, free)

    async def _forget_gone(self, observed: Observed, plan: Plan) -> list[AppError]:
        """Forget accounted pods that are gone for certain, once nothing else is to be done."""
        owner, scale = observed.owner, plan.scale
        known = self._accounted_names.setdefault(key_of(owner), {})
        known |= {
            entry.pod.metadata.uid: name
            for name, entry in observed.present.entries.items()
            if entry.found is not None and entry.found.spec.deletion is not None
        }
        if not plan.forgotten or scale.claims or scale.deletions or scale.accounting:
            return []
        try:
            gone = await self._gone(owner, plan.forgotten, known)
            if gone:
                await self.sets.account(owner, None, gone)
        except AppError as error:
            return [error]
        self._accounted_names.pop(key_of(owner), None)
        return []

    async def _gone(
        self, owner: GameServerSet, uids: tuple[str, ...], known: dict[str, str]
    ) -> set[str]:
        """Return those of the uids that no pod has; a name that is not known needs a list."""
        namespace = owner.metadata.namespace
        gone = set()
        if all(uid in known for uid in uids):
            for uid in uids:
                pod = await self._client.get(PODS, ObjectKey(namespace, known[uid]))
                if pod is None or pod["metadata"]["uid"] != uid:
                    gone.add(uid)
            return gone
        found = await self._client.list(PODS, namespace)
        return {uid for uid in uids if not any(uid.encode() in item for item in found.items)}
