"""Reads an OCI archive: the image's configuration, and its layers as a root file system.

Source: the OCI image format specification (image layout, manifest, configuration, layer).
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Image:
    """An image, unpacked.

    Attributes:
        name: under which `ctr images import` stores it.
        config: the runtime configuration: User, Env, Entrypoint, Labels.
        root: its root file system.
        packed_bytes: size of the layers as they are pulled.
        unpacked_bytes: size of the files.
    """

    name: str
    config: dict[str, Any]
    root: Path
    packed_bytes: int
    unpacked_bytes: int

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that the image sets."""
        return dict(entry.split("=", 1) for entry in self.config.get("Env", []))


def unpack(archive: Path, folder: Path) -> Image:
    """Unpack an image of one platform."""
    blobs = folder / "blobs"
    with tarfile.open(archive) as outer:
        outer.extractall(blobs, filter="data")

    def read(descriptor: dict[str, Any]) -> Path:
        return blobs / "blobs" / descriptor["digest"].replace(":", "/")

    (entry,) = json.loads((blobs / "index.json").read_text())["manifests"]
    manifest = json.loads(read(entry).read_text())
    root = folder / "root"
    root.mkdir()
    for layer in manifest["layers"]:
        with tarfile.open(read(layer)) as files:
            assert not [name for name in files.getnames() if "/.wh." in name], "a whiteout"
            # Modes and links exactly as they are: it is our own image.
            files.extractall(root, filter="fully_trusted")
    return Image(
        name=entry["annotations"]["org.opencontainers.image.ref.name"],
        config=json.loads(read(manifest["config"]).read_text())["config"],
        root=root,
        packed_bytes=sum(layer["size"] for layer in manifest["layers"]),
        unpacked_bytes=sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir()),
    )
