"""CustomResourceDefinitions as objects: each write to one changes what the server serves. No I/O.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver import crd
from localcluster.apiserver.builtin import DEFINITIONS
from localcluster.apiserver.deletion import DeleteOptions

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.resources import Registry
    from localcluster.apiserver.store import CollectionKey, Event
    from localcluster.apiserver.verbs import Verbs

# The real server's guard: the objects of a definition go before it does.
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class DefinitionController:
    """Keeps the registry equal to the stored definitions.

    Args:
        verbs: reads and writes.
        registry: changed by this controller alone.
    """

    def __init__(self, verbs: Verbs, registry: Registry) -> None:
        self._verbs = verbs
        self._registry = registry

    def handle(self, collection: CollectionKey, event: Event) -> None:
        """Follow one write to a definition, or to an object of one that is ending."""
        if collection == DEFINITIONS:
            self._follow(event)
        elif event.type == "DELETED":
            self._finish(f"{collection[1]}.{collection[0]}")

    def _follow(self, event: Event) -> None:
        definition = event.stored.object
        served = (definition["spec"]["group"], definition["spec"]["names"]["plural"])
        if event.type == "DELETED":
            self._registry.replace(served, ())
        elif definition["metadata"].get("deletionTimestamp"):
            self._delete_objects(served)
            self._finish(definition["metadata"]["name"])
        else:
            self._registry.replace(served, crd.resources(definition))
            self._establish(definition)

    def _establish(self, definition: Object) -> None:
        ready = crd.established(definition, self._verbs.now())
        finalizers = ready["metadata"].get("finalizers") or []
        if CLEANUP_FINALIZER not in finalizers:
            metadata = {**ready["metadata"], "finalizers": [*finalizers, CLEANUP_FINALIZER]}
            ready = {**ready, "metadata": metadata}
        key = ("", definition["metadata"]["name"])
        current = self._verbs.store.get(DEFINITIONS, key)
        # A later write has its own event; this one must not undo it.
        if ready != definition and current is not None and current.object is definition:
            self._verbs.store.put(DEFINITIONS, key, ready)

    def _delete_objects(self, served: CollectionKey) -> None:
        resource = self._registry.of_collection(served)
        if resource is None:
            return
        for key, stored in tuple(self._verbs.store.collection(served).objects.items()):
            if not stored.object["metadata"].get("deletionTimestamp"):
                self._verbs.delete(resource, key, DeleteOptions())

    def _finish(self, name: str) -> None:
        """Let a definition go that is ending and has no objects left."""
        stored = self._verbs.store.get(DEFINITIONS, ("", name))
        if stored is None or not stored.object["metadata"].get("deletionTimestamp"):
            return
        spec = stored.object["spec"]
        if self._verbs.store.collection((spec["group"], spec["names"]["plural"])).objects:
            return
        finalizers = stored.object["metadata"].get("finalizers") or []
        left = [each for each in finalizers if each != CLEANUP_FINALIZER]
        metadata = {**stored.object["metadata"], "finalizers": left}
        if left == finalizers:
            return
        if left:
            self._verbs.store.put(DEFINITIONS, ("", name), {**stored.object, "metadata": metadata})
        else:
            self._verbs.store.remove(DEFINITIONS, ("", name), stored.object)
