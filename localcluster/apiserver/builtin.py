"""The built-in kinds this server knows, as a table. Pure.

Their specifications are stored as they come: only pods (pods.py) and the names are validated,
because these kinds are made by programs that a real API server has already taught. Reviews, which
are answered and never stored, are in reviews.py.

Source: https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from localcluster.apiserver import pods, printers
from localcluster.apiserver.builtin_schemas import resolved
from localcluster.apiserver.errors import Cause, invalid_value
from localcluster.apiserver.metadata import label_causes, path_segment_causes, subdomain_causes
from localcluster.apiserver.podprinter import PRINTER as POD_PRINTER
from localcluster.apiserver.resources import Resource, ScalePaths
from localcluster.apiserver.schema import pruner

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcluster.apiserver.objects import Object

EXTENSIONS_GROUP = "apiextensions.k8s.io"
NAMESPACES = ("", "namespaces")
PODS = ("", "pods")
NODES = ("", "nodes")
RESOURCE_QUOTAS = ("", "resourcequotas")
DISRUPTION_BUDGETS = ("policy", "poddisruptionbudgets")
SERVICE_ACCOUNTS = ("", "serviceaccounts")
DEFINITIONS = (EXTENSIONS_GROUP, "customresourcedefinitions")
STATUS = ("status",)

# Source: k8s.io/apimachinery pkg/util/validation/validation.go (IsConfigMapKey)
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)
_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_EVENT_FIELDS = (
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
)


def _complete_namespace(namespace: Object) -> list[str]:
    spec = namespace.setdefault("spec", {})
    # The real server's guard: a namespace goes when its contents are gone (namespaces.py).
    spec.setdefault("finalizers", ["kubernetes"])
    namespace.setdefault("status", {}).setdefault("phase", "Active")
    return []


def _complete_secret(secret: Object) -> list[str]:
    secret.setdefault("type", "Opaque")
    # stringData is for writing only: it is kept, encoded, in data.
    plain = secret.pop("stringData", None)
    if isinstance(plain, dict):
        encoded = {key: base64.b64encode(str(v).encode()).decode() for key, v in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}
    return []


def _complete_service(service: Object) -> list[str]:
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    return []


def _complete_claim(claim: Object) -> list[str]:
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    claim.setdefault("status", {}).setdefault("phase", "Pending")
    return []


def _complete_volume(volume: Object) -> list[str]:
    spec = volume.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    volume.setdefault("status", {}).setdefault("phase", "Pending")
    return []


def _validate_config_map(config: Object, _old: Object | None) -> list[Cause]:
    data = config.get("data") or {}
    if not isinstance(data, dict):
        return [invalid_value("data", data, "must be an object of strings")]
    causes = [
        invalid_value(f"data.{key}", value, "must be a string; put quotes around it")
        for key, value in data.items()
        if not isinstance(value, str)
    ]
    why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    return causes + [
        invalid_value(f"data[{key}]", key, why)
        for key in data
        if not _CONFIG_KEY.fullmatch(key) or key in (".", "..")
    ]


def _stored(group: str, version: str, plural: str, kind: str, **options: Any) -> Resource:
    options.setdefault("name_causes", subdomain_causes)
    declared = resolved(f"{group}/{version}" if group else version, kind)
    options["complete"] = _completion(declared, options.get("complete"))
    return Resource(
        group=group, version=version, plural=plural, kind=kind, openapi=declared, **options
    )


def _completion(
    declared: Object, defaults: Callable[[Object], list[str]] | None
) -> Callable[[Object], list[str]]:
    """Return the `complete` of a kind: unknown fields go, then the kind's defaults come."""
    pruned = pruner(declared)

    def complete(obj: Object) -> list[str]:
        unknown = pruned(obj)
        if defaults is not None:
            defaults(obj)
        return unknown

    return complete


def builtin_resources() -> tuple[Resource, ...]:
    """Return every built-in resource that is stored."""
    return (*_core(), *_other_groups(), *_roles())


