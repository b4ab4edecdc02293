"""What a pod says about itself to its containers: the downward API, and references. Pure.

Source: Kubernetes documentation, "Downward API", available fields.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.quantity import divide_up

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigurationError(Exception):
    """A container cannot be configured as its pod says; the message names the field or object."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod as its containers may see it.

    Args:
        pod: the API object.
        pod_ip: its address.
        host_ip: the address of the node.
        node_name: the node.
        allocatable: of the node, quantities by resource; the limit of a container without one.
    """

    pod: Json
    pod_ip: str
    host_ip: str
    node_name: str
    allocatable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class References:
    """The objects that a pod refers to, as read; None for one that does not exist.

    Args:
        config_maps: by name.
        secrets: by name; values are base64.
    """

    config_maps: dict[str, Json | None] = field(default_factory=dict)
    secrets: dict[str, Json | None] = field(default_factory=dict)


def decode_secret(name: str, key: str, value: str) -> bytes:
    """Return the bytes of a secret's value.

    Raises:
        ConfigurationError: not base64.
    """
    return _decode(f'secret "{name}"', key, value)


def decode_binary(name: str, key: str, value: str) -> bytes:
    """Return the bytes of a value in a config map's binaryData.

    Raises:
        ConfigurationError: not base64.
    """
    return _decode(f'configmap "{name}"', key, value)


def _decode(where: str, key: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise ConfigurationError(f"{where}: key {key} is not base64") from error


def field_value(path: str, facts: PodFacts) -> str:
    """Return the value of a `fieldRef.fieldPath`.

    Raises:
        ConfigurationError: no such field.
    """
    metadata = facts.pod["metadata"]
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return str(metadata.get(subscript[1], {}).get(subscript[2], ""))
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": facts.node_name,
        "spec.serviceAccountName": facts.pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
    }
    if path in simple:
        return str(simple[path])
    if path in ("metadata.labels", "metadata.annotations"):
        values = metadata.get(path.removeprefix("metadata."), {})
        return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))
    raise ConfigurationError(f"fieldRef: field {path} is not part of the downward API")


def resource_value(reference: Json, container: str, facts: PodFacts) -> str:
    """Return the value of a `resourceFieldRef`, in units of its divisor, rounded up.

    Args:
        reference: the resourceFieldRef.
        container: which container is meant when the reference names none.
        facts: the pod.

    Raises:
        ConfigurationError: no such container, no such resource, or a divisor that is no quantity.
    """
    name = reference.get("containerName") or container
    spec = facts.pod["spec"]
    every = [*spec.get("containers", []), *spec.get("initContainers", [])]
    found = next((c for c in every if c["name"] == name), None)
    if found is None:
        raise ConfigurationError(f"resourceFieldRef: the pod has no container {name!r}")
    kind, _, resource = reference.get("resource", "").partition(".")
    if kind not in ("limits", "requests") or not resource:
        wanted = reference.get("resource")
        raise ConfigurationError(f"resourceFieldRef: {wanted!r} is not limits.X or requests.X")
    resources = found.get("resources") or {}
    limit = (resources.get("limits") or {}).get(resource)
    if kind == "limits":
        quantity = limit or facts.allocatable.get(resource, "0")
    else:
        quantity = (resources.get("requests") or {}).get(resource) or limit or "0"
    try:
        return str(divide_up(str(quantity), str(reference.get("divisor") or "1")))
    except ValueError as error:
        raise ConfigurationError(f"resourceFieldRef {reference['resource']}: {error}") from error
