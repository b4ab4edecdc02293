"""Makes the objects that go with a set: Service, NetworkPolicy, budget. Not pure.

They are made once for each set and process, and again after the spec changed; one that somebody
deletes stays away until then, which costs an idle set nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.gameserverset.companions import CompanionSettings, render_companions
from aggregator.gameserverset.set_writer import key_of
from aggregator.kube.errors import AlreadyExists
from aggregator.kube.resources import DISRUPTIONBUDGETS, NETWORKPOLICIES, SERVICES, ObjectKey

if TYPE_CHECKING:
    from aggregator.kube.transport import KubeClient
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
        """Make what is absent; what is there, whoever made it, stays as it is.

        Raises:
            AppError: the API server refused.
        """
        wanted = (owner.metadata.uid, owner.metadata.generation)
        if self._done.get(key_of(owner)) == wanted:
            return
        for body in render_companions(owner, self._settings):
            resource = _RESOURCES[body["kind"]]
            key = ObjectKey(owner.metadata.namespace, body["metadata"]["name"])
            if await self._client.get(resource, key) is not None:
                continue
            try:
                await self._client.create(resource, key.namespace, body)
            except AlreadyExists:
                continue
        self._done[key_of(owner)] = wanted
