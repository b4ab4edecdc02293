"""What a served resource is, and the registry of all of them. Pure.

A Resource is data and a few pure functions; the verbs (verbs.py) are the same for every resource.
builtin.py declares the built-in ones, crd.py makes one from each served version of a
CustomResourceDefinition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from localcluster.apiserver.errors import Cause
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.store import CollectionKey

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        name: the head as the API gives it; kubectl prints it in capitals.
        type: integer, number, string, boolean or date.
        priority: 0 is always shown, more only with `-o wide`.
        format: `name` marks the column that holds the object's name.
        description: for readers of the API.
    """

    name: str
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Printer:
    """How objects become rows.

    Args:
        columns: the heads.
        cells: object and now -> one JSON value per column; None is an empty cell.
    """

    columns: tuple[Column, ...]
    cells: Callable[[Object, datetime], list[Any]]


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where the scale subresource finds its numbers; each a tuple of keys from the root."""

    spec_replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    label_selector: tuple[str, ...] | None = None


def _unchanged(_obj: Object) -> list[str]:
    """Decode nothing: the resource has no schema that could name unknown fields."""
    return []


def _no_causes(_new: Object, _old: Object | None) -> list[Cause]:
    return []


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource under one version.

    Args:
        group: API group; empty for core.
        version: API version, for example `v1alpha1`.
        plural: name in paths.
        kind: name in objects.
        printer: the table.
        namespaced: whether objects live in namespaces.
        singular: name for people; the kind in lower case unless given.
        short_names: what kubectl accepts as well.
        categories: for example `all`.
        verbs: what clients may do.
        subresources: beside the object itself: status, scale, log, exec, binding, token.
        custom: whether a CustomResourceDefinition made it.
        has_generation: whether metadata.generation counts changes of the specification.
        status_at_creation: whether the creator may set the status too, as kubelets do for nodes.
        selectable_fields: dotted paths beside metadata.name and metadata.namespace.
        complete: prunes and defaults an object in place; returns the unknown fields it dropped.
        validate: new object and the one it replaces (None at creation) -> causes.
        name_causes: what is wrong with metadata.name.
        scale: for the scale subresource.
        openapi: OpenAPI v3 schema of the kind, without references; parts may be shared.
    """

    group: str
    version: str
    plural: str
    kind: str
    printer: Printer
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ()
    custom: bool = False
    has_generation: bool = False
    status_at_creation: bool = False
    selectable_fields: tuple[str, ...] = ()
    complete: Callable[[Object], list[str]] = _unchanged
    validate: Callable[[Object, Object | None], list[Cause]] = _no_causes
    name_causes: Callable[[str], list[Cause]] | None = None
    scale: ScalePaths | None = None
    openapi: Object = field(default_factory=dict)

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def collection(self) -> CollectionKey:
        """Where its objects are stored; the versions of one resource share them."""
        return (self.group, self.plural)

    @property
    def field_selectors(self) -> tuple[str, ...]:
        """Every path a field selector may name."""
        scope = ("metadata.namespace",) if self.namespaced else ()
        return ("metadata.name", *scope, *self.selectable_fields)


class Registry:
    """Every served resource; definitions add and remove some while the server runs."""

    def __init__(self, resources: tuple[Resource, ...]) -> None:
        self._resources = {(r.group, r.version, r.plural): r for r in resources}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return a resource, or None when it is not served."""
        return self._resources.get((group, version, plural))

    def of_collection(self, key: CollectionKey) -> Resource | None:
        """Return one served version of a stored collection, or None when none is served."""
        return next((r for r in self._resources.values() if r.collection == key), None)

    def replace(self, collection: CollectionKey, resources: tuple[Resource, ...]) -> None:
        """Serve exactly `resources` for a collection; none stops serving it."""
        kept = {k: r for k, r in self._resources.items() if r.collection != collection}
        self._resources = kept | {(r.group, r.version, r.plural): r for r in resources}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())

    def of_version(self, group: str, version: str) -> list[Resource]:
        """Return the resources of a group version, by plural."""
        found = [r for r in self._resources.values() if (r.group, r.version) == (group, version)]
        return sorted(found, key=lambda r: r.plural)

    def versions(self) -> dict[str, list[str]]:
        """Return each group's versions, the newest and most stable first."""
        groups: dict[str, set[str]] = {}
        for resource in self._resources.values():
            groups.setdefault(resource.group, set()).add(resource.version)
        return {g: sorted(v, key=version_priority, reverse=True) for g, v in sorted(groups.items())}


def version_priority(version: str) -> tuple[int, int, int]:
    """Return a sort key under which v2 > v1 > v1beta2 > v1beta1 > v1alpha1.

    Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
    """
    for rank, stage in ((1, "beta"), (0, "alpha")):
        head, found, tail = version.partition(stage)
        if found and head[1:].isdigit():
            return (rank, int(head[1:]), int(tail or 0))
    return (2, int(version[1:]), 0) if version[1:].isdigit() else (-1, 0, 0)
