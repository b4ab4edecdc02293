"""The scale subresource: replicas of any kind in one form. Pure.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#scale-subresource
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.apiserver.errors import bad_request, invalid, invalid_value, modified
from localcluster.apiserver.objects import Object, dig

if TYPE_CHECKING:
    from localcluster.apiserver.resources import Resource, ScalePaths

_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(paths: ScalePaths, obj: Object) -> Object:
    """Return the autoscaling/v1 Scale of an object."""
    status: Object = {"replicas": dig(obj, *paths.status_replicas) or 0}
    if paths.label_selector:
        status["selector"] = dig(obj, *paths.label_selector) or ""
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: obj["metadata"][key] for key in _METADATA if key in obj["metadata"]},
        "spec": {"replicas": dig(obj, *paths.spec_replicas) or 0},
        "status": status,
    }


def scaled(resource: Resource, paths: ScalePaths, obj: Object, scale: Object) -> Object:
    """Return `obj` with the replicas that `scale` asks for.

    Raises:
        ApiError: 400 for another kind, 409 when the scale's resourceVersion is stale, 422 for
            replicas that are no count.
    """
    if scale.get("kind") not in (None, "", "Scale"):
        raise bad_request(f"the kind in the data ({scale['kind']}) is not Scale")
    metadata = scale.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise bad_request("metadata: must be an object")
    name = obj["metadata"]["name"]
    if metadata.get("resourceVersion") not in (None, "", obj["metadata"]["resourceVersion"]):
        raise modified(resource.group, resource.plural, name)
    replicas = dig(scale, "spec", "replicas") or 0
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        why = "should be a non-negative integer"
        raise invalid("autoscaling", "Scale", name, [invalid_value("spec.replicas", replicas, why)])
    return _with(obj, paths.spec_replicas, replicas)


def _with(obj: Object, path: tuple[str, ...], value: Any) -> Object:
    """Return `obj` with one nested value replaced; the rest is shared."""
    if len(path) == 1:
        return {**obj, path[0]: value}
    return {**obj, path[0]: _with(obj.get(path[0]) or {}, path[1:], value)}
