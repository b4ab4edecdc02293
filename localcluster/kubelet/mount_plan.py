"""Which mounts make a container's root: the plan. Pure; rootfs.py applies it.

The new root is an empty tmpfs in which every top-level entry of the host is bound read-only.
A mount needs a place to sit on. Where the place does not exist on the host (say
/run/secrets/gamekeeper, while the host has /run), nothing can be created in the read-only bind; so
each of its ancestors is not bound as a whole but *opened*: made as a folder of the tmpfs in which
the host's entries are bound one by one, which leaves room for the new one.
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple, Protocol

# These get a content of their own; the host's must not be seen.
PRIVATE_FOLDERS = ("/dev", "/proc", "/tmp")  # noqa: S108 - a place inside the container


class HostTree(Protocol):
    """The part of the host's file system that the plan looks at."""

    def resolve(self, path: str) -> str:
        """Return `path` without symbolic links, as far as it exists."""

    def exists(self, path: str) -> bool:
        """Return whether something is at `path`."""

    def is_folder(self, path: str) -> bool:
        """Return whether a real folder (not a link to one) is at `path`."""

    def link_target(self, path: str) -> str | None:
        """Return where the symbolic link at `path` points; None if it is not one."""

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a folder; empty if it may not be read."""


class MakeFolder(NamedTuple):
    """A folder of the new root's own tmpfs."""

    path: str


class CopyLink(NamedTuple):
    """A symbolic link as the host has it."""

    path: str
    points_to: str


class BindHost(NamedTuple):
    """The host's file or folder at the same path, read-only with everything below."""

    path: str
    is_folder: bool


Step = MakeFolder | CopyLink | BindHost


def resolve_target(target: str, host: HostTree) -> str:
    """Return the path at which a mount really lands: links of the host (/var/run) are followed."""
    normal = posixpath.normpath(target)
    if _is_below(normal, PRIVATE_FOLDERS):
        return normal
    return host.resolve(normal)


def plan_host_view(targets: list[str], host: HostTree) -> list[Step]:
    """Return the steps that show the host read-only and leave a place for every target.

    Args:
        targets: absolute paths of later mounts, already resolved.
        host: the host's tree.

    Returns:
        Steps in order: a folder comes before its content.
    """
    opened = _opened_folders(targets, host)
    steps: list[Step] = []
    _open_folder("/", opened, host, steps)
    return steps


def _opened_folders(targets: list[str], host: HostTree) -> set[str]:
    opened = {"/"}
    for target in targets:
        if host.exists(target) or _is_below(target, PRIVATE_FOLDERS):
            continue
        parent = posixpath.dirname(target)
        while parent != "/":
            if host.is_folder(parent):
                opened.add(parent)
            parent = posixpath.dirname(parent)
    return opened


def _open_folder(folder: str, opened: set[str], host: HostTree, steps: list[Step]) -> None:
    for name in host.names(folder):
        path = posixpath.join(folder, name)
        link = host.link_target(path)
        if path in opened or path in PRIVATE_FOLDERS:
            steps.append(MakeFolder(path))
            if path in opened:
                _open_folder(path, opened, host, steps)
        elif link is not None:
            steps.append(CopyLink(path, link))
        else:
            steps.append(BindHost(path, host.is_folder(path)))


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
