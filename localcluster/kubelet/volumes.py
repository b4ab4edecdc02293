"""The volumes of a pod: host folders with the content that the pod asks for.

Here: emptyDir, configMap, secret, downwardAPI and projected (with service-account tokens), and the
binds of a container's volumeMounts. Not here: mounting (rootfs.py), asking for tokens (tokens.py).
`plan_files` and `plan_binds` are pure, `write_files` is not.
Source: Kubernetes documentation, "Volumes" and "Projected Volumes".
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localcluster.kubelet.fields import (
    ConfigurationError,
    Json,
    PodFacts,
    References,
    decode_secret,
    field_value,
)
from localcluster.kubelet.messages import Bind

if TYPE_CHECKING:
    from pathlib import Path

_SUPPORTED = "emptyDir, configMap, secret, downwardAPI and projected"
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A service-account token that a volume contains.

    Args:
        path: inside the volume.
        audience: for whom; empty for the API server.
        expiration_seconds: how long one token is valid.
    """

    path: str
    audience: str
    expiration_seconds: int


@dataclass(slots=True)
class VolumeContent:
    """The files of a volume: path -> bytes, and the tokens that are still to be asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    tokens: list[TokenFile] = field(default_factory=list)


def referenced_names(volumes: list[Json]) -> tuple[set[str], set[str]]:
    """Return the names of the config maps and of the secrets that the volumes show."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for volume in volumes:
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            if "configMap" in source:
                config_maps.add(source["configMap"]["name"])
            if "secret" in source:
                secret = source["secret"]
                secrets.add(secret.get("secretName") or secret["name"])
    return config_maps, secrets


def plan_files(volume: Json, facts: PodFacts, references: References) -> VolumeContent:
    """Return what is in a volume at the start of the pod.

    Raises:
        ConfigurationError: an unsupported kind, or an object or key that is not there.
    """
    content = VolumeContent()
    if "emptyDir" in volume:
        return content
    sources = volume["projected"].get("sources", []) if "projected" in volume else [volume]
    for source in sources:
        _add(source, facts, references, content)
    return content


def _add(source: Json, facts: PodFacts, references: References, content: VolumeContent) -> None:
    if "configMap" in source:
        config_map = source["configMap"]
        data = _data_of(config_map, config_map["name"], references.config_maps, "configmap")
        plain = {key: value.encode() for key, value in data.items()}
        content.files.update(_select(config_map, plain))
    elif "secret" in source:
        secret = source["secret"]
        name = secret.get("secretName") or secret["name"]
        data = _data_of(secret, name, references.secrets, "secret")
        decoded = {key: decode_secret(name, key, value) for key, value in data.items()}
        content.files.update(_select(secret, decoded))
    elif "downwardAPI" in source:
        for item in source["downwardAPI"].get("items", []):
            if "fieldRef" not in item:
                raise ConfigurationError(
                    f"downwardAPI item {item['path']}: only fieldRef is supported"
                )
            value = field_value(item["fieldRef"]["fieldPath"], facts)
            content.files[item["path"]] = value.encode()
    elif "serviceAccountToken" in source:
        token = source["serviceAccountToken"]
        seconds = token.get("expirationSeconds", _HOUR)
        content.tokens.append(TokenFile(token["path"], token.get("audience", ""), seconds))
    else:
        kinds = ", ".join(key for key in source if key != "name")
        raise ConfigurationError(
            f"volume source {kinds or 'none'} is not supported locally; use {_SUPPORTED}"
        )


def _data_of(source: Json, name: str, objects: dict[str, Json | None], kind: str) -> dict[str, str]:
    found = objects.get(name)
    if found is None:
        if source.get("optional"):
            return {}
        raise ConfigurationError(f'{kind} "{name}" not found')
    data: dict[str, str] = found.get("data") or {}
    return data


def _select(source: Json, data: dict[str, bytes]) -> dict[str, bytes]:
    if "items" not in source:
        return data
    missing = [item["key"] for item in source["items"] if item["key"] not in data]
    if missing and not source.get("optional"):
        raise ConfigurationError(f"references non-existent key: {missing[0]}")
    return {i["path"]: data[i["key"]] for i in source["items"] if i["key"] in data}


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files below `folder`, each replaced at once so that a reader sees old or new."""
    for name, content in files.items():
        place = folder / name
        if not place.resolve().is_relative_to(folder.resolve()):
            raise ConfigurationError(f"volume path {name} leaves the volume")
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.name}.new")
        fresh.write_bytes(content)
        fresh.chmod(0o644)
        os.replace(fresh, place)


def plan_binds(container: Json, volumes: list[Json], folder: Path) -> tuple[Bind, ...]:
    """Return the binds of a container's volumeMounts.

    Args:
        container: the container.
        volumes: of its pod.
        folder: holds one folder per volume, by name.

    Raises:
        ConfigurationError: a mount of a volume that the pod does not have.
    """
    # Only an emptyDir is the container's to write; the kubelet owns all other content.
    writable = {volume["name"] for volume in volumes if "emptyDir" in volume}
    names = {volume["name"] for volume in volumes}
    binds = []
    for mount in container.get("volumeMounts", []):
        name = mount["name"]
        if name not in names:
            raise ConfigurationError(f"volumeMounts: the pod has no volume {name}")
        source = folder / name / mount.get("subPath", "")
        if not source.resolve().is_relative_to((folder / name).resolve()):
            raise ConfigurationError(f"volumeMounts {name}: subPath leaves the volume")
        read_only = bool(mount.get("readOnly")) or name not in writable
        binds.append(Bind(str(source), mount["mountPath"], read_only))
    return tuple(binds)
