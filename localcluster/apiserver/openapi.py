"""OpenAPI v3 documents, one per group version, for `kubectl explain` and validation. Pure.

Custom resources show the schema of their definition, built-in kinds that of builtin_schemas.py. NB:
no path declares strategic merge patch, so that kubectl takes the merge keys of the built-in kinds
from itself.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from localcluster.apiserver.builtin_schemas import (
    definition,
    definition_name,
    definitions_below,
)
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
_TYPE_META: Object = {
    "apiVersion": {"type": "string", "description": "Group and version of this form of the kind."},
    "kind": {"type": "string", "description": "The kind of object this is."},
    "metadata": {
        "description": _OBJECT_META["description"],
        "allOf": [{"$ref": f"#/components/schemas/{_META}"}],
        "default": {},
    },
}
_OUTLINE: Object = {
    "type": "object",
    "properties": {"spec": _OPEN, "status": _OPEN},
    "x-kubernetes-preserve-unknown-fields": True,
}
# kubectl looks for these in the PATCH operation before it sends them.
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")


class Documents:
    """The encoded documents of one registry; each is made again when its resources change.

    Args:
        registry: the served resources.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._made: dict[tuple[str, str], tuple[list[Resource], bytes]] = {}

    def index(self) -> Object:
        """Return what `/openapi/v3` answers: a path per group version, with a hash of its text."""
        paths = {}
        for group, versions in self._registry.versions().items():
            for version in versions:
                path = f"apis/{group}/{version}" if group else f"api/{version}"
                digest = hashlib.sha256(self.encoded(group, version)).hexdigest()
                paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest[:32]}"}
        return {"paths": paths}

    def encoded(self, group: str, version: str) -> bytes:
        """Return the JSON of one group version.

        Raises:
            ApiError: 404.
        """
        resources = self._registry.of_version(group, version)
        made = self._made.get((group, version))
        # Resources are replaced, never changed.
        if made is None or list(map(id, made[0])) != list(map(id, resources)):
            made = (resources, encode(document(self._registry, group, version)))
            self._made[group, version] = made
        return made[1]


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
        schemas |= _schemas(resource)
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


def _schemas(resource: Resource) -> Object:
    """Return the schema of a kind and those it refers to, by name."""
    name = definition_name(resource.api_version, resource.kind)
    below: Object = {}
    if resource.custom:
        declared = resource.openapi
    elif name is None:
        declared = _OUTLINE
    else:
        declared, below = definition(name), definitions_below(name)
    properties = {**(declared.get("properties") or {}), **_TYPE_META}
    own = {
        **declared,
        "properties": properties,
        "x-kubernetes-group-version-kind": [_gvk(resource)],
    }
    return {**below, _schema_name(resource): own}


# Asked for with an @, which no media type may have, and so answered with a dot.
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
V2_PROTOBUF_ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


def outline_v2(registry: Registry) -> Object:
    """Return what `/openapi/v2` answers: the kinds, without their fields, for old clients."""
    definitions = {
        _schema_name(resource): {
            "type": "object",
            "x-kubernetes-group-version-kind": [_gvk(resource)],
        }
        for resource in registry
    }
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": GIT_VERSION},
        "paths": {},
        "definitions": definitions,
    }


def outline_v2_protobuf() -> bytes:
    """Return a v2 document without kinds as protobuf: fields 1 (swagger) and 2 (info: 1, 2).

    kubectl asks for this when a kind is not in v3, and says that the kind is unknown once it can
    read the answer. Source: google/gnostic, openapiv2/OpenAPIv2.proto (Document, Info).
    """
    info = _text(1, "Kubernetes") + _text(2, GIT_VERSION)
    return _text(1, "2.0") + _bytes(2, info)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    # Wire type 2, and a length below 128: one byte each.
    return bytes((field << 3 | 2, len(value))) + value


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
