"""What people do to the set as a whole: delete it and apply it again, set an autoscaler on it, and
leave pods behind that look like its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.kube.resources import (
    AUTOSCALERS,
    CONTROLLERREVISIONS,
    GAMESERVERSETS,
    PODS,
    Resource,
)
from shared.api import names
from tests.simulation import manifests
from tests.simulation.server import NAMESPACE, QUOTA, SET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.manifests import Traits
    from tests.simulation.server import Server

_PROPAGATIONS = ("Background", "Foreground", "Orphan")
_GONE_MANAGER = {
    "apiVersion": "apps.kruise.io/v1beta1",
    "kind": "StatefulSet",
    "name": SET_KEY.name,
    "uid": "statefulset-uid",
    "controller": True,
}


class Owners:
    """Whoever installs and removes things."""

    def __init__(self, random: Random, server: Server, traits: Traits) -> None:
        self._random = random
        self._server = server
        self._traits = traits
        self._acts: list[Callable[[], str]] = []
        if traits.deletes_sets:
            self._acts += [self._delete_or_apply] * 3
        if traits.scaler:
            self._acts += [self._change_scaler]
        if traits.leaves:
            self._acts += [self._leave_pod, self._leave_pod, self._set_free]

    def begin(self) -> None:
        """Apply the set for the first time, perhaps with its autoscaler."""
        self._apply()
        if self._traits.scaler:
            self._create(AUTOSCALERS, manifests.scaler(self._random))

    @property
    def are_busy(self) -> bool:
        """Whether they do anything in this schedule."""
        return bool(self._acts)

    def act(self) -> str:
        """Do one thing; return what."""
        return self._random.choice(self._acts)()

    def bring_back(self) -> None:
        """Apply the set again if it is gone; one that is still going is waited for."""
        if self._server.find(GAMESERVERSETS, SET_KEY.name) is None:
            self._apply()

    # -- the set --------------------------------------------------------------------------------

    def _delete_or_apply(self) -> str:
        if self._server.find(GAMESERVERSETS, SET_KEY.name) is None:
            self._apply()
            return "apply the set again"
        propagation = self._random.choice(_PROPAGATIONS)
        self._server.delete(
            (names.GROUP, names.GAMESERVERSETS), SET_KEY.name, propagation=propagation
        )
        if self._random.random() < 0.5:
            # What waits for its dependents, or to be forgotten by them, is there for a while.
            self._server.controllers.drain()
            self.bring_back()
        return f"delete the set: {propagation}"

    def _apply(self) -> None:
        self._create(GAMESERVERSETS, manifests.first_set(self._random, self._traits))

    def _create(self, resource: Resource, body: dict[str, Any]) -> None:
        self._server.create_as_user(resource.group, resource.plural, NAMESPACE, body)

    # -- its autoscaler -------------------------------------------------------------------------

    def _change_scaler(self) -> str:
        if self._server.find(AUTOSCALERS, SET_KEY.name) is None:
            self._create(AUTOSCALERS, manifests.scaler(self._random))
            return "make an autoscaler"
        if self._random.random() < 0.3:
            self._server.delete((names.AUTOSCALING_GROUP, names.AUTOSCALERS), SET_KEY.name)
            return "delete the autoscaler"
        mode = self._random.choice(("Active", "Active", "DryRun", "Off"))
        spec = manifests.scaler(self._random)["spec"] | {"mode": mode}
        self._server.edit(AUTOSCALERS, SET_KEY.name, lambda body: body.update(spec=spec))
        return f"change the autoscaler: {mode}"

    # -- what fits the set and is not its own ---------------------------------------------------

    def _leave_pod(self) -> str:
        """Leave a pod that nobody controls, or whose controller is gone."""
        id_ = self._random.randrange(manifests.MOST_SERVERS + 1)
        name = f"{SET_KEY.name}-{id_}"
        limited = self._server.store.get(QUOTA, (NAMESPACE, "few")) is not None
        if limited or self._server.find(PODS, name) is not None:
            return f"{name} has no room"
        labels: dict[str, str] = {}
        match self._random.randrange(3):
            case 0:
                # A StatefulSet gives its pods revisions, too.
                labels = {names.REVISION_LABEL: f"{SET_KEY.name}-6c4f9"}
            case 1:
                kept = sorted(self._server.all(CONTROLLERREVISIONS).values(), key=_name)
                hashes = [each["metadata"]["labels"][names.REVISION_LABEL] for each in kept]
                labels = {names.REVISION_LABEL: self._random.choice(hashes)} if hashes else {}
        body = manifests.orphan(self._random, id_, labels)
        owned = self._random.random() < 0.2
        if owned:
            body["metadata"]["ownerReferences"] = [_GONE_MANAGER]
        self._create(PODS, body)
        return f"leave {name}{' of a manager that is gone' if owned else ''}"

    def _set_free(self) -> str:
        """Take the controller away from a pod of the set."""
        pods = self._server.all(PODS).values()
        owned = [each for each in pods if each["metadata"].get("ownerReferences")]
        if not owned:
            return "nobody to set free"
        name = self._random.choice([_name(each) for each in owned])
        self._server.edit(PODS, name, lambda body: body["metadata"].pop("ownerReferences"))
        return f"set {name} free"


def _name(obj: dict[str, Any]) -> str:
    return str(obj["metadata"]["name"])
