"""`metadata.managedFields`: who wrote which field of an object. Pure.

Every writer is a manager: a name, and whether it applies (server-side apply) or updates (any other
write), under a version and perhaps a subresource. A write gives its manager what it changed and
takes it from the others; only who applies keeps what it set, changed or not.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management and
k8s.io/apimachinery pkg/util/managedfields
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from localcluster.apiserver.fieldsets import (
    EMPTY,
    FieldSet,
    Path,
    compare,
    fields_of,
    from_fields_v1,
    to_fields_v1,
)

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.resources import Resource

Operation: TypeAlias = Literal["Apply", "Update"]

_STRINGS: Object = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA: Object = {
    "properties": {
        "labels": _STRINGS,
        "annotations": _STRINGS,
        "finalizers": {"x-kubernetes-list-type": "set"},
        "ownerReferences": {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "items": {"x-kubernetes-map-type": "atomic"},
        },
    }
}
# What identifies an object, and what the server writes, belongs to nobody.
_UNOWNED: FieldSet = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                *("name", "namespace", "generateName", "uid", "resourceVersion", "generation"),
                *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
                *("selfLink", "managedFields"),
            )
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes.

    Args:
        name: the `fieldManager` of the request, or the program of its user agent.
        operation: whether it applies or updates.
        api_version: in which the fields are named.
        subresource: empty for the object itself.
    """

    name: str
    operation: Operation
    api_version: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """What a manager owns, and when it last wrote (metav1.Time)."""

    fields: FieldSet
    time: str


Managers: TypeAlias = dict[Manager, Owned]


def schema_of(resource: Resource) -> Object:
    """Return the schema of whole objects, metadata included."""
    properties = resource.openapi.get("properties") or {}
    return {"properties": {**properties, "metadata": _METADATA}}


def owned_fields(resource: Resource, obj: Object, *, containers: bool = False) -> FieldSet:
    """Return the fields of an object that somebody can own (see fieldsets.fields_of)."""
    return fields_of(schema_of(resource), obj, containers=containers) - _UNOWNED


def prior(live: Object | None, wanted: Object, subresource: str) -> Managers:
    """Return the managers before a write.

    A client may write managedFields itself: one empty entry clears them, and what cannot be read
    counts as absent, so that clients that do not know them do not lose them.

    Args:
        live: metadata of the stored object; None at creation.
        wanted: metadata of the request.
        subresource: through which managedFields cannot be written.
    """
    given = wanted.get("managedFields")
    if not subresource:
        if given == [{}]:
            return {}
        managers = _read(given)
        if managers:
            return managers
    return _read((live or {}).get("managedFields"))


def updated(
    resource: Resource, managers: Managers, old: Object, new: Object, me: tuple[Manager, str]
) -> list[Object]:
    """Return managedFields after an update.

    Args:
        resource: what is written.
        managers: before.
        old: the object before; empty at creation.
        new: the object to be stored.
        me: the manager, and now.
    """
    changes = compare(schema_of(resource), old, new)
    changed, removed = changes.changed - _UNOWNED, changes.removed - _UNOWNED
    after = without(managers, changed | removed)
    manager, now = me
    mine = after.pop(manager, Owned(EMPTY, now)).fields | changed
    if mine:
        after[manager] = Owned(mine, now)
    return written(after)


def without(managers: Managers, lost: FieldSet) -> Managers:
    """Return the managers without some fields, and without those who then own nothing."""
    return {
        manager: Owned(left, owned.time)
        for manager, owned in managers.items()
        if (left := owned.fields - lost)
    }


def written(managers: Managers) -> list[Object]:
    """Return the managedFields of some managers: who applies first, then by time and name."""
    listed = sorted(managers.items(), key=lambda pair: _order(*pair))
    return [_entry(manager, owned) for manager, owned in listed]


def shown_manager(manager: Manager) -> str:
    """Return a manager as the messages about conflicts name it."""
    text = f'"{manager.name}"'
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return text if manager.operation == "Apply" else f"{text} using {manager.api_version}"


def contested(managers: Managers, me: Manager, wanted: FieldSet) -> list[tuple[Manager, Path]]:
    """Return the wanted fields that another manager owns."""
    return [
        (manager, path)
        for manager, owned in sorted(managers.items(), key=lambda pair: _order(*pair))
        if manager != me
        for path in sorted(owned.fields & wanted)
    ]


def _order(manager: Manager, owned: Owned) -> tuple[str, str, str, str, str]:
    return (
        *(manager.operation, owned.time, manager.name),
        *(manager.api_version, manager.subresource),
    )


def _entry(manager: Manager, owned: Owned) -> Object:
    entry: Object = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": owned.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": to_fields_v1(owned.fields),
    }
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def _read(entries: Any) -> Managers:
    try:
        return {
            Manager(
                entry.get("manager", ""),
                "Apply" if entry["operation"] == "Apply" else "Update",
                entry["apiVersion"],
                entry.get("subresource", ""),
            ): Owned(from_fields_v1(entry["fieldsV1"]), entry.get("time", ""))
            for entry in entries or ()
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        return {}
