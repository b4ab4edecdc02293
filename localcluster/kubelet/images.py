"""Images are folders of this machine: image reference -> folder with an `image.yaml`.

Nothing is pulled. The mapping is a JSON object {reference: folder}; `image.yaml` has `command`
(required), `workingDir` (absolute; the folder's files are copied there), `env` and `mounts`
(host folders seen read-only). Not pure: reads files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import pydantic
import yaml

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

Absolute = Annotated[str, pydantic.StringConstraints(pattern=r"^/")]


class Mount(pydantic.BaseModel, extra="forbid", frozen=True):
    """A host folder or file, seen read-only at `target` in every container of the image."""

    source: Absolute
    target: Absolute


class Image(pydantic.BaseModel, extra="forbid", frozen=True):
    """The content of image.yaml.

    Args:
        command: what to run unless the pod says otherwise.
        working_directory: where the folder's files are copied to, writable; None copies nothing.
        environment: variables below the pod's own.
        mounts: host folders the image consists of besides its files.
    """

    command: Annotated[list[str], pydantic.Field(min_length=1)]
    working_directory: Absolute | None = pydantic.Field(default=None, alias="workingDir")
    environment: dict[str, str] = pydantic.Field(default={}, alias="env")
    mounts: list[Mount] = []


class UnknownImage(Exception):  # noqa: N818 - a state of the mapping, not a defect
    """No folder is mapped to the reference; the message says how to map one."""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image as found now.

    Args:
        reference: as the pod names it.
        folder: its host folder, absolute.
        description: its image.yaml.
    """

    reference: str
    folder: Path
    description: Image


class Images:
    """The mapping. `find` reads image.yaml each time, so that edits count at the next start."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    @classmethod
    def load(cls, file: Path) -> Images:
        """Return the mapping in a JSON file; relative folders are relative to the file.

        Raises:
            InvalidInput: not a JSON object of strings, or a folder without image.yaml.
            OSError: the file cannot be read.
        """
        try:
            mapping = pydantic.TypeAdapter(dict[str, str]).validate_json(file.read_bytes())
        except pydantic.ValidationError as error:
            message = f"want a JSON object {{image reference: folder}}; {_first(error)}"
            raise InvalidInput(str(file), message) from error
        folders = {ref: (file.parent / folder).absolute() for ref, folder in mapping.items()}
        images = cls(folders)
        for reference in folders:
            images.find(reference)
        return images

    def find(self, reference: str) -> LoadedImage:
        """Return the image of a reference; a reference without a tag means `:latest`.

        Raises:
            UnknownImage: not mapped.
            InvalidInput: its image.yaml is missing or wrong.
        """
        folder = self._folders.get(reference) or self._folders.get(f"{reference}:latest")
        if folder is None:
            raise UnknownImage(
                f'Container image "{reference}" is not mapped to a folder and images are never '
                f"pulled; map it with --image {json.dumps(reference)[1:-1]}=FOLDER"
            )
        return LoadedImage(reference, folder, _read_description(folder / "image.yaml"))


def _read_description(file: Path) -> Image:
    try:
        return Image.model_validate(yaml.safe_load(file.read_text()))
    except OSError as error:
        raise InvalidInput(str(file), f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise InvalidInput(str(file), f"is not YAML: {' '.join(str(error).split())}") from error
    except pydantic.ValidationError as error:
        raise InvalidInput(str(file), _first(error)) from error


def _first(error: pydantic.ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}: {detail['msg']}" if where else detail["msg"]
