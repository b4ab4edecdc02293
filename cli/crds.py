"""`gamekeeper crds`: the CustomResourceDefinitions as YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from shared.crds import custom_resource_definitions
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path


def render_crd(definition: dict[str, Any]) -> str:
    """Return one definition as a YAML document."""
    return yaml.safe_dump(definition, sort_keys=False, width=100)


def print_crds() -> None:
    """Print all definitions as one stream of documents."""
    print(
        "---\n".join(render_crd(definition) for definition in custom_resource_definitions()), end=""
    )


def write_crds(directory: Path) -> list[Path]:
    """Write each definition into a file of its own, and return the files.

    Raises:
        InvalidInput: the folder cannot be written.
    """
    files = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for definition in custom_resource_definitions():
            file = directory / f"{definition['metadata']['name']}.yaml"
            file.write_text(render_crd(definition))
            files.append(file)
    except OSError as error:
        raise InvalidInput("--directory", f"cannot write {directory}: {error.strerror}") from error
    return files
