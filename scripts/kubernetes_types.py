"""Write the schemas of the built-in kinds: `python scripts/kubernetes_types.py > FILE`.

The field names and types are those of the Kubernetes API, read from the models of the client that
the aggregator installs anyway. What those models do not tell is added from the tables below: which
lists merge by which keys, which maps are atomic, which fields take a number or a string.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy and the
`+listType`, `+listMapKey` and `+mapType` markers of k8s.io/api/*/types.go.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import kubernetes_descriptions
import msgspec
from kubernetes_asyncio.client import Configuration, models

Schema = dict[str, Any]

# Every object has these; openapi.py adds them.
_TYPE_META = ("apiVersion", "kind", "metadata")

KINDS = {
    "v1/Namespace": "V1Namespace",
    "v1/Pod": "V1Pod",
    "v1/Event": "CoreV1Event",
    "v1/ConfigMap": "V1ConfigMap",
    "v1/Secret": "V1Secret",
    "v1/Service": "V1Service",
    "v1/Endpoints": "V1Endpoints",
    "v1/PersistentVolumeClaim": "V1PersistentVolumeClaim",
    "v1/PersistentVolume": "V1PersistentVolume",
    "v1/Node": "V1Node",
    "v1/ServiceAccount": "V1ServiceAccount",
    "v1/ResourceQuota": "V1ResourceQuota",
    "apps/v1/ControllerRevision": "V1ControllerRevision",
    "apps/v1/Deployment": "V1Deployment",
    "autoscaling/v2/HorizontalPodAutoscaler": "V2HorizontalPodAutoscaler",
    "coordination.k8s.io/v1/Lease": "V1Lease",
    "networking.k8s.io/v1/NetworkPolicy": "V1NetworkPolicy",
    "policy/v1/PodDisruptionBudget": "V1PodDisruptionBudget",
    "rbac.authorization.k8s.io/v1/ClusterRole": "V1ClusterRole",
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": "V1ClusterRoleBinding",
    "rbac.authorization.k8s.io/v1/Role": "V1Role",
    "rbac.authorization.k8s.io/v1/RoleBinding": "V1RoleBinding",
    "storage.k8s.io/v1/StorageClass": "V1StorageClass",
}

# Lists of objects that merge by key, by field name; every other list is atomic.
_MAP_KEYS: dict[str, tuple[str, ...]] = {
    "addresses": ("type",),
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "hostIPs": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "podIPs": ("ip",),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
# Ports are numbered differently in a container, a service and a list of endpoints (atomic).
_PORT_KEYS = {"ContainerPort": ("containerPort", "protocol"), "ServicePort": ("port", "protocol")}
_SETS = {"podCIDRs", "finalizers"}
_ATOMIC_TYPES = {
    "ConfigMapKeySelector",
    "LabelSelector",
    "LocalObjectReference",
    "NodeSelector",
    "NodeSelectorTerm",
    "ObjectFieldSelector",
    "ObjectReference",
    "ResourceFieldSelector",
    "RoleRef",
    "ScopeSelector",
    "SecretKeySelector",
    "SecretReference",
    "Subject",
    "TypedLocalObjectReference",
}
_ATOMIC_MAPS = {("PodSpec", "nodeSelector"), ("ServiceSpec", "selector")}
_INT_OR_STRING = {"port", "targetPort", "maxUnavailable", "minAvailable"}
_SCALARS: dict[str, Schema] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
    "object": {"x-kubernetes-preserve-unknown-fields": True},
}
# Keys of associative lists that may be left out.
_DEFAULTS = {("ContainerPort", "protocol"): "TCP", ("ServicePort", "protocol"): "TCP"}


def main() -> None:
    """Write all definitions and the name of each kind's own as one JSON document."""
    definitions: dict[str, Schema] = {}
    kinds = {kind: _define(model, definitions) for kind, model in KINDS.items()}
    lines = [f"{_json(name)}: {_json(definitions[name])}" for name in sorted(definitions)]
    body = ",\n".join(lines)
    sys.stdout.write(f'{{"kinds": {_json(kinds)},\n"definitions": {{\n{body}\n}}}}\n')


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _define(model: str, definitions: dict[str, Schema]) -> str:
    """Add a model's definition and those it names; return the definition's name."""
    match = re.fullmatch(r"([A-Z][a-z]+)?V(\d)(.+)", model)
    if match is None:
        raise ValueError(model)
    name = f"{(match[1] or 'api').lower()}.v{match[2]}.{match[3]}"
    if name in definitions:
        return name
    definitions[name] = {}
    declared = getattr(models, model)
    properties = {
        declared.attribute_map[field]: _property(
            match[3], declared.attribute_map[field], of, definitions
        )
        for field, of in declared.openapi_types.items()
        if not (model in KINDS.values() and declared.attribute_map[field] in _TYPE_META)
    }
    definition: Schema = {"type": "object", "properties": properties}
    if model in KINDS.values() and match[3] in kubernetes_descriptions.KINDS:
        definition["description"] = kubernetes_descriptions.KINDS[match[3]]
    names = {declared.attribute_map[f]: f for f in declared.openapi_types}
    needed = [name for name in properties if _required(declared, names[name])]
    if needed:
        definition["required"] = needed
    if match[3] in _ATOMIC_TYPES:
        definition["x-kubernetes-map-type"] = "atomic"
    definitions[name] = definition
    return name


def _required(declared: Any, field: str) -> bool:
    configuration = Configuration()
    configuration.client_side_validation = True
    instance = declared.__new__(declared)
    instance.local_vars_configuration = configuration
    try:
        setattr(instance, field, None)
    except ValueError:
        return True
    return False


def _property(owner: str, field: str, of: str, definitions: dict[str, Schema]) -> Schema:
    if field in _INT_OR_STRING and of == "object":
        return {"x-kubernetes-int-or-string": True}
    if field == "metadata":
        return {"x-kubernetes-preserve-unknown-fields": True, "type": "object"}
    schema = _typed(of, definitions)
    if (owner, field) in _DEFAULTS:
        schema["default"] = _DEFAULTS[owner, field]
    if (owner, field) in _ATOMIC_MAPS:
        schema["x-kubernetes-map-type"] = "atomic"
    if of.startswith("list["):
        schema |= _list_type(field, of)
    description = kubernetes_descriptions.FIELDS.get((owner, field))
    if description is None:
        return schema
    # Beside a reference nothing else counts.
    described = {"allOf": [schema]} if "$ref" in schema else schema
    return {**described, "description": description}


def _list_type(field: str, of: str) -> Schema:
    item = re.sub(r"^V\d", "", of[5:-1])
    keys = _PORT_KEYS.get(item) if field == "ports" else _MAP_KEYS.get(field)
    if keys and item != "str":
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    return {"x-kubernetes-list-type": "set" if field in _SETS else "atomic"}


def _typed(of: str, definitions: dict[str, Schema]) -> Schema:
    if of in _SCALARS:
        return dict(_SCALARS[of])
    if of.startswith("list["):
        return {"type": "array", "items": _typed(of[5:-1], definitions)}
    if of.startswith("dict("):
        value = of[5:-1].partition(", ")[2]
        return {"type": "object", "additionalProperties": _typed(value, definitions)}
    return {"$ref": f"#/components/schemas/{_define(of, definitions)}"}


if __name__ == "__main__":
    main()
