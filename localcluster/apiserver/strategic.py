"""Merge patches: RFC 7396 for every kind, the strategic form for the built-in ones. Pure.

A strategic merge patch merges a list of objects by a key that depends on the list. The real server
reads these keys from Go struct tags; here they are a table by field name, which is unambiguous in
the kinds served.

Source: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
and k8s.io/apimachinery pkg/util/strategicpatch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from localcluster.apiserver.errors import bad_request

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object

MergeKeys: TypeAlias = "dict[str, str | tuple[str, ...]]"

_DIRECTIVE = "$patch"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_RETAIN = "$retainKeys"

# Lists that are not named here are replaced as a whole (tolerations and command among them).
MERGE_KEYS: MergeKeys = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    # A container's ports merge by containerPort, a service's by port.
    "ports": ("containerPort", "port"),
    "hostAliases": "ip",
    "podIPs": "ip",
    "hostIPs": "ip",
    "topologySpreadConstraints": "topologyKey",
    "conditions": "type",
    "addresses": "type",
    "taints": "key",
    "ownerReferences": "uid",
}
_MERGED_PRIMITIVES = frozenset({"finalizers", "podCIDRs"})


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with an RFC 7396 merge patch applied; neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_merge_patch(target: Object, patch: Object) -> Object:
    """Return `target` with a strategic merge patch applied; neither is changed.

    Raises:
        ApiError: 400 for a directive that does not exist or a list element without its merge key.
    """
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unknown $patch directive {directive!r}; use merge, replace or delete")
    result = dict(target)
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            _delete_primitives(result, key.removeprefix(_DELETE_FROM), value)
        elif not key.startswith("$"):
            _merge_field(result, key, value)
    _retain_keys(result, patch.get(_RETAIN))
    for key, value in patch.items():
        if key.startswith(_ORDER):
            _order(result, key.removeprefix(_ORDER), value)
    return result


def _merge_field(result: Object, key: str, value: Any) -> None:
    current = result.get(key)
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        result[key] = strategic_merge_patch(current if isinstance(current, dict) else {}, value)
    elif isinstance(value, list):
        result[key] = _merge_list(key, current if isinstance(current, list) else [], value)
    else:
        result[key] = value


def _merge_list(field: str, current: list[Any], patch: list[Any]) -> list[Any]:
    if field in _MERGED_PRIMITIVES:
        return [*current, *(item for item in patch if item not in current)]
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in patch):
        return [i for i in patch if not (isinstance(i, dict) and i.get(_DIRECTIVE) == "replace")]
    if field not in MERGE_KEYS:
        return patch
    result = list(current)
    for item in patch:
        key = _merge_key(field, item)
        index = next((i for i, old in enumerate(result) if old.get(key) == item[key]), None)
        if item.get(_DIRECTIVE) == "delete":
            result = [old for old in result if old.get(key) != item[key]]
        elif index is None:
            result.append(strategic_merge_patch({}, item))
        else:
            result[index] = strategic_merge_patch(result[index], item)
    return result


def _merge_key(field: str, item: Any) -> str:
    declared = MERGE_KEYS[field]
    keys = (declared,) if isinstance(declared, str) else declared
    found = next((key for key in keys if isinstance(item, dict) and key in item), None)
    if found is None:
        raise bad_request(f"map: {item} does not contain declared merge key: {keys[0]}")
    return found


def _delete_primitives(result: Object, field: str, values: list[Any]) -> None:
    if isinstance(result.get(field), list):
        result[field] = [item for item in result[field] if item not in values]


def _retain_keys(result: Object, keys: list[str] | None) -> None:
    if keys is not None:
        for key in [key for key in result if key not in keys]:
            del result[key]


def _order(result: Object, field: str, order: list[Any]) -> None:
    """Sort a list in the patch's order; what the patch does not name keeps its place at the end."""
    current = result.get(field)
    if not isinstance(current, list):
        return

    def place(item: Any) -> int:
        if isinstance(item, dict) and field in MERGE_KEYS:
            key = _merge_key(field, item)
            names = [each.get(key) for each in order if isinstance(each, dict)]
            return names.index(item[key]) if item[key] in names else len(names)
        return order.index(item) if item in order else len(order)

    result[field] = sorted(current, key=place)