def _core() -> tuple[Resource, ...]:
    return (
        _stored(
            "", "v1", "namespaces", "Namespace", printer=printers.NAMESPACE, short_names=("ns",),
            namespaced=False, subresources=STATUS, name_causes=label_causes,
            selectable_fields=("status.phase",), complete=_complete_namespace,
        ),
        _stored(
            "", "v1", "pods", "Pod", printer=POD_PRINTER, short_names=("po",), categories=("all",),
            subresources=("status", "log", "exec", "binding", "eviction"), has_generation=True,
            selectable_fields=_POD_FIELDS, complete=pods.complete, validate=pods.validate,
        ),
        _stored(
            "", "v1", "events", "Event", printer=printers.EVENT, short_names=("ev",),
            selectable_fields=_EVENT_FIELDS,
        ),
        _stored(
            "", "v1", "configmaps", "ConfigMap", printer=printers.CONFIG_MAP, short_names=("cm",),
            validate=_validate_config_map,
        ),
        _stored(
            "", "v1", "secrets", "Secret", printer=printers.SECRET, complete=_complete_secret,
            selectable_fields=("type",),
        ),
        _stored(
            "", "v1", "services", "Service", printer=printers.SERVICE, short_names=("svc",),
            categories=("all",), subresources=STATUS, complete=_complete_service,
            name_causes=label_causes,
        ),
        _stored(
            "", "v1", "endpoints", "Endpoints", printer=printers.ENDPOINTS, short_names=("ep",)
        ),
        _stored(
            "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", short_names=("pvc",),
            printer=printers.PERSISTENT_VOLUME_CLAIM, subresources=STATUS, complete=_complete_claim,
        ),
        _stored(
            "", "v1", "persistentvolumes", "PersistentVolume", short_names=("pv",),
            namespaced=False, printer=printers.PERSISTENT_VOLUME, subresources=STATUS,
            complete=_complete_volume,
        ),
        _stored(
            "", "v1", "nodes", "Node", printer=printers.NODE, short_names=("no",),
            namespaced=False, subresources=STATUS, status_at_creation=True,
            selectable_fields=("spec.unschedulable",),
        ),
        _stored(
            "", "v1", "serviceaccounts", "ServiceAccount", printer=printers.SERVICE_ACCOUNT,
            short_names=("sa",), subresources=("token",),
        ),
        _stored(
            "", "v1", "resourcequotas", "ResourceQuota", printer=printers.RESOURCE_QUOTA,
            short_names=("quota",), subresources=STATUS,
        ),
    )  # fmt: skip


def _other_groups() -> tuple[Resource, ...]:
    return (
        _stored(
            "coordination.k8s.io", "v1", "leases", "Lease", printer=printers.LEASE
        ),
        _stored(
            "apps", "v1", "controllerrevisions", "ControllerRevision",
            printer=printers.CONTROLLER_REVISION,
        ),
        # Stored, so that a chart can be applied; nothing makes pods of it here.
        _stored(
            "apps", "v1", "deployments", "Deployment", short_names=("deploy",),
            categories=("all",), subresources=(*STATUS, "scale"), has_generation=True,
            # Disruption budgets reckon with it.
            scale=ScalePaths(("spec", "replicas"), ("status", "replicas")),
            printer=printers.DEPLOYMENT,
        ),
        _stored(
            "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler",
            short_names=("hpa",), categories=("all",), subresources=STATUS,
            printer=printers.HORIZONTAL_POD_AUTOSCALER,
        ),
        _stored(
            "storage.k8s.io", "v1", "storageclasses", "StorageClass", short_names=("sc",),
            namespaced=False, printer=printers.STORAGE_CLASS,
        ),
        _stored(
            "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short_names=("pdb",),
            printer=printers.POD_DISRUPTION_BUDGET, subresources=STATUS, has_generation=True,
        ),
        _stored(
            "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", short_names=("netpol",),
            singular="networkpolicy", printer=printers.NETWORK_POLICY, has_generation=True,
        ),
    )  # fmt: skip


def _roles() -> tuple[Resource, ...]:
    group = "rbac.authorization.k8s.io"
    return tuple(
        _stored(
            group,
            "v1",
            plural,
            kind,
            printer=printers.ROLE_BINDING if kind.endswith("Binding") else printers.ROLE,
            namespaced=namespaced,
            name_causes=path_segment_causes,
        )
        for plural, kind, namespaced in (
            ("roles", "Role", True),
            ("rolebindings", "RoleBinding", True),
            ("clusterroles", "ClusterRole", False),
            ("clusterrolebindings", "ClusterRoleBinding", False),
        )
    )
