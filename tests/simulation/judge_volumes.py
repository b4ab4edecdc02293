"""Judges deletions of volume claims, whoever carries them out: data is lost by them.

The aggregator deletes no claim itself; what it writes as owners tells the garbage collector what to
take. So the end is judged, and not the way: a claim goes only with the set, where the policy says
so (whenDeleted), or with a server that was condemned, where it says that (whenScaled). A server
that is only made again, and a set that keeps its claims, lose none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.kube.resources import GAMESERVERSETS, PERSISTENTVOLUMECLAIMS, PODS
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from localcluster.apiserver.store import CollectionKey, Event
    from tests.simulation.records import Records
    from tests.simulation.rules import Json
    from tests.simulation.server import Server


class VolumeJudge:
    """Judges what becomes of volume claims."""

    def __init__(self, server: Server, records: Records, verdicts: dict[str, int]) -> None:
        self._server = server
        self._records = records
        self._verdicts = verdicts
        # By uid of a set: what its policy says.
        self._policies: dict[str, Json] = {}
        server.store.listeners.append(self._follow)

    def _follow(self, collection: CollectionKey, event: Event) -> None:
        obj = event.stored.object
        if collection[1] == GAMESERVERSETS.plural:
            policy = obj["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
            self._policies[obj["metadata"]["uid"]] = policy
        elif collection[1] == PERSISTENTVOLUMECLAIMS.plural and event.type == "DELETED":
            self._judge(obj)

    def _judge(self, claim: Json) -> None:
        self._verdicts["volume claim"] += 1
        name = claim["metadata"]["name"]
        for reference in claim["metadata"].get("ownerReferences") or ():
            uid = reference["uid"]
            if reference["kind"] == "Pod":
                _demand(uid in self._records.condemned, f"{name} goes with {uid}, which comes back")
                kept = self._kept("whenScaled")
                _demand(not kept, f"{name} goes with a server, and the set keeps claims")
            else:
                _demand(uid in self._records.alive_until, f"{name} goes with a set that is there")
                deletes = self._policies[uid].get("whenDeleted") == "Delete"
                _demand(deletes, f"{name} goes with a set that keeps its claims")
        _demand(claim["metadata"].get("ownerReferences"), f"somebody deleted {name}")

    def _kept(self, when: str) -> bool:
        return all(policy.get(when) != "Delete" for policy in self._policies.values())

    def check_end(self) -> None:
        """Check that every pod has the claims that it mounts.

        Raises:
            Violation: one is gone.
        """
        there = self._server.all(PERSISTENTVOLUMECLAIMS).keys()
        for name, pod in self._server.all(PODS).items():
            for volume in pod["spec"].get("volumes") or ():
                claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
                _demand(claim is None or claim in there, f"{name} has lost {claim}")


def _demand(holds: object, why: str) -> None:
    if not holds:
        raise Violation(why)
