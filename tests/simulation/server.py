"""The API server of a schedule: the local API server's store and verbs, without HTTP or schemas.

Versions, preconditions, patches, subresources, generations, graceful deletion, quotas and garbage
collection are those of the real local server. Schemas are left out, because they would cost most
of a schedule's time and are tested elsewhere, but for the rules that decisions lean on: while a
server is claimed its opsState stays, and the claim itself is final (shared/crd_rules.py).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from aggregator.kube.resources import (
    AUTOSCALERS,
    GAMESERVERS,
    GAMESERVERSETS,
    PODS,
    ObjectKey,
)
from localcluster.apiserver.builtin import builtin_resources
from localcluster.apiserver.controllers import Controllers
from localcluster.apiserver.deletion import DeleteOptions
from localcluster.apiserver.errors import Cause, invalid, invalid_value
from localcluster.apiserver.garbage import GarbageCollector
from localcluster.apiserver.objects import fresh
from localcluster.apiserver.quota import QuotaController
from localcluster.apiserver.resources import Registry, Resource
from localcluster.apiserver.store import Store
from localcluster.apiserver.verbs import Verbs
from localcluster.apiserver.write_rules import WriteOptions
from tests.support.builders import SET_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from aggregator.kube import resources as kube
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.store import CollectionKey, Event

NAMESPACE = "games"
SET_KEY = ObjectKey(NAMESPACE, SET_NAME)
FOLLOWED = (GAMESERVERSETS, GAMESERVERS, PODS, AUTOSCALERS)
"""What an aggregator watches, and what people and kubelets change."""
QUOTA = ("", "resourcequotas")
_FIRST_VERSION = 1_000
_QUIET = WriteOptions(managed_fields=[])


def _complete_pod(pod: Object) -> list[str]:
    # A write to the status comes without the rest.
    pod.setdefault("status", {}).setdefault("phase", "Pending")
    if "spec" in pod:
        pod["spec"].setdefault("serviceAccountName", "default")
        pod["spec"].setdefault("terminationGracePeriodSeconds", 30)
    return []


def _no_fields(_obj: Object) -> list[str]:
    return []


def _claim_causes(new: Object, old: Object | None) -> list[Cause]:
    """Return what the rules of the GameServer's definition have against a change."""
    claim = None if old is None else old["spec"].get("deletion")
    if old is None or claim is None:
        return []
    causes = []
    if new["spec"].get("opsState") != old["spec"].get("opsState"):
        causes.append(invalid_value("spec.opsState", "", "the server is being deleted"))
    kept = new["spec"].get("deletion")
    if kept != claim and (kept is not None or claim["reason"] != "ScaleDown"):
        causes.append(invalid_value("spec.deletion", "", "the server is being deleted"))
    return causes


def _no_causes(_new: Object, _old: Object | None) -> list[Any]:
    return []


@cache
def _resources() -> tuple[Resource, ...]:
    builtin = [
        replace(
            each,
            complete=_complete_pod if each.plural == PODS.plural else _no_fields,
            validate=_no_causes,
        )
        for each in builtin_resources()
    ]
    custom = [
        Resource(
            each.group,
            each.version,
            each.plural,
            each.kind,
            builtin[0].printer,
            subresources=("status",),
            custom=True,
            has_generation=True,
            validate=_claim_causes if each == GAMESERVERS else _no_causes,
        )
        for each in (GAMESERVERS, GAMESERVERSETS, AUTOSCALERS)
    ]
    return (*builtin, *custom)


class _Verbs(Verbs):
    """The verbs without a look at the form of names and labels: nobody here writes bad ones."""

    def _validate(self, resource: Resource, obj: Object, old: Object | None) -> None:
        if causes := resource.validate(obj, old):
            name = obj["metadata"]["name"]
            raise invalid(resource.group, resource.kind, name, causes)


class Server:
    """Objects and what follows from writes to them.

    Attributes:
        archive: every version of every object that was ever stored: by plural, then by name and
            version.
        latest: the version of the last event, by plural.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.store = Store(_FIRST_VERSION)
        self.verbs = _Verbs(self.store, now)
        self.archive: dict[str, dict[tuple[str, str], Object]] = defaultdict(dict)
        self.latest: dict[str, int] = {each.plural: 0 for each in FOLLOWED}
        self._registry = Registry(_resources())
        controllers = (GarbageCollector(self.verbs, self._registry), QuotaController(self.store))
        self.controllers = Controllers(self.store, controllers, lambda _: None)
        self.store.listeners.append(self._remember)
        self.create_as_user("", "namespaces", "", {"metadata": {"name": NAMESPACE}})
        self.create_as_user("", "serviceaccounts", NAMESPACE, {"metadata": {"name": "default"}})

    def resource(self, named: kube.Resource) -> Resource:
        """Return the served resource of one that the aggregator names."""
        found = self.serves(named)
        assert found is not None, named
        return found

    def serves(self, named: kube.Resource) -> Resource | None:
        """Return the served resource; None for one that this server does not know."""
        return self._registry.find(named.group, named.version, named.plural)

    def find(self, named: kube.Resource, name: str) -> Object | None:
        """Return an object as it is now; not to be changed."""
        stored = self.store.get((named.group, named.plural), (NAMESPACE, name))
        return None if stored is None else stored.object

    def all(self, named: kube.Resource) -> dict[str, Object]:
        """Return the objects as they are now, by name; not to be changed."""
        objects = self.store.collection((named.group, named.plural)).objects
        return {key[1]: stored.object for key, stored in sorted(objects.items())}

    def create_as_user(self, group: str, plural: str, namespace: str, body: Object) -> Object:
        """Create an object, as kubectl does."""
        resource = self._registry.of_collection((group, plural))
        assert resource is not None, plural
        made = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return self.verbs.create(resource, namespace, made, _QUIET).stored.object

    def edit(
        self, named: kube.Resource, name: str, change: Callable[[Object], None], part: str = ""
    ) -> None:
        """Change an object in place, as a person does, or a kubelet (`part` is status)."""
        current = self.find(named, name)
        assert current is not None, name
        body = fresh(current)
        change(body)
        self.verbs.replace(self.resource(named), (NAMESPACE, name), body, _QUIET, part)

    def delete(
        self,
        collection: CollectionKey,
        name: str,
        grace_seconds: int | None = None,
        propagation: str | None = None,
    ) -> None:
        """Delete an object, as a person does; what does not exist stays so."""
        resource = self._registry.of_collection(collection)
        assert resource is not None, collection
        if self.store.get(collection, (NAMESPACE, name)) is not None:
            options = DeleteOptions(grace_seconds, propagation)
            self.verbs.delete(resource, (NAMESPACE, name), options)

    def _remember(self, collection: CollectionKey, event: Event) -> None:
        metadata = event.stored.object["metadata"]
        key = (metadata["name"], metadata["resourceVersion"])
        self.archive[collection[1]][key] = event.stored.object
        self.latest[collection[1]] = event.stored.version
