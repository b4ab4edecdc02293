"""The life of a namespace: its default ServiceAccount, and its end when it is empty. No I/O.

Source: https://kubernetes.io/docs/tasks/administer-cluster/namespaces/ and
.../configure-service-account/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver.builtin import NAMESPACES, SERVICE_ACCOUNTS
from localcluster.apiserver.deletion import DeleteOptions
from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.write_rules import WriteOptions

if TYPE_CHECKING:
    from localcluster.apiserver.resources import Registry
    from localcluster.apiserver.store import CollectionKey, Event, ObjectKey, Stored
    from localcluster.apiserver.verbs import Verbs


class NamespaceController:
    """Starts and ends namespaces.

    Args:
        verbs: reads and writes.
        registry: the served resources.
    """

    def __init__(self, verbs: Verbs, registry: Registry) -> None:
        self._verbs = verbs
        self._registry = registry

    def handle(self, collection: CollectionKey, event: Event) -> None:
        """Follow one write."""
        metadata = event.stored.object["metadata"]
        if collection == NAMESPACES:
            if event.type == "ADDED":
                self._create_default_account(metadata["name"])
            elif event.type == "MODIFIED" and metadata.get("deletionTimestamp"):
                self._delete_contents(metadata["name"])
                self._finish(metadata["name"])
        elif event.type == "DELETED" and metadata.get("namespace"):
            self._finish(metadata["namespace"])

    def _create_default_account(self, namespace: str) -> None:
        resource = self._registry.of_collection(SERVICE_ACCOUNTS)
        stored = self._verbs.store.get(NAMESPACES, ("", namespace))
        absent = self._verbs.store.get(SERVICE_ACCOUNTS, (namespace, "default")) is None
        ending = stored is None or stored.object["metadata"].get("deletionTimestamp")
        if resource is not None and absent and not ending:
            account = {"metadata": {"name": "default"}}
            self._verbs.create(resource, namespace, account, WriteOptions())

    def _contents(self, namespace: str) -> list[tuple[CollectionKey, ObjectKey, Stored]]:
        everything = self._verbs.store.everything()
        return [place for place in everything if place[1][0] == namespace]

    def _delete_contents(self, namespace: str) -> None:
        for collection, key, stored in self._contents(namespace):
            resource = self._registry.of_collection(collection)
            if resource is not None and not stored.object["metadata"].get("deletionTimestamp"):
                self._verbs.delete(resource, key, DeleteOptions(propagation="Background"))

    def _finish(self, namespace: str) -> None:
        """Remove a namespace that is ending and empty."""
        stored = self._verbs.store.get(NAMESPACES, ("", namespace))
        if stored is None or not stored.object["metadata"].get("deletionTimestamp"):
            return
        if not self._contents(namespace):
            self._verbs.store.remove(NAMESPACES, ("", namespace), stored.object)


def create_namespaces(verbs: Verbs, registry: Registry, names: tuple[str, ...]) -> None:
    """Create the namespaces that every cluster has, unless they are there.

    Raises:
        ApiError: the registry does not serve namespaces.
    """
    resource = registry.of_collection(NAMESPACES)
    if resource is None:
        raise ApiError(500, "InternalError", "namespaces are not among the served resources")
    for name in names:
        if verbs.store.get(NAMESPACES, ("", name)) is None:
            verbs.create(resource, "", {"metadata": {"name": name}}, WriteOptions())
