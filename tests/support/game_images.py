"""Brings the files of a game into containers of any image that has bash. Pure.

On the local cluster an image is a folder: its files, and an image.yaml with what an image says of
itself. On another cluster the files travel in a ConfigMap; an init container copies them into an
emptyDir, because games write into their folder, and remove files of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]
_FILES = "/gamekeeper-test-files"
_CONFIG_MAP_BYTES = 1 << 20


@dataclass(frozen=True)
class GameImage:
    """What stands for an image that nobody can pull.

    Attributes:
        reference: image of the container.
        copier: image of the init container, which has bash and cp.
        config_map: has the files; empty for none.
        description: what image.yaml says: command, workingDir, env.
    """

    reference: str
    copier: str = ""
    config_map: str = ""
    description: Mapping[str, Any] = field(default_factory=dict)


def config_map(name: str, files: Mapping[str, str]) -> Json:
    """Return the ConfigMap of a game's files.

    Raises:
        ValueError: they are too large for one.
    """
    if sum(map(len, files.values())) > _CONFIG_MAP_BYTES:
        raise ValueError(f"the files of {name} must have at most 1 MiB together")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": dict(files),
    }


def furnished(spec: Json, images: Mapping[str, GameImage]) -> Json:
    """Return a pod spec in which every container of these images has what it would find there."""
    containers, copiers, volumes = [], [], []
    for container in spec["containers"]:
        image = images.get(container.get("image", ""))
        if image is None:
            containers.append(container)
            continue
        containers.append(_container(container, image))
        if image.config_map:
            copiers.append(_copier(container["name"], image))
            volumes += _volumes(container["name"], image)
    added = {"initContainers": copiers, "volumes": volumes}
    return (
        spec
        | {"containers": containers}
        | {key: [*spec.get(key, []), *value] for key, value in added.items() if value}
    )


def _container(container: Json, image: GameImage) -> Json:
    described = {
        key: image.description[key] for key in ("command", "workingDir") if key in image.description
    }
    variables = [
        {"name": name, "value": value} for name, value in image.description.get("env", {}).items()
    ]
    result = described | container | {"image": image.reference}
    if variables:
        result["env"] = [*variables, *container.get("env", [])]
    if image.config_map:
        mount = {"name": _folder(container["name"]), "mountPath": image.description["workingDir"]}
        result["volumeMounts"] = [*container.get("volumeMounts", []), mount]
    return result


def _copier(name: str, image: GameImage) -> Json:
    # -L: in a volume of a ConfigMap every file is a link.
    return {
        "name": f"files-of-{name}",
        "image": image.copier,
        "command": ["bash", "-c", f"cp -L {_FILES}/* /to/"],
        "volumeMounts": [
            {"name": f"files-of-{name}", "mountPath": _FILES},
            {"name": _folder(name), "mountPath": "/to"},
        ],
    }


def _volumes(name: str, image: GameImage) -> list[Json]:
    source = {"name": image.config_map, "defaultMode": 0o755}
    return [
        {"name": f"files-of-{name}", "configMap": source},
        {"name": _folder(name), "emptyDir": {}},
    ]


def _folder(name: str) -> str:
    return f"folder-of-{name}"
