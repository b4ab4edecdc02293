"""`meta.k8s.io/v1` Tables: what kubectl prints. Pure.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.resources import Printer

IncludeObject: TypeAlias = Literal["None", "Metadata", "Object"]
INCLUDE_OBJECT: tuple[IncludeObject, ...] = get_args(IncludeObject)


def table(
    printer: Printer,
    objects: Iterable[Object],
    list_metadata: Object,
    include: IncludeObject,
    now: datetime,
) -> Object:
    """Return the Table of some objects.

    Args:
        printer: columns and cells.
        objects: one row each.
        list_metadata: resourceVersion, continue and the like.
        include: how much of the object each row carries.
        now: for ages.
    """
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_metadata,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": column.format,
                "description": column.description,
                "priority": column.priority,
            }
            for column in printer.columns
        ],
        "rows": [
            {"cells": printer.cells(obj, now), "object": _row_object(obj, include)}
            for obj in objects
        ],
    }


def bookmark_table(bookmark: Object) -> Object:
    """Return the Table form of a BOOKMARK: no cells, and the object that carries the version."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": bookmark["metadata"]["resourceVersion"]},
        "columnDefinitions": [],
        "rows": [{"cells": [], "object": bookmark}],
    }


def _row_object(obj: Object, include: IncludeObject) -> Any:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }
