"""Server-side apply: one manager's configuration becomes part of an object. Pure.

The configuration is merged into the live object; what the manager applied before and does not apply
now is taken out unless somebody else owns it; and what another manager owns with another value is a
conflict, which `force` decides for the new manager.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/ and
sigs.k8s.io/structured-merge-diff merge/update.go
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from localcluster.apiserver.errors import ApiError, bad_request, invalid, required
from localcluster.apiserver.fieldsets import (
    EMPTY,
    FieldSet,
    Path,
    compare,
    duplicate,
    fields_of,
    text,
    to_fields_v1,
    with_parents,
)
from localcluster.apiserver.objects import Object, fresh
from localcluster.apiserver.ownership import (
    Manager,
    Managers,
    Owned,
    contested,
    owned_fields,
    prior,
    schema_of,
    shown_manager,
    without,
    written,
)
from localcluster.apiserver.structured_merge import merge, remove

if TYPE_CHECKING:
    from localcluster.apiserver.resources import Resource

APPLY_PATCH = "application/apply-patch+yaml"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BEFORE_FIRST_APPLY = "before-first-apply"
# kubectl's own name as a manager that applies; under it the annotation of client-side apply counts.
_KUBECTL = "kubectl"
# The field that every object has: its parts go one by one.
_METADATA: Path = ("f:metadata",)
# CSafeLoader is several times faster and missing only where PyYAML was built without libyaml.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a manager applies.

    Args:
        object: the configuration, without what this endpoint does not write.
        fields: which fields it sets.
        manager: whose they are.
        now: metav1.Time.
        force: whether conflicts are won.
    """

    object: Object
    fields: FieldSet
    manager: Manager
    now: str
    force: bool


def parse(body: bytes) -> Object:
    """Return the configuration of a request: YAML, of which JSON is a part.

    Raises:
        ApiError: 400 when it cannot be read, has no type, or writes managedFields.
    """
    try:
        config = msgspec.json.decode(body)
    except msgspec.DecodeError:
        try:
            config = yaml.load(body, Loader=_LOADER)  # noqa: S506 - a safe loader in C
        except yaml.YAMLError as error:
            line = " ".join(str(error).split())
            raise bad_request(f"error decoding YAML: {line}") from error
    if not isinstance(config, dict) or not isinstance(config.get("metadata") or {}, dict):
        raise bad_request("error decoding YAML: the configuration is not an object")
    for field in ("apiVersion", "kind"):
        if not config.get(field):
            raise bad_request(f"Object '{field}' is missing in the configuration")
    if (config.get("metadata") or {}).get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    # A null sets nothing, so nobody owns it.
    stripped: Object = _without_nulls(config)
    return stripped


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(part) for k, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def configuration(
    resource: Resource, config: Object, manager: Manager, now: str, *, force: bool
) -> Configuration:
    """Return what a manager applies through one endpoint.

    Raises:
        ApiError: 422 without a manager's name, 400 for a list with the same key twice.
    """
    if not manager.name:
        cause = required("fieldManager", "is required for apply patch")
        raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
    scoped = _scoped(resource, config, manager.subresource)
    # Fields that the schema does not have are dropped from the object: nobody owns them.
    known = fresh(scoped)
    resource.complete(known)
    twice = duplicate(schema_of(resource), scoped)
    if twice is not None:
        raise bad_request(f"failed to create typed patch object: {text(twice)}: duplicate entries")
    fields = owned_fields(resource, scoped) & owned_fields(resource, known, containers=True)
    return Configuration(scoped, fields, manager, now, force)


def _scoped(resource: Resource, config: Object, subresource: str) -> Object:
    if subresource == "status":
        kept = ("apiVersion", "kind", "metadata", "status")
        names = ("name", "namespace", "uid", "resourceVersion")
        metadata = config.get("metadata") or {}
        own = {name: metadata[name] for name in names if name in metadata}
        return {**{key: config[key] for key in kept if key in config}, "metadata": own}
    if "status" in resource.subresources:
        return {key: value for key, value in config.items() if key != "status"}
    return config


