"""The volumes of a pod: host folders with the content that the pod asks for.

Here: which files configMap, secret, downwardAPI and projected volumes have, and the binds of a
container's volumeMounts. Not here: writing them (pod_volumes.py), mounting them (rootfs.py).
Pure, except that `plan_binds` looks where links lead.
Source: Kubernetes documentation, "Volumes" and "Projected Volumes".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localcluster.kubelet.environment import expand
from localcluster.kubelet.fields import (
    ConfigurationError,
    Json,
    PodFacts,
    References,
    decode_binary,
    decode_secret,
    field_value,
    resource_value,
)
from localcluster.kubelet.messages import Bind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SUPPORTED = (
    "emptyDir, configMap, secret, downwardAPI, projected, persistentVolumeClaim and hostPath"
)
_FOLDERS = ("emptyDir", "persistentVolumeClaim", "hostPath")
_HOUR = 3600
DEFAULT_MODE = 0o644


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
    """The files of a volume.

    Args:
        files: path -> bytes.
        tokens: files that are still to be asked for.
        modes: path -> permission bits, where they are not 0644.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    tokens: list[TokenFile] = field(default_factory=list)
    modes: dict[str, int] = field(default_factory=dict)


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
    """Return what is in a volume now.

    Raises:
        ConfigurationError: an unsupported kind, or an object or key that is not there.
    """
    content = VolumeContent()
    if is_folder(volume):
        return content
    sources = volume["projected"].get("sources", []) if "projected" in volume else [volume]
    for source in sources:
        _add(source, facts, references, content)
    content.modes.update(_modes(volume, sources, content))
    return content


def is_folder(volume: Json) -> bool:
    """Return whether a volume is a folder of its own and not a set of files that others make."""
    return any(kind in volume for kind in _FOLDERS)


def _modes(volume: Json, sources: list[Json], content: VolumeContent) -> dict[str, int]:
    """Return the permission bits of the files that do not have the usual ones."""
    default = _described(volume).get("defaultMode") or DEFAULT_MODE
    modes = dict.fromkeys([*content.files, *(token.path for token in content.tokens)], default)
    for source in sources:
        for item in _described(source).get("items") or []:
            if item.get("mode") is not None and item["path"] in modes:
                modes[item["path"]] = item["mode"]
    return {path: mode for path, mode in modes.items() if mode != DEFAULT_MODE}


def _described(source: Json) -> Json:
    described: Json = next(value for key, value in source.items() if key != "name")
    return described


def _add(source: Json, facts: PodFacts, references: References, content: VolumeContent) -> None:
    if "configMap" in source:
        config_map = source["configMap"]
        data = _data_of(config_map, config_map["name"], references.config_maps, "configmap")
        plain = {key: value.encode() for key, value in data.items()}
        binary = (references.config_maps.get(config_map["name"]) or {}).get("binaryData") or {}
        plain |= {k: decode_binary(config_map["name"], k, value) for k, value in binary.items()}
        content.files.update(_select(config_map, plain))
    elif "secret" in source:
        secret = source["secret"]
        name = secret.get("secretName") or secret["name"]
        data = _data_of(secret, name, references.secrets, "secret")
        decoded = {key: decode_secret(name, key, value) for key, value in data.items()}
        content.files.update(_select(secret, decoded))
    elif "downwardAPI" in source:
        for item in source["downwardAPI"].get("items", []):
            if "fieldRef" in item:
                value = field_value(item["fieldRef"]["fieldPath"], facts)
            else:
                value = resource_value(item.get("resourceFieldRef") or {}, "", facts)
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


def plan_binds(
    container: Json, volumes: list[Json], folder: Path, variables: Mapping[str, str]
) -> tuple[Bind, ...]:
    """Return the binds of a container's volumeMounts.

    Args:
        container: the container.
        volumes: of its pod.
        folder: holds one folder, or a link to it, per volume, by name.
        variables: the container's environment, for subPathExpr.

    Raises:
        ConfigurationError: a mount of a volume that the pod does not have, a path that leaves its
            volume, or a host folder that the container could write to.
    """
    by_name = {volume["name"]: volume for volume in volumes}
    binds = []
    for mount in container.get("volumeMounts", []):
        name = mount["name"]
        if name not in by_name:
            raise ConfigurationError(f"volumeMounts: the pod has no volume {name}")
        volume = by_name[name]
        inside = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
        source = folder / name / inside
        if not source.resolve().is_relative_to((folder / name).resolve()):
            raise ConfigurationError(f"volumeMounts {name}: subPath leaves the volume")
        if "hostPath" in volume and not mount.get("readOnly"):
            raise ConfigurationError(
                f"volumeMounts {name}: pods of the local cluster may not write to this machine; "
                "set readOnly: true, or use an emptyDir or a persistentVolumeClaim"
            )
        binds.append(Bind(str(source), mount["mountPath"], _is_read_only(volume, mount)))
    return tuple(binds)


def _is_read_only(volume: Json, mount: Json) -> bool:
    # The kubelet owns the content of all other volumes.
    writable = "emptyDir" in volume or "persistentVolumeClaim" in volume
    claim = volume.get("persistentVolumeClaim") or {}
    return bool(mount.get("readOnly") or claim.get("readOnly") or not writable)
