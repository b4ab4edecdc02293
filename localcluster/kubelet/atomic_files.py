"""Folders whose files change together: a reader sees all of the old content or all of the new.

The layout is kubelet's: the files lie in a hidden folder, `..data` is a link to it, and each name
of the volume is a link through `..data`; renaming one link changes everything at once. Programs
that watch a volume (by inotify on `..data`) work as they do in a cluster.
Source: pkg/volume/util/atomic_writer.go. Not pure.
"""

from __future__ import annotations

import os
import secrets
import shutil
from typing import TYPE_CHECKING, NamedTuple

from localcluster.kubelet.fields import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DATA = "..data"


class File(NamedTuple):
    """A file of a volume; `mode` are its permission bits."""

    content: bytes
    mode: int


def write_together(folder: Path, files: Mapping[str, File], group: int | None = None) -> None:
    """Make `files` the whole content of `folder`, in one step for every reader.

    Args:
        folder: exists.
        files: by path inside the folder.
        group: owns the files and may read them (fsGroup); None leaves the group as it is.

    Raises:
        ConfigurationError: a path leaves the folder or begins with two dots.
        OSError: the disk.
    """
    fresh = folder / f"..{secrets.token_hex(8)}"
    for name in files:
        if name.startswith("..") or not (fresh / name).resolve().is_relative_to(fresh.resolve()):
            raise ConfigurationError(f"volume path {name} leaves the volume")
    fresh.mkdir(mode=0o755)
    for name, file in files.items():
        place = fresh / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.content)
        place.chmod(file.mode)
        if group is not None:
            os.chown(place, -1, group)
            place.chmod(file.mode | 0o040)
    data = folder / DATA
    before = folder / os.readlink(data) if data.is_symlink() else None
    pending = folder / "..data_new"
    pending.symlink_to(fresh.name)
    pending.replace(data)
    _link_names(folder, {name.split("/")[0] for name in files})
    if before is not None:
        shutil.rmtree(before, ignore_errors=True)


def _link_names(folder: Path, names: set[str]) -> None:
    """Let each name, and no other, lead through `..data`."""
    for name in names:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for entry in folder.iterdir():
        if not entry.name.startswith("..") and entry.name not in names:
            entry.unlink()