def created(config: Configuration) -> list[Object]:
    """Return the managedFields of an object that `config` creates."""
    return written({config.manager: Owned(config.fields, config.now)} if config.fields else {})


def applied(resource: Resource, live: Object, config: Configuration) -> tuple[Object, list[Object]]:
    """Return `live` with `config` applied, and its managedFields.

    Raises:
        ApiError: 409 with a cause per field that somebody else owns.
    """
    schema = schema_of(resource)
    managers = prior(live["metadata"], {}, "") or _before_first_apply(resource, live, config)
    last = managers.get(config.manager)
    merged = merge(schema, live, config.object)
    if last is not None:
        merged = _pruned(schema, merged, managers, config, last.fields)
    changes = compare(schema, live, merged)
    conflicts = contested(managers, config.manager, changes.changed)
    if conflicts and not config.force:
        allowed = _allowed_to_kubectl(schema, live, config)
        conflicts = [each for each in conflicts if each[1] not in allowed]
        if conflicts:
            raise _conflict(conflicts)
    rest = without(
        {manager: owned for manager, owned in managers.items() if manager != config.manager},
        changes.changed | changes.removed,
    )
    if config.fields:
        same = last is not None and last.fields == config.fields
        unchanged = same and not changes.changed and not changes.removed
        time = last.time if last is not None and unchanged else config.now
        rest[config.manager] = Owned(config.fields, time)
    return merged, written(rest)


def _before_first_apply(resource: Resource, live: Object, config: Configuration) -> Managers:
    """Return the owner of an object whose fields nobody has claimed yet."""
    fields = owned_fields(resource, live, containers=True)
    manager = Manager(BEFORE_FIRST_APPLY, "Update", config.manager.api_version)
    return {manager: Owned(fields, config.now)}


def _pruned(
    schema: Object, merged: Object, managers: Managers, config: Configuration, last: FieldSet
) -> Object:
    """Return `merged` without what the manager applied last time only and nobody else owns."""
    doomed = with_parents(last) - with_parents(config.fields) - {_METADATA}
    if not doomed:
        return merged
    others: FieldSet = EMPTY.union(
        *(owned.fields for manager, owned in managers.items() if manager != config.manager)
    )
    pruned: Object = remove(schema, merged, to_fields_v1(doomed), to_fields_v1(others))
    return pruned


def _allowed_to_kubectl(schema: Object, live: Object, config: Configuration) -> FieldSet:
    """Return the fields that kubectl owns through the annotation of its client-side apply."""
    annotation = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if config.manager.name != _KUBECTL or not annotation:
        return EMPTY
    try:
        last = msgspec.json.decode(annotation)
    except msgspec.DecodeError:
        return EMPTY
    # What somebody has changed since is not kubectl's any more.
    since = compare(schema, last, live)
    return fields_of(schema, last) - since.changed - since.removed


def _conflict(conflicts: list[tuple[Manager, Path]]) -> ApiError:
    """Return 409: fields belong to others."""
    shown = [(f"conflict with {shown_manager(manager)}", text(path)) for manager, path in conflicts]
    if len(shown) == 1:
        message = f"Apply failed with 1 conflict: {shown[0][0]}: {shown[0][1]}"
    else:
        groups: dict[str, list[str]] = {}
        for manager, path in conflicts:
            groups.setdefault(shown_manager(manager), []).append(f"- {text(path)}")
        lines = [
            line
            for manager_text in sorted(groups)
            for line in (f"conflicts with {manager_text}:", *groups[manager_text])
        ]
        message = f"Apply failed with {len(shown)} conflicts: " + "\n".join(lines)
    causes = [
        {"reason": "FieldManagerConflict", "message": why, "field": field} for why, field in shown
    ]
    return ApiError(409, "Conflict", message, causes=causes)
