"""The environment, command and arguments of a container. Pure.

Source: Kubernetes API reference, EnvVar: variables in order, `$(NAME)` expands to an earlier one,
`$$` is a dollar sign, an unknown reference stays as it is written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from localcluster.kubelet.fields import (
    ConfigurationError,
    Json,
    PodFacts,
    References,
    decode_secret,
    field_value,
    resource_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with every `$(NAME)` of a known variable replaced."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def referenced_names(container: Json) -> tuple[set[str], set[str]]:
    """Return the names of the config maps and of the secrets that a container's variables need."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for source in [
        *container.get("envFrom", []),
        *(variable.get("valueFrom", {}) for variable in container.get("env", [])),
    ]:
        for kind in ("configMapRef", "configMapKeyRef"):
            if kind in source:
                config_maps.add(source[kind]["name"])
        for kind in ("secretRef", "secretKeyRef"):
            if kind in source:
                secrets.add(source[kind]["name"])
    return config_maps, secrets


def resolve_environment(
    container: Json, image: Mapping[str, str], facts: PodFacts, references: References
) -> dict[str, str]:
    """Return the whole environment of a container: runtime defaults, image, envFrom, env.

    Raises:
        ConfigurationError: an object, a key or a field that is not there and not optional.
    """
    hostname = facts.pod["spec"].get("hostname") or facts.pod["metadata"]["name"]
    environment = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname, **image}
    own = declared_environment(container, facts, references)
    return {**environment, **own}


def declared_environment(
    container: Json, facts: PodFacts, references: References
) -> dict[str, str]:
    """Return only what the pod declares; command and arguments expand from these."""
    variables: dict[str, str] = {}
    for source in container.get("envFrom", []):
        variables.update(_all_of(source, references))
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("resourceFieldRef")
        if reference is not None:
            variables[variable["name"]] = resource_value(
                reference, container.get("name", ""), facts
            )
            continue
        value = _value(variable, variables, facts, references)
        if value is not None:
            variables[variable["name"]] = value
    return variables


def _all_of(source: Json, references: References) -> Iterator[tuple[str, str]]:
    prefix = source.get("prefix", "")
    for reference, objects, kind in (
        ("configMapRef", references.config_maps, "configmap"),
        ("secretRef", references.secrets, "secret"),
    ):
        if reference not in source:
            continue
        name = source[reference]["name"]
        content = objects.get(name)
        if content is None:
            if source[reference].get("optional"):
                continue
            raise ConfigurationError(f'{kind} "{name}" not found')
        for key, value in (content.get("data") or {}).items():
            yield prefix + key, _decode(name, key, value) if kind == "secret" else value


def _value(
    variable: Json, earlier: Mapping[str, str], facts: PodFacts, references: References
) -> str | None:
    """Return the value of one variable; None for an optional one that is not there."""
    source = variable.get("valueFrom")
    if source is None:
        return expand(variable.get("value", ""), earlier)
    if "fieldRef" in source:
        return field_value(source["fieldRef"]["fieldPath"], facts)
    if "configMapKeyRef" in source:
        return _key(source["configMapKeyRef"], references.config_maps, "configmap")
    if "secretKeyRef" in source:
        reference = source["secretKeyRef"]
        value = _key(reference, references.secrets, "secret")
        return None if value is None else _decode(reference["name"], reference["key"], value)
    raise ConfigurationError(
        f"env {variable['name']}: valueFrom {', '.join(source)} is not supported by the local "
        "kubelet; use value, fieldRef, resourceFieldRef, configMapKeyRef or secretKeyRef"
    )


def _key(reference: Json, objects: Mapping[str, Json | None], kind: str) -> str | None:
    name, key = reference["name"], reference["key"]
    content = objects.get(name)
    if content is None and not reference.get("optional"):
        raise ConfigurationError(f'{kind} "{name}" not found')
    value = ((content or {}).get("data") or {}).get(key)
    if value is None and not reference.get("optional"):
        raise ConfigurationError(f'couldn\'t find key {key} in {kind} "{name}"')
    return None if value is None else str(value)


def _decode(secret: str, key: str, value: str) -> str:
    return decode_secret(secret, key, value).decode(errors="replace")
