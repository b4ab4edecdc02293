"""Makes the objects that go with a set: Service, NetworkPolicy, budget. Not pure.

They are made once for each set and process, and again after the spec changed; one that somebody
deletes stays away until then, which costs an idle set nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.gameserverset.companions import CompanionSettings, render_companions
from aggregator.gameserverset.heritage import Heritage, adoption, heritage_of
from aggregator.gameserverset.set_writer import key_of
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import DISRUPTIONBUDGETS, NETWORKPOLICIES, SERVICES, ObjectKey
from shared.errors import TransientError

if TYPE_CHECKING:
    from aggregator.kube.resources import Resource
    from aggregator.kube.transport import Json, KubeClient
    from shared.api.gameserverset import GameServerSet

_RESOURCES = {each.kind: each for each in (SERVICES, NETWORKPOLICIES, DISRUPTIONBUDGETS)}


class Surroundings:
    """The companions of every set."""

    def __init__(self, client: KubeClient, settings: CompanionSettings) -> None:
        self._client = client
        self._settings = settings
        self._done: dict[ObjectKey, tuple[str, int]] = {}

    def forget(self, key: ObjectKey) -> None:
        """Forget a set that is gone."""
        self._done.pop(key, None)

    async def ensure(self, owner: GameServerSet) -> None:
        """Make what is absent and adopt what a former set of this name left; others' stays.

        Raises:
            AppError: the API server refused, or what a former set left is still going.
        """
        wanted = (owner.metadata.uid, owner.metadata.generation)
        if self._done.get(key_of(owner)) == wanted:
            return
        for body in render_companions(owner, self._settings):
            await self._ensure_one(owner, _RESOURCES[body["kind"]], body)
        self._done[key_of(owner)] = wanted

    async def _ensure_one(self, owner: GameServerSet, resource: Resource, body: Json) -> None:
        key = ObjectKey(owner.metadata.namespace, body["metadata"]["name"])
        stored = await self._client.get(resource, key)
        if stored is None:
            # If somebody was faster the retry looks at what they made.
            await self._client.create(resource, key.namespace, body)
            return
        match heritage_of(owner, stored):
            case Heritage.ORPHANED:
                patch = MergePatch({"metadata": adoption(owner, stored)})
                await self._client.patch(resource, key, patch)
            case Heritage.GOING:
                message = f"the {resource.kind} {key.name} of the former set is still going"
                raise TransientError("FormerSetGoing", message)
            case Heritage.OURS | Heritage.FOREIGN:
                pass
