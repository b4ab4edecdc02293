"""Create, read, replace, patch and delete: the semantics that all resources share.

No HTTP, no await: every verb runs to its end on one thread, so it is atomic. The only side effect
is the store.

A write goes: decode (prune, default) -> keep what the client may not change -> validate -> store,
unless nothing changed.

Source: k8s.io/apiserver pkg/registry/generic/registry/store.go and
https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcluster.apiserver import (
    admission,
    deletion,
    errors,
    metadata,
    ownership,
    pods,
    write_rules,
)
from localcluster.apiserver.objects import Object, dig, fresh, timestamp, with_metadata
from localcluster.apiserver.patch import apply_patch, check_media_type
from localcluster.apiserver.store import ObjectKey, Store, Stored
from localcluster.apiserver.write_rules import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from localcluster.apiserver.deletion import DeleteOptions
    from localcluster.apiserver.resources import Resource

# Without vowels and look-alikes, so that a generated name spells no word (k8s.io/apimachinery
# pkg/util/rand).
_NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Written:
    """A write that succeeded.

    Args:
        stored: the object now.
        warnings: one line each for the client's Warning headers.
    """

    stored: Stored
    warnings: tuple[str, ...] = ()


class Verbs:
    """The verbs over one store.

    Args:
        store: objects and versions.
        now: the clock.
    """

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self.store = store
        self.now = now

    def get(self, resource: Resource, key: ObjectKey) -> Stored:
        """Return an object.

        Raises:
            ApiError: 404.
        """
        stored = self.store.get(resource.collection, key)
        if stored is None:
            raise errors.not_found(resource.group, resource.plural, key[1])
        return stored

    def create(
        self, resource: Resource, namespace: str, obj: Object, options: WriteOptions
    ) -> Written:
        """Store a new object.

        Args:
            resource: what it is.
            namespace: of the request; empty for cluster-scoped resources.
            obj: the request's body; changed in place.
            options: of the write.

        Raises:
            ApiError: 400, 403, 404 (no such namespace), 409 AlreadyExists, 422, 500 (a version).
        """
        write_rules.check_type(resource, obj)
        meta = write_rules.metadata_of(obj)
        if meta.get("resourceVersion"):
            raise errors.version_at_creation()
        write_rules.check_namespace(meta, namespace)
        if not meta.get("name") and meta.get("generateName"):
            suffix = "".join(secrets.choice(_NAME_ALPHABET) for _ in range(5))
            meta["name"] = f"{meta['generateName']}{suffix}"
        for name in write_rules.SERVER_FIELDS:
            meta.pop(name, None)
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = timestamp(self.now())
        if resource.namespaced:
            meta["namespace"] = namespace
        if resource.has_generation:
            meta["generation"] = 1
        if "status" in resource.subresources and not resource.status_at_creation:
            obj.pop("status", None)
        managers = ownership.prior(None, meta, "")
        warnings = write_rules.decode(resource, obj, options)
        self._validate(resource, obj, None)
        meta["managedFields"] = self._managed(resource, managers, ({}, obj), options)
        admission.admit_creation(self.store, resource, obj)
        key = (namespace, meta["name"])
        if self.store.get(resource.collection, key):
            raise errors.already_exists(resource.group, resource.plural, meta["name"])
        return Written(self._put(resource, key, obj, options), warnings)

    def replace(
        self,
        resource: Resource,
        key: ObjectKey,
        obj: Object,
        options: WriteOptions,
        subresource: str = "",
    ) -> Written:
        """Store the next version of an object that exists.

        Args:
            resource: what it is.
            key: namespace and name of the request.
            obj: the whole object wanted; changed in place.
            options: of the write.
            subresource: empty for all but status, or `status` for status alone.

        Raises:
            ApiError: 400, 404, 409 Conflict, 422.
        """
        write_rules.check_type(resource, obj)
        meta = write_rules.metadata_of(obj)
        if self.store.get(resource.collection, key) is None:
            write_rules.check_absent(resource, key[1], meta)
        current = self.get(resource, key)
        write_rules.check_namespace(meta, key[0])
        if meta.setdefault("name", key[1]) != key[1]:
            raise errors.bad_request(
                f"the name of the object ({meta['name']}) does not match "
                f"the name on the URL ({key[1]})"
            )
        write_rules.check_current(resource, current.object, meta)
        managers = ownership.prior(current.object["metadata"], meta, subresource)
        part = write_rules.writable(resource, obj, subresource)
        warnings = write_rules.decode(resource, part, options)
        desired = write_rules.joined(resource, current.object, part, subresource)
        fields = options.managed_fields
        if fields is None:
            fields = ownership.written(managers)
        desired = write_rules.keep_server_fields(current.object, desired, fields)
        if desired == current.object:
            return Written(current, warnings)
        self._validate(resource, desired, current.object)
        if write_rules.is_new_generation(resource, current.object, desired):
            generation = current.object["metadata"].get("generation", 0) + 1
            desired = with_metadata(desired, generation=generation)
        live = current.presented(resource.api_version)
        fields = self._managed(resource, managers, (live, desired), options, subresource)
        desired = with_metadata(desired, managedFields=fields or None)
        return Written(self._put(resource, key, desired, options), warnings)

    def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        patch: tuple[str, bytes],
        options: WriteOptions,
        subresource: str = "",
    ) -> Written:
        """Store the next version of an object, given as a patch.

        Args:
            resource: what it is.
            key: namespace and name.
            patch: media type and body.
            options: of the write.
            subresource: as for `replace`.

        Raises:
            ApiError: as `replace`, and 415 and 422 of the patch itself.
        """
        # First, because server-side apply would create what does not exist.
        check_media_type(resource, patch[0])
        current = self.get(resource, key).presented(resource.api_version)
        patched = apply_patch(resource, current, *patch)
        write_rules.check_same_uid(resource, current, patched)
        # It may share parts with the stored object, and `replace` changes what it gets.
        part = fresh(write_rules.writable(resource, patched, subresource))
        return self.replace(resource, key, part, options, subresource)

    def bind(self, resource: Resource, key: ObjectKey, binding: Object) -> None:
        """Assign a pod to a node (`pods/binding`).

        Raises:
            ApiError: 404, 409 when the pod has a node already, is being deleted or has another uid,
                422 without a node.
        """
        if not dig(binding, "target", "name"):
            raise errors.invalid("", "Binding", key[1], [errors.required("target.name")])
        current = self.get(resource, key).object
        write_rules.check_current(resource, current, write_rules.metadata_of(binding))
        pod = pods.bound(current, binding, self.now())
        self.store.put(resource.collection, key, pod)

    def change_metadata(self, resource: Resource, key: ObjectKey, **changes: object) -> None:
        """Set metadata fields of an object (None removes one), without looking at the rest.

        For controllers: a finalizer has to come off an object even if a new schema calls its spec
        invalid.
        """
        changed = with_metadata(self.get(resource, key).object, **changes)
        self._put(resource, key, changed, WriteOptions())

    def delete(
        self, resource: Resource, key: ObjectKey, options: DeleteOptions
    ) -> tuple[Stored, bool]:
        """Delete an object, or mark it to be deleted.

        Returns:
            The object's last or marked state, and whether it is gone.

        Raises:
            ApiError: 403 for namespaces that must stay, 404, 409 for a failed precondition.
        """
        current = self.get(resource, key)
        deletion.check_preconditions(resource, current.object, options)
        admission.admit_deletion(resource, key[1])
        marked = deletion.mark(resource, current.object, options, self.now())
        if options.dry_run or marked is current.object:
            return current, marked is None
        if marked is None:
            return self.store.remove(resource.collection, key, current.object), True
        return self.store.put(resource.collection, key, marked), False

    def _managed(
        self,
        resource: Resource,
        managers: ownership.Managers,
        change: tuple[Object, Object],
        options: WriteOptions,
        subresource: str = "",
    ) -> list[Object]:
        """Return managedFields after the change from one object to another."""
        if options.managed_fields is not None:
            return options.managed_fields
        manager = ownership.Manager(options.manager, "Update", resource.api_version, subresource)
        return ownership.updated(resource, managers, *change, (manager, timestamp(self.now())))

    def _put(
        self, resource: Resource, key: ObjectKey, obj: Object, options: WriteOptions
    ) -> Stored:
        if options.dry_run:
            version = obj["metadata"].get("resourceVersion")
            return Stored(obj, int(version) if version else 0)
        if deletion.is_over(resource, obj):
            return self.store.remove(resource.collection, key, obj)
        return self.store.put(resource.collection, key, obj)

    def _validate(self, resource: Resource, obj: Object, old: Object | None) -> None:
        meta = obj["metadata"]
        causes: list[errors.Cause] = []
        if not meta.get("name"):
            causes.append(errors.required("metadata.name", "name or generateName is required"))
        elif old is None and resource.name_causes:
            causes += resource.name_causes(meta["name"])
        causes += metadata.causes(meta)
        if old is not None:
            causes += write_rules.finalizer_causes(meta, old["metadata"])
        causes += resource.validate(obj, old)
        if causes:
            raise errors.invalid(resource.group, resource.kind, meta.get("name", ""), causes)
