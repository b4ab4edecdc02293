"""What a write may say and change: types, preconditions, what belongs to which endpoint. Pure.

verbs.py asks these in turn; each returns the object to go on with, or refuses.

Source: k8s.io/apiserver pkg/registry/rest/create.go and update.go
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcluster.apiserver import errors, metadata
from localcluster.apiserver.objects import with_metadata

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.resources import Resource

SERVER_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_NAME_FIELDS = ("name", "namespace")
# The server's own writes, as the real one calls itself.
OWN_MANAGER = "kube-apiserver"


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of create, update and patch.

    Args:
        dry_run: do everything but store.
        field_validation: Strict refuses unknown fields, Warn names them in a Warning header, Ignore
            drops them.
        manager: who owns the fields that this write changes.
        managed_fields: what server-side apply has decided; None lets the write record its own.
    """

    dry_run: bool = False
    field_validation: str = "Warn"
    manager: str = OWN_MANAGER
    managed_fields: list[Object] | None = None


def check_type(resource: Resource, obj: Any) -> None:
    """Raise 400 for a body that is no object of this kind; fill in the type of a built-in one."""
    if not isinstance(obj, dict):
        raise errors.bad_request("the body of the request is not a JSON object")
    for field, expected in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        # Typed clients leave both out for built-in kinds; for a custom resource they are the only
        # type.
        if not obj.get(field) and not resource.custom:
            obj[field] = expected
        if obj.get(field) != expected:
            given = obj.get(field) or "none"
            raise errors.bad_request(
                f"the {field} in the data ({given}) does not match "
                f"the expected {field} ({expected})"
            )


def metadata_of(obj: Object) -> Object:
    """Return the metadata of a body; raise 400 when it is of another shape."""
    meta = obj.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise errors.bad_request("metadata: must be an object")
    for name in ("name", "generateName", "namespace", "uid", "resourceVersion"):
        if not isinstance(meta.get(name) or "", str):
            raise errors.bad_request(f"metadata.{name}: must be a string")
    return meta


def check_namespace(meta: Object, namespace: str) -> None:
    """Raise 400 when body and path name different namespaces."""
    if meta.get("namespace") not in (None, "", namespace):
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_current(resource: Resource, current: Object, meta: Object) -> None:
    """Raise 409 when the client decided on another version, or on another object of this name."""
    actual = current["metadata"]
    if meta.get("uid") not in (None, "", actual["uid"]):
        raise _other_uid(resource, actual["name"], meta["uid"], actual["uid"])
    if resource.custom and not meta.get("resourceVersion"):
        cause = errors.invalid_value(
            "metadata.resourceVersion", 0, "must be specified for an update"
        )
        raise errors.invalid(resource.group, resource.kind, actual["name"], [cause])
    if meta.get("resourceVersion") not in (None, "", actual["resourceVersion"]):
        raise errors.modified(resource.group, resource.plural, actual["name"])


def check_absent(resource: Resource, name: str, meta: Object) -> None:
    """Raise 409 when the client wants to update an object that has gone, and named its uid.

    NB: not 404, because the precondition is asked before the object is missed.
    """
    if meta.get("uid"):
        raise _other_uid(resource, name, meta["uid"], "")


def check_same_uid(resource: Resource, current: Object, patched: Object) -> None:
    """Raise 422 when a patch changes the uid: to a patch it is a field, not a precondition.

    A stale version is told first, and by `check_current`.
    """
    meta, actual = metadata_of(patched), current["metadata"]
    wanted = meta.get("uid")
    fresh_version = meta.get("resourceVersion") in (None, "", actual["resourceVersion"])
    if fresh_version and wanted not in (None, "", actual["uid"]):
        cause = errors.invalid_value("metadata.uid", wanted, "field is immutable")
        raise errors.invalid(resource.group, resource.kind, actual["name"], [cause])


def _other_uid(resource: Resource, name: str, wanted: str, actual: str) -> errors.ApiError:
    why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}"
    return errors.conflict(resource.group, resource.plural, name, why)


def writable(resource: Resource, obj: Object, subresource: str) -> Object:
    """Return the part of `obj` that this endpoint writes: the status, or all but the status."""
    if "status" not in resource.subresources:
        return obj
    if subresource == "status":
        return {key: obj[key] for key in ("apiVersion", "kind", "metadata", "status") if key in obj}
    return {key: value for key, value in obj.items() if key != "status"}


def joined(resource: Resource, current: Object, part: Object, subresource: str) -> Object:
    """Return `part` completed by what its endpoint does not write, shared with `current`."""
    if "status" not in resource.subresources:
        return part
    if subresource != "status":
        return {**part, "status": current["status"]} if "status" in current else part
    desired = {key: value for key, value in current.items() if key != "status"}
    if not resource.custom:
        # Kubelets label through the status; its owners are never theirs to change.
        owners = current["metadata"].get("ownerReferences")
        desired["metadata"] = with_metadata(part, ownerReferences=owners)["metadata"]
    return {**desired, "status": part["status"]} if "status" in part else desired


def keep_server_fields(current: Object, desired: Object, fields: list[Object]) -> Object:
    """Return `desired` with the metadata that only the server writes, `fields` among them."""
    kept = {name: current["metadata"].get(name) for name in (*SERVER_FIELDS, "generation")}
    names = {name: current["metadata"].get(name) for name in _NAME_FIELDS}
    version = current["metadata"]["resourceVersion"]
    updated = with_metadata(
        desired, **kept, **names, resourceVersion=version, managedFields=fields or None
    )
    return {**updated, "apiVersion": current["apiVersion"]}


def decode(resource: Resource, obj: Object, options: WriteOptions) -> tuple[str, ...]:
    """Prune and default in place; refuse or return the unknown fields as the options say."""
    unknown = [f'unknown field "{path}"' for path in metadata.complete(obj["metadata"])]
    unknown += [f'unknown field "{path}"' for path in resource.complete(obj)]
    if unknown and options.field_validation == "Strict":
        raise errors.bad_request(
            f'{resource.kind} in version "{resource.version}" '
            f"cannot be handled as a {resource.kind}: "
            f"strict decoding error: {', '.join(unknown)}"
        )
    return tuple(unknown) if options.field_validation == "Warn" else ()


def is_new_generation(resource: Resource, current: Object, desired: Object) -> bool:
    """Return whether a change counts: it is to more than metadata and status."""
    ignored = {"metadata", "apiVersion"}
    if "status" in resource.subresources:
        ignored.add("status")
    return resource.has_generation and any(
        current.get(key) != desired.get(key) for key in (current.keys() | desired.keys()) - ignored
    )


def finalizer_causes(meta: Object, old: Object) -> list[errors.Cause]:
    """Return the cause against a finalizer that comes to an object that is being deleted."""
    if not old.get("deletionTimestamp"):
        return []
    known = old.get("finalizers") or []
    added = [name for name in meta.get("finalizers") or [] if name not in known]
    why = (
        "no new finalizers can be added if the object is being deleted, "
        f"found new finalizers {added}"
    )
    return [errors.forbidden_field("metadata.finalizers", why)] if added else []
