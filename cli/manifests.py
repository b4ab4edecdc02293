"""Reads what the user wrote: manifests to apply, and which folder stands for which image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cli.admission import find_faults
from shared.api import names
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

IMAGES_FILE = "images.yaml"
_SET = (names.API_VERSION, names.GAMESERVERSET_KIND)


def read_yaml(file: Path) -> list[Any]:
    """Return the documents of a YAML file, empty ones left out.

    Raises:
        InvalidInput: it cannot be read, or is no YAML; with line and column.
    """
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InvalidInput("", f"{file}: cannot read it: {reason}") from error
    try:
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidInput("", f"{file}{place}: {error.problem or 'it is no YAML'}") from error
    except yaml.YAMLError as error:
        raise InvalidInput("", f"{file}: it is no YAML: {error}") from error


def check_manifest(file: Path) -> None:
    """Check that a file holds Kubernetes objects, and good sets, before anything is started.

    Raises:
        InvalidInput: naming the document at fault.
    """
    documents = read_yaml(file)
    if not documents:
        raise InvalidInput("", f"{file}: it holds no object")
    for number, document in enumerate(documents, start=1):
        if not isinstance(document, dict) or not {"apiVersion", "kind"} <= document.keys():
            raise InvalidInput("", f"{file}: document {number} needs apiVersion and kind")
        if (document["apiVersion"], document["kind"]) == _SET:
            check_set(file, number, document)


def check_set(file: Path, number: int, document: dict[str, Any]) -> None:
    """Check that an API server would take a GameServerSet.

    Args:
        file: where it stands, for the error.
        number: of the document in the file, from 1.
        document: the decoded manifest.

    Raises:
        InvalidInput: naming the first field at fault.
    """
    faults = find_faults(document)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise InvalidInput("", f"{file}, document {number}: {faults[0]}{more}")


def find_images(files: Iterable[Path], extra: Iterable[str]) -> dict[str, Path]:
    """Return the folder of each image.

    Args:
        files: manifests; an images.yaml beside one is read.
        extra: `REF=DIR` of the command line, which win.

    Raises:
        InvalidInput: a mapping is malformed, or a folder is not there.
    """
    images: dict[str, Path] = {}
    for directory in dict.fromkeys(file.resolve().parent for file in files):
        images |= _read_images(directory / IMAGES_FILE)
    for item in extra:
        image, separator, folder = item.partition("=")
        if not separator or not image or not folder:
            raise InvalidInput("", f"--image {item}: must be REF=DIR")
        images[image] = _folder(folder, "--image")
    return images


def _read_images(file: Path) -> dict[str, Path]:
    if not file.exists():
        return {}
    documents = read_yaml(file)
    mapping = documents[0].get("images") if documents and isinstance(documents[0], dict) else None
    if not isinstance(mapping, dict):
        raise InvalidInput("", f"{file}: needs a field images with a folder for each image")
    return {
        image: _folder(file.parent / str(folder), str(file)) for image, folder in mapping.items()
    }


def _folder(folder: Path | str, origin: str) -> Path:
    path = Path(folder).resolve()
    if not (path / "image.yaml").is_file():
        raise InvalidInput("", f"{origin}: {path} needs a file image.yaml")
    return path
