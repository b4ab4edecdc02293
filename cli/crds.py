"""`gamekeeper crds`: the CustomResourceDefinitions as YAML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from shared.crd_rules import BOUNDED_TEXT, OLDEST_SUPPORTED, KubernetesVersion
from shared.crds import custom_resource_definitions
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})([.+-].*)?")


def parse_version(text: str | None) -> KubernetesVersion:
    """Return the version that `kubectl version` tells of a server, such as 1.33 or v1.33.4+k3s1.

    Raises:
        InvalidInput: it is none, or one that Gamekeeper does not run on.
    """
    if text is None:
        return BOUNDED_TEXT
    found = _VERSION.fullmatch(text)
    if found is None:
        raise InvalidInput("--kubernetes", f"{text!r} is no version such as 1.33")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST_SUPPORTED:
        oldest = ".".join(map(str, OLDEST_SUPPORTED))
        raise InvalidInput("--kubernetes", f"Gamekeeper needs Kubernetes {oldest}, not {text}")
    return version


def render_crd(definition: dict[str, Any]) -> str:
    """Return one definition as a YAML document."""
    return yaml.safe_dump(definition, sort_keys=False, width=100)


def print_crds(server: KubernetesVersion) -> None:
    """Print all definitions as one stream of documents."""
    definitions = custom_resource_definitions(server)
    print("---\n".join(render_crd(definition) for definition in definitions), end="")


def write_crds(directory: Path, server: KubernetesVersion) -> list[Path]:
    """Write each definition into a file of its own, and return the files.

    Raises:
        InvalidInput: the folder cannot be written.
    """
    files = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for definition in custom_resource_definitions(server):
            file = directory / f"{definition['metadata']['name']}.yaml"
            file.write_text(render_crd(definition))
            files.append(file)
    except OSError as error:
        raise InvalidInput("--directory", f"cannot write {directory}: {error.strerror}") from error
    return files
