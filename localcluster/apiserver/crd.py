"""CustomResourceDefinitions: validated, established, and turned into served resources. Pure.

Source: https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/
and k8s.io/apiextensions-apiserver pkg/registry/customresource/tableconvertor (printer columns).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs

from localcluster.apiserver import printers, schema
from localcluster.apiserver.builtin import EXTENSIONS_GROUP
from localcluster.apiserver.durations import age
from localcluster.apiserver.errors import (
    Cause,
    forbidden_field,
    invalid_value,
    required,
    unsupported_value,
)
from localcluster.apiserver.jsonpath import JsonPath
from localcluster.apiserver.metadata import subdomain_causes
from localcluster.apiserver.objects import Object, dig, encode, timestamp
from localcluster.apiserver.resources import Column, Printer, Resource, ScalePaths
from localcluster.apiserver.structural import structural_causes
from localcluster.apiserver.validation import Validator

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_NAME_FIELDS = ("plural", "kind")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")


def _complete(definition: Object) -> list[str]:
    spec, names = definition.get("spec"), dig(definition, "spec", "names")
    if isinstance(spec, dict) and isinstance(names, dict) and isinstance(names.get("kind"), str):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
        spec.setdefault("conversion", {"strategy": "None"})
    return []


def _validate(definition: Object, old: Object | None) -> list[Cause]:
    spec = definition.get("spec")
    if not isinstance(spec, dict):
        return [required("spec")]
    declared = spec.get("names")
    names: Object = declared if isinstance(declared, dict) else {}
    causes = [required(f"spec.names.{name}") for name in _NAME_FIELDS if not names.get(name)]
    if not spec.get("group"):
        causes.append(required("spec.group"))
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        causes.append(unsupported_value("spec.scope", spec.get("scope"), ("Cluster", "Namespaced")))
    expected = f"{names.get('plural')}.{spec.get('group')}"
    if not causes and definition["metadata"].get("name") != expected:
        why = f"must be spec.names.plural+\".\"+spec.group, which is '{expected}'"
        causes.append(invalid_value("metadata.name", definition["metadata"].get("name"), why))
    causes += _version_causes(spec.get("versions"))
    if not causes and old is not None:
        causes += [
            forbidden_field(f"spec.{key}", "field is immutable")
            for key in ("group", "scope")
            if spec[key] != old["spec"][key]
        ]
    return causes


def _version_causes(versions: Any) -> list[Cause]:
    if not isinstance(versions, list) or not versions:
        return [required("spec.versions", "must have at least one version")]
    causes: list[Cause] = []
    if sum(bool(v.get("storage")) for v in versions if isinstance(v, dict)) != 1:
        causes.append(
            invalid_value("spec.versions", "", "must have exactly one version marked as storage")
        )
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        if not isinstance(version, dict) or not version.get("name"):
            causes.append(required(f"{path}.name"))
            continue
        declared = dig(version, "schema", "openAPIV3Schema")
        if not isinstance(declared, dict):
            causes.append(required(f"{path}.schema.openAPIV3Schema", "schemas are required"))
            continue
        causes += _schema_causes(declared, _schema_path(versions, index))
        columns = _hoisted(versions, index, "additionalPrinterColumns")
        for number, column in enumerate(version.get("additionalPrinterColumns") or []):
            causes += _column_causes(column, f"{columns}[{number}]")
        causes += _scale_causes(version, _hoisted(versions, index, "subresources"))
    return causes


def _hoisted(versions: list[Any], index: int, key: str) -> str:
    """Return where the real server says a field stands: it keeps one that all versions share."""
    values = [dig(version, key) for version in versions]
    return f"spec.{key}" if all(v == values[0] for v in values) else f"spec.versions[{index}].{key}"


def _schema_path(versions: list[Any], index: int) -> str:
    path = _hoisted(versions, index, "schema")
    return f"{'spec.validation' if path == 'spec.schema' else path}.openAPIV3Schema"


def _schema_causes(declared: Object, path: str) -> list[Cause]:
    causes = structural_causes(declared, path)
    if causes:
        return causes
    try:
        validator = Validator(declared, path)
    except (jsonschema_rs.ValidationError, ValueError, TypeError, AttributeError) as error:
        # What the library cannot compile is no schema: a wrong keyword type or a bad pattern.
        line = str(error).splitlines()[0]
        return [invalid_value(path, "", f"is not a structural schema: {line}")]
    return [*validator.rule_causes, *_default_causes(declared, path)]


def _default_causes(node: schema.Schema, path: str) -> list[Cause]:
    """Return the defaults that their own schema refuses."""
    causes: list[Cause] = []
    if "default" in node:
        wrong = Validator(node).causes(node["default"])
        causes += [
            invalid_value(f"{path}.default", node["default"], f"must validate: {cause}")
            for cause in wrong
        ]
    for name, child in (node.get("properties") or {}).items():
        causes += _default_causes(child, f"{path}.properties[{name}]")
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), dict):
            causes += _default_causes(node[keyword], f"{path}.{keyword}")
    return causes


def _column_causes(column: Any, field: str) -> list[Cause]:
    causes = []
    kind = dig(column, "type")
    if kind not in _COLUMN_TYPES:
        why = f"must be one of {','.join(_COLUMN_TYPES)}"
        causes.append(invalid_value(f"{field}.type", kind, why))
    try:
        JsonPath(column["jsonPath"])
    except (ValueError, KeyError, TypeError) as error:
        # Named as in the internal form, which is where the real server looks.
        why = f"must be a JSONPath: {error}"
        causes.append(invalid_value(f"{field}.JSONPath", dig(column, "jsonPath"), why))
    return causes


def _scale_causes(version: Object, field: str) -> list[Cause]:
    scale = dig(version, "subresources", "scale")
    if not isinstance(scale, dict):
        return []
    return [
        invalid_value(f"{field}.scale.{name}", scale.get(name), f"should be a path under {root}")
        for name, root in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status"))
        if not str(scale.get(name, "")).startswith(f"{root}.")
    ]


DEFINITION = Resource(
    group=EXTENSIONS_GROUP,
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    short_names=("crd", "crds"),
    namespaced=False,
    subresources=("status",),
    has_generation=True,
    printer=printers.CUSTOM_RESOURCE_DEFINITION,
    complete=_complete,
    validate=_validate,
    name_causes=subdomain_causes,
)


def established(definition: Object, now: datetime) -> Object:
    """Return `definition` with the status of one that is served."""
    spec = definition["spec"]
    conditions = [
        {
            "type": kind,
            "status": "True",
            "lastTransitionTime": timestamp(now),
            "reason": reason,
            "message": message,
        }
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    storage = [version["name"] for version in spec["versions"] if version["storage"]]
    status = {
        "conditions": dig(definition, "status", "conditions") or conditions,
        "acceptedNames": spec["names"],
        "storedVersions": storage,
    }
    return {**definition, "status": status}


def resources(definition: Object) -> tuple[Resource, ...]:
    """Return one resource per served version of a valid definition."""
    versions = definition["spec"]["versions"]
    return tuple(_resource(definition["spec"], v) for v in versions if v.get("served"))


def _resource(spec: Object, version: Object) -> Resource:
    names, declared = spec["names"], version["schema"]["openAPIV3Schema"]
    subresources = version.get("subresources") or {}
    validator = Validator(declared)
    fields = version.get("selectableFields") or []
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        singular=names.get("singular") or names["kind"].lower(),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        namespaced=spec["scope"] == "Namespaced",
        subresources=tuple(name for name in ("status", "scale") if name in subresources),
        custom=True,
        has_generation=True,
        printer=_printer(version.get("additionalPrinterColumns")),
        selectable_fields=tuple(field["jsonPath"].lstrip(".") for field in fields),
        complete=_completion(declared),
        validate=validator.causes,
        name_causes=subdomain_causes,
        scale=_scale(subresources.get("scale")),
        openapi=declared,
    )


def _completion(declared: schema.Schema) -> Callable[[Object], list[str]]:
    pruned = schema.pruner(declared)

    def complete(obj: Object) -> list[str]:
        unknown = pruned(obj)
        schema.default(declared, obj)
        return unknown

    return complete


def _scale(declared: Object | None) -> ScalePaths | None:
    if declared is None:
        return None
    selector = declared.get("labelSelectorPath")
    return ScalePaths(
        _keys(declared["specReplicasPath"]),
        _keys(declared["statusReplicasPath"]),
        _keys(selector) if selector else None,
    )


def _keys(path: str) -> tuple[str, ...]:
    return tuple(path.lstrip(".").split("."))


def _printer(columns: list[Object] | None) -> Printer:
    if not columns:
        return printers.printer(printers.AGE)
    return printers.printer(
        *(
            (
                Column(
                    column["name"],
                    column["type"],
                    column.get("priority") or 0,
                    column.get("format") or "",
                    column.get("description") or "",
                ),
                _cell(JsonPath(column["jsonPath"]), column["type"]),
            )
            for column in columns
        )
    )


def _cell(path: JsonPath, kind: str) -> Callable[[Object, datetime], Any]:
    def cell(obj: Object, now: datetime) -> Any:
        values = path.find(obj)
        if not values:
            return None
        if kind == "string":
            return " ".join(_printed(value) for value in values)
        if kind == "date":
            return age(values[0], now) if isinstance(values[0], str) else None
        return _typed(kind, values[0])

    return cell


def _typed(kind: str, value: Any) -> Any:
    """Return `value` where it has the column's type, else an empty cell as the real server does."""
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if kind == "integer" else float(value)


def _printed(value: Any) -> str:
    return value if isinstance(value, str) else encode(value).decode()
