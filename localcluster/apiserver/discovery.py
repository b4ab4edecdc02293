"""Discovery: which groups, versions and resources there are. Pure.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcluster.apiserver.errors import no_such_path

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.resources import Registry, Resource

# The Kubernetes version whose behaviour this server follows; clients compare it with their own.
MAJOR, MINOR = "1", "37"
GIT_VERSION = f"v{MAJOR}.{MINOR}.0+gamekeeper-local"

# (group, version, kind, verbs) of subresources that are not the parent's own kind.
_SUBRESOURCE_KINDS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "log": ("", "v1", "Pod", ("get",)),
    "exec": ("", "v1", "PodExecOptions", ("create", "get")),
    "binding": ("", "v1", "Binding", ("create",)),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
}
_STATUS_VERBS = ("get", "patch", "update")


def version_info() -> Object:
    """Return what `/version` answers."""
    return {
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "cpython",
        "platform": "linux/any",
    }


def core_versions(address: str) -> Object:
    """Return what `/api` answers; `address` is host:port."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list(registry: Registry) -> Object:
    """Return what `/apis` answers."""
    groups = [_group(name, versions) for name, versions in registry.versions().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Object:
    """Return what `/apis/GROUP` answers.

    Raises:
        ApiError: 404.
    """
    versions = registry.versions().get(name) if name else None
    if versions is None:
        raise no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resource_list(registry: Registry, group_name: str, version: str) -> Object:
    """Return what `/api/v1` and `/apis/GROUP/VERSION` answer.

    Raises:
        ApiError: 404.
    """
    resources = registry.of_version(group_name, version)
    if not resources:
        raise no_such_path()
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": resources[0].api_version,
        "resources": [entry for resource in resources for entry in _entries(resource)],
    }


def aggregated(registry: Registry, *, core: bool) -> Object:
    """Return all groups with their resources in one answer (APIGroupDiscoveryList v2)."""
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None} if name else {},
            "versions": [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [_discovered(each) for each in registry.of_version(name, version)],
                }
                for version in versions
            ],
        }
        for name, versions in registry.versions().items()
        if core == (not name)
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _group(name: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _entries(resource: Resource) -> list[Object]:
    entry: Object = {
        "name": resource.plural,
        "singularName": _singular(resource),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return [entry, *(_subresource_entry(resource, name) for name in resource.subresources)]


def _subresource_entry(resource: Resource, name: str) -> Object:
    entry: Object = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
    }
    if name not in _SUBRESOURCE_KINDS:
        return {**entry, "kind": resource.kind, "verbs": list(_STATUS_VERBS)}
    kind_group, version, kind, verbs = _SUBRESOURCE_KINDS[name]
    if kind_group:
        entry |= {"group": kind_group, "version": version}
    return {**entry, "kind": kind, "verbs": list(verbs)}


def _discovered(resource: Resource) -> Object:
    entry: Object = {
        "resource": resource.plural,
        "responseKind": _kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": _singular(resource),
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [_discovered_sub(resource, name) for name in resource.subresources]
    return entry


def _discovered_sub(resource: Resource, name: str) -> Object:
    default = (resource.group, resource.version, resource.kind, _STATUS_VERBS)
    kind_group, version, kind, verbs = _SUBRESOURCE_KINDS.get(name, default)
    return {
        "subresource": name,
        "responseKind": _kind(kind_group, version, kind),
        "verbs": list(verbs),
    }


def _kind(kind_group: str, version: str, kind: str) -> Object:
    return {"group": kind_group, "version": version, "kind": kind}


def _singular(resource: Resource) -> str:
    return resource.singular or resource.kind.lower()
