"""CustomResourceDefinitions made from the API models. Pure.

Kubernetes wants a *structural* schema: every node typed, no references, no `const`, unions only as
int-or-string. Pydantic's JSON schema is none of that, so `structural` rewrites it. Read by the cli
(`gamekeeper crds`), the chart's test and the local cluster.

Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
(structural schemas, printer columns, subresources).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.api import names
from shared.api.autoscaler import AutoscalerSpec, AutoscalerStatus, GameServerSetAutoscaler
from shared.api.gameserver import GameServer, GameServerSpec, GameServerStatus
from shared.api.gameserverset import GameServerSet, GameServerSetSpec, GameServerSetStatus
from shared.api.meta import DNS_LABEL_PATTERN
from shared.crd_rules import BOUNDED_TEXT, KubernetesVersion, with_rules

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]

# Keywords of JSON schema that a structural schema refuses, and that carry nothing we need.
_DROPPED = frozenset({"title", "$defs", "discriminator", "examples", "deprecated"})
_KNOWN_FORMATS = frozenset({"int32", "int64", "double", "date-time", "byte"})
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
# The name of a set is the head of its servers' names and a label value: 63 less "-" and ten digits.
_MAX_SET_NAME = 52


@dataclass(frozen=True, slots=True)
class _Kind:
    kind: str
    plural: str
    short: str
    model: type[BaseModel]
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[tuple[str, str, str, int], ...]  # name, type, JSON path, priority
    scale: bool = False
    max_name: int = 253
    group: str = names.GROUP


_GAMESERVER = _Kind(
    kind=names.GAMESERVER_KIND,
    plural=names.GAMESERVERS,
    short="gs",
    model=GameServer,
    spec=GameServerSpec,
    status=GameServerStatus,
    columns=(
        ("STATE", "string", ".status.currentState", 0),
        ("OPSSTATE", "string", ".spec.opsState", 0),
        ("DP", "string", ".status.deletionPriority", 0),
        ("UP", "string", ".status.updatePriority", 0),
        ("AGE", "date", ".metadata.creationTimestamp", 0),
    ),
)

_GAMESERVERSET = _Kind(
    kind=names.GAMESERVERSET_KIND,
    plural=names.GAMESERVERSETS,
    short="gss",
    model=GameServerSet,
    spec=GameServerSetSpec,
    status=GameServerSetStatus,
    columns=(
        ("DESIRED", "integer", ".spec.replicas", 0),
        ("CURRENT", "integer", ".status.currentReplicas", 0),
        ("UPDATED", "integer", ".status.updatedReplicas", 0),
        ("READY", "integer", ".status.readyReplicas", 0),
        ("MAINTAINING", "integer", ".status.maintainingReplicas", 0),
        ("WAITTOBEDELETED", "integer", ".status.waitToBeDeletedReplicas", 0),
        ("PREDELETE", "integer", ".status.preDeleteReplicas", 1),
        ("NONE", "integer", ".status.noneReplicas", 1),
        ("ALLOCATED", "integer", ".status.allocatedReplicas", 1),
        ("KILL", "integer", ".status.killReplicas", 1),
        ("AGE", "date", ".metadata.creationTimestamp", 0),
    ),
    scale=True,
    max_name=_MAX_SET_NAME,
)


_AUTOSCALER = _Kind(
    kind=names.AUTOSCALER_KIND,
    plural=names.AUTOSCALERS,
    short="gssa",
    model=GameServerSetAutoscaler,
    spec=AutoscalerSpec,
    status=AutoscalerStatus,
    columns=(
        ("SET", "string", ".spec.gameServerSetName", 0),
        ("MIN", "integer", ".spec.minReplicas", 0),
        ("MAX", "integer", ".spec.maxReplicas", 0),
        ("AVAILABLE", "integer", ".status.counts.idle", 0),
        ("CURRENT", "integer", ".status.currentReplicas", 0),
        ("DESIRED", "integer", ".status.desiredReplicas", 0),
        ("MODE", "string", ".spec.mode", 0),
        ("AGE", "date", ".metadata.creationTimestamp", 0),
    ),
    group=names.AUTOSCALING_GROUP,
)


def custom_resource_definitions(
    server: KubernetesVersion = BOUNDED_TEXT,
) -> list[dict[str, Any]]:
    """Return the CRDs of Gamekeeper as plain objects, in the order they should be applied.

    Args:
        server: version of the API server; an older one refuses some of the rules.
    """
    return [_definition(kind, server) for kind in (_GAMESERVERSET, _GAMESERVER, _AUTOSCALER)]


def _definition(kind: _Kind, server: KubernetesVersion) -> dict[str, Any]:
    subresources: dict[str, Any] = {"status": {}}
    if kind.scale:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.labelSelector",
        }
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": subresources,
        "additionalPrinterColumns": [
            {"name": name, "type": type_, "jsonPath": path, "priority": priority}
            for name, type_, path, priority in kind.columns
        ],
        "schema": {"openAPIV3Schema": _object_schema(kind, server)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short],
                "categories": ["gamekeeper"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def _object_schema(kind: _Kind, server: KubernetesVersion) -> Schema:
    spec = with_rules(kind.kind, structural(kind.spec.model_json_schema()), server)
    qualities = spec["properties"].get("serviceQualities")
    if qualities is not None:
        # There is a CEL rule too, which says it better; this holds for readers without CEL.
        qualities["items"]["oneOf"] = [{"required": [handler]} for handler in _HANDLERS]
    name = {"type": "string", "maxLength": kind.max_name}
    if kind.max_name == _MAX_SET_NAME:
        name["pattern"] = DNS_LABEL_PATTERN
    return {
        "type": "object",
        "description": (kind.model.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": spec,
            "status": _without_defaults(structural(kind.status.model_json_schema())),
        },
    }


def _without_defaults(node: Schema) -> Schema:
    """Return a schema without defaults: a status says what was observed, never what is assumed."""
    result = {key: value for key, value in node.items() if key != "default"}
    if "properties" in result:
        result["properties"] = {
            key: _without_defaults(value) for key, value in result["properties"].items()
        }
    if "items" in result:
        result["items"] = _without_defaults(result["items"])
    return result


def structural(schema: Schema) -> Schema:
    """Return pydantic's JSON schema of a model as a structural schema.

    Raises:
        TypeError: a union that Kubernetes cannot express; change the model.
    """
    return _structural(schema, schema.get("$defs", {}))


def _structural(node: Schema, definitions: Schema) -> Schema:
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        return _structural({**definitions[name], **siblings}, definitions)
    # Lists are copied: one that stands twice in the tree would become an alias in YAML.
    result: Schema = {
        key: list(value) if isinstance(value, list) else value
        for key, value in node.items()
        if key not in _DROPPED
    }
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if "anyOf" in result:
        result = _without_union(result, definitions)
    # Only scalars are written into users' objects: an absent list, text or object says it already,
    # and absent and null mean the same to us.
    if result.get("default", 0) in (None, "", [], {}) or isinstance(result.get("default"), dict):
        del result["default"]
    if result.get("format") not in _KNOWN_FORMATS:
        result.pop("format", None)
    if "properties" in result:
        result["properties"] = {
            key: _structural(value, definitions) for key, value in result["properties"].items()
        }
        result.pop("additionalProperties", None)
    elif isinstance(result.get("additionalProperties"), dict):
        result["additionalProperties"] = _structural(result["additionalProperties"], definitions)
    if isinstance(result.get("items"), dict):
        result["items"] = _structural(result["items"], definitions)
    return result


def _without_union(node: Schema, definitions: Schema) -> Schema:
    """Return a node whose `anyOf` is an optional of one thing as that thing."""
    arms = [arm for arm in node["anyOf"] if arm.get("type") != "null"]
    if len(arms) != 1:
        raise TypeError(f"no structural schema for the union {node['anyOf']}")
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**_structural(arms[0], definitions), **rest}
