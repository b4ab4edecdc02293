"""OpenAPI v3 documents, one per group version, for `kubectl explain` and validation. Pure.

Custom resources show the schema of their definition. Built-in kinds show their outline only. NB: no
path declares strategic merge patch, so that kubectl takes the merge keys of the built-in kinds from
itself.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from localcluster.apiserver.discovery import GIT_VERSION
from localcluster.apiserver.errors import no_such_path
from localcluster.apiserver.objects import Object, encode

if TYPE_CHECKING:
    from localcluster.apiserver.resources import Registry, Resource

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_STRING = {"type": "string"}
_STRINGS = {"type": "object", "additionalProperties": _STRING}
_OBJECT_META: Object = {
    "type": "object",
    "description": "Metadata that every stored object has.",
    "properties": {
        "name": _STRING,
        "generateName": _STRING,
        "namespace": _STRING,
        "labels": _STRINGS,
        "annotations": _STRINGS,
        "uid": _STRING,
        "resourceVersion": _STRING,
        "generation": {"type": "integer", "format": "int64"},
        "creationTimestamp": {"type": "string", "format": "date-time"},
        "deletionTimestamp": {"type": "string", "format": "date-time"},
        "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
        "finalizers": {"type": "array", "items": _STRING},
        "ownerReferences": {"type": "array", "items": _OPEN},
        "managedFields": {"type": "array", "items": _OPEN},
        "selfLink": _STRING,
    },
}
# kubectl looks for these in the PATCH operation before it sends them.
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")


def index(registry: Registry) -> Object:
    """Return what `/openapi/v3` answers: a path per group version, with a hash of its document."""
    paths = {}
    for group, versions in registry.versions().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            digest = hashlib.sha256(encode(document(registry, group, version))).hexdigest()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest[:32]}"}
    return {"paths": paths}


def document(registry: Registry, group: str, version: str) -> Object:
    """Return the document of one group version.

    Raises:
        ApiError: 404.
    """
    resources = registry.of_version(group, version)
    if not resources:
        raise no_such_path()
    schemas: Object = {_META: _OBJECT_META}
    paths: Object = {}
    for resource in resources:
        schemas[_schema_name(resource)] = _schema(resource)
        paths |= _paths(resource)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": GIT_VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _schema_name(resource: Resource) -> str:
    domain = ".".join(reversed((resource.group or "core.api.k8s.io").split(".")))
    return f"{domain}.{resource.version}.{resource.kind}"


def _schema(resource: Resource) -> Object:
    declared = resource.openapi or {
        "type": "object",
        "description": f"{resource.kind} {resource.version}",
        "properties": {"spec": _OPEN, "status": _OPEN},
        "x-kubernetes-preserve-unknown-fields": True,
    }
    properties = {
        **(declared.get("properties") or {}),
        "apiVersion": _STRING,
        "kind": _STRING,
        "metadata": {"allOf": [{"$ref": f"#/components/schemas/{_META}"}], "default": {}},
    }
    return {
        **declared,
        "properties": properties,
        "x-kubernetes-group-version-kind": [_gvk(resource)],
    }


def _gvk(resource: Resource) -> Object:
    return {"group": resource.group, "kind": resource.kind, "version": resource.version}


def _paths(resource: Resource) -> Object:
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"{root}{scope}/{resource.plural}"
    return {
        collection: {
            "get": _operation(resource, "list"),
            "post": _operation(resource, "post", body=True),
        },
        f"{collection}/{{name}}": {
            "get": _operation(resource, "get"),
            "put": _operation(resource, "put", body=True),
            "patch": _operation(resource, "patch"),
            "delete": _operation(resource, "delete"),
        },
    }


def _operation(resource: Resource, action: str, *, body: bool = False) -> Object:
    content = {
        "application/json": {
            "schema": {"$ref": f"#/components/schemas/{_schema_name(resource)}"},
        }
    }
    operation: Object = {
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    if action in ("post", "put", "patch", "delete"):
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in _WRITE_PARAMETERS
        ]
    if body:
        operation["requestBody"] = {"content": content, "required": True}
    return operation
