"""Keeps the templates of a set's revisions as ControllerRevisions. Not pure.

Asked once for each change of the template and each start of the process; between them the answer
comes from memory, so an idle set costs nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.gameserverset.heritage import Heritage, adoption, heritage_of
from aggregator.gameserverset.revision import (
    Revision,
    Template,
    pod_template,
    read_revision,
    render_revision,
    revision_name,
    surplus_revisions,
    template_revision,
)
from aggregator.gameserverset.set_writer import key_of
from aggregator.kube.errors import AlreadyExists, Conflict
from aggregator.kube.patch import MergePatch
from aggregator.kube.resources import CONTROLLERREVISIONS, ObjectKey
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from aggregator.gameserverset.set_writer import SetWriter
    from aggregator.kube.transport import Json, KubeClient
    from shared.api.gameserverset import GameServerSet


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept for one set: for which uid and present revision, and all of them by hash."""

    uid: str
    present: str
    templates: Mapping[str, Template]


class RevisionHistory:
    """The kept revisions of every set."""

    def __init__(self, client: KubeClient, sets: SetWriter) -> None:
        self._client = client
        self._sets = sets
        self._known: dict[ObjectKey, _Known] = {}

    def forget(self, key: ObjectKey) -> None:
        """Forget a set that is gone."""
        self._known.pop(key, None)

    async def sync(self, owner: GameServerSet, in_use: Collection[str]) -> Mapping[str, Template]:
        """Keep the present template, drop the oldest of those that nobody uses.

        Args:
            owner: the set.
            in_use: revisions of its servers.

        Returns:
            The templates by revision.

        Raises:
            AppError: the API server refused; nothing is known then.
        """
        present = template_revision(owner)
        known = self._known.get(key_of(owner))
        if known is not None and (known.uid, known.present) == (owner.metadata.uid, present):
            return known.templates
        revisions = await self._list(owner)
        await self._keep_present(owner, present, revisions)
        for old in surplus_revisions(
            revisions.values(), {*in_use, present, owner.status.current_revision}
        ):
            key = ObjectKey(owner.metadata.namespace, old.name)
            await self._client.delete(CONTROLLERREVISIONS, key)
            del revisions[old.hash]
        templates = {each.hash: each.template for each in revisions.values()}
        templates[present] = pod_template(owner)
        self._known[key_of(owner)] = _Known(owner.metadata.uid, present, templates)
        return templates

    async def _list(self, owner: GameServerSet) -> dict[str, Revision]:
        selector = f"{names.OWNER_LABEL}={owner.metadata.name}"
        found = await self._client.list(CONTROLLERREVISIONS, owner.metadata.namespace, selector)
        revisions = {}
        for item in found.items:
            body = json.loads(item)
            revision = read_revision(owner, body)
            if revision is None:
                continue
            heritage = heritage_of(owner, body)
            if heritage is Heritage.ORPHANED:
                # Pods that a former set left are updated from the templates that it left.
                await self._adopt(owner, body)
            elif heritage is not Heritage.OURS:
                continue
            revisions[revision.hash] = revision
        return revisions

    async def _adopt(self, owner: GameServerSet, stored: Json) -> None:
        key = ObjectKey(owner.metadata.namespace, stored["metadata"]["name"])
        patch = MergePatch({"metadata": adoption(owner, stored)})
        await self._client.patch(CONTROLLERREVISIONS, key, patch)

    async def _keep_present(
        self, owner: GameServerSet, present: str, revisions: Mapping[str, Revision]
    ) -> None:
        newest = max((each.number for each in revisions.values()), default=0)
        stored = revisions.get(present)
        if stored is not None and stored.template == pod_template(owner):
            if stored.number < newest:
                # The user went back to it: it is the newest again, as with Deployments.
                key = ObjectKey(owner.metadata.namespace, stored.name)
                patch = MergePatch({"revision": newest + 1})
                await self._client.patch(CONTROLLERREVISIONS, key, patch)
            return
        body = render_revision(owner, present, newest + 1)
        try:
            await self._client.create(CONTROLLERREVISIONS, owner.metadata.namespace, body)
        except AlreadyExists as error:
            await self._resolve_namesake(owner, present)
            raise Conflict("RevisionExists", f"{body['metadata']['name']} exists") from error

    async def _resolve_namesake(self, owner: GameServerSet, present: str) -> None:
        """Do what lets the next try succeed, now that the revision's name is taken.

        A former set's orphan with this template becomes the set's. One that goes with its former
        set is waited for. Anything else is a collision of hashes: the template gets another one.
        Source: collisionCount of the Deployment and StatefulSet controllers.
        """
        key = ObjectKey(owner.metadata.namespace, revision_name(owner, present))
        stored = await self._client.get(CONTROLLERREVISIONS, key)
        if stored is None:
            return
        heritage = heritage_of(owner, stored)
        same = (stored.get("data") or {}).get("template") == pod_template(owner)
        if heritage is Heritage.ORPHANED and same:
            await self._adopt(owner, stored)
        elif heritage is not Heritage.GOING and not (heritage is Heritage.OURS and same):
            count = (owner.status.collision_count or 0) + 1
            status = owner.status.model_copy(update={"collision_count": count})
            await self._sets.write_status(owner, status)
