"""The probe list that each agent runs, and the revision it is compared by (SPEC 3). No I/O.

A list depends on nothing but the spec of a set, so it is made once for each generation: every
report of every agent asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.quality.probes import ProbePlan, plan_probes

if TYPE_CHECKING:
    from aggregator.caches import Caches
    from aggregator.kube.resources import ObjectKey
    from shared.api.gameserverset import GameServerSet
    from shared.protocol.probes import ProbeList


class ProbeLists:
    """The probe lists of the sets in the caches."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        # By uid of the set: the generation that the plan was made for.
        self._plans: dict[str, tuple[int, ProbePlan]] = {}

    def of_set(self, owner: GameServerSet) -> ProbePlan:
        """Return what the agents of a set run now."""
        generation, plan = self._plans.get(owner.metadata.uid, (-1, None))
        if plan is None or generation != owner.metadata.generation:
            plan = plan_probes(owner.spec)
            self._plans[owner.metadata.uid] = (owner.metadata.generation, plan)
        return plan

    def of_pod(self, key: ObjectKey, pod_uid: str) -> tuple[str, ProbeList] | None:
        """Return revision and list for the agent of this very pod; None for a pod of no set."""
        pod = self._caches.pods.get(key)
        if pod is None or pod.metadata.uid != pod_uid:
            return None
        owner = self._caches.set_of(pod)
        if owner is None:
            return None
        plan = self.of_set(owner)
        return plan.revision, plan.probes

    def forget(self, owner: GameServerSet) -> None:
        """Forget a set that is gone."""
        self._plans.pop(owner.metadata.uid, None)
