"""Builds a container's root file system in the mount namespace of the caller and moves into it.

Here: applying mount_plan.py, the private /proc, /dev and /tmp, the copy of the image folder, the
binds, the pivot. Not here: which volumes there are (volumes.py). Not pure; runs in the process that
is about to become the container's main process, inside the pod's user and PID namespaces.
"""

from __future__ import annotations

import os
import posixpath
import stat
from typing import TYPE_CHECKING

from localcluster.kubelet import syscalls
from localcluster.kubelet.mount_plan import (
    PRIVATE_FOLDERS,
    BindHost,
    CopyLink,
    MakeFolder,
    Step,
    plan_host_view,
    resolve_target,
)

if TYPE_CHECKING:
    from localcluster.kubelet.messages import Bind, RootFilesystem

IMAGE_DESCRIPTION = "image.yaml"  # describes the image; it is no file of it
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}


class _Host:
    """The real host tree, as mount_plan.HostTree."""

    def resolve(self, path: str) -> str:
        return os.path.realpath(path)

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path) and not os.path.islink(path)

    def link_target(self, path: str) -> str | None:
        return os.readlink(path) if os.path.islink(path) else None

    def names(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except PermissionError:
            return []


def enter_root(root: RootFilesystem, uid: int, gid: int) -> None:
    """Make `root` the root of this process, with nothing of the old one reachable.

    The caller is alone in a new mount namespace and inside the pod's PID namespace (a /proc shows
    the PID namespace of the process that mounts it).

    Args:
        root: what to build.
        uid: owner of the copied image files, so that the container may write to them.
        gid: their group.

    Raises:
        OSError: naming the mount that failed.
    """
    new = root.mount_point
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", new, "tmpfs", syscalls.MS_NOSUID, "mode=0755")
    host = _Host()
    image_target = resolve_target(root.image_target, host) if root.image_folder else ""
    binds = [bind._replace(target=resolve_target(bind.target, host)) for bind in root.binds]
    targets = [*PRIVATE_FOLDERS, *(bind.target for bind in binds)]
    if image_target:
        targets.append(image_target)
    for step in plan_host_view(targets, host):
        _apply(step, new)
    _mount_private_folders(new, root.termination_log)
    if image_target:
        _mount_tmpfs(f"{new}{image_target}", "mode=0755")
        _copy_folder(root.image_folder, f"{new}{image_target}", uid, gid)
    for bind in sorted(binds, key=lambda bind: bind.target.count("/")):
        _bind(bind, new)
    os.chdir(new)
    syscalls.pivot_root_here()
    syscalls.detach(".")
    os.chdir("/")
    syscalls.set_read_only("/", recursive=False)


def enter_empty_root(mount_point: str) -> None:
    """Make an empty read-only folder the root of this process: the pause process needs no file."""
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", mount_point, "tmpfs", syscalls.MS_NOSUID, "mode=0755")
    os.chdir(mount_point)
    syscalls.pivot_root_here()
    syscalls.detach(".")
    os.chdir("/")
    syscalls.set_read_only("/", recursive=False)


def _apply(step: Step, new: str) -> None:
    place = f"{new}{step.path}"
    match step:
        case MakeFolder():
            os.mkdir(place, 0o755)
        case CopyLink():
            os.symlink(step.points_to, place)
        case BindHost():
            _make_place(place, is_folder=step.is_folder)
            syscalls.mount(step.path, place, flags=syscalls.MS_BIND | syscalls.MS_REC)
            syscalls.set_read_only(place, recursive=True)


def _mount_private_folders(new: str, termination_log: str) -> None:
    careful = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    for folder in PRIVATE_FOLDERS:
        os.makedirs(f"{new}{folder}", exist_ok=True)
    syscalls.mount("proc", f"{new}/proc", "proc", careful)
    _mount_tmpfs(f"{new}/tmp", "mode=1777")  # noqa: S108 - inside the container
    dev = f"{new}/dev"
    _mount_tmpfs(dev, "mode=0755")
    for name in _DEVICES:
        if os.path.exists(f"/dev/{name}"):
            _make_place(f"{dev}/{name}", is_folder=False)
            syscalls.mount(f"/dev/{name}", f"{dev}/{name}", flags=syscalls.MS_BIND)
    for name, points_to in _DEVICE_LINKS.items():
        os.symlink(points_to, f"{dev}/{name}")
    _mount_tmpfs(f"{dev}/shm", "mode=1777")
    os.mkdir(f"{dev}/pts", 0o755)
    # No gid option: the group `tty` does not exist in a user namespace with a single id.
    options = "newinstance,ptmxmode=0666,mode=0620"
    noexec = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("devpts", f"{dev}/pts", "devpts", noexec, options)
    _make_place(f"{dev}/termination-log", is_folder=False)
    syscalls.mount(termination_log, f"{dev}/termination-log", flags=syscalls.MS_BIND)


def _mount_tmpfs(place: str, options: str) -> None:
    os.makedirs(place, exist_ok=True)
    syscalls.mount("tmpfs", place, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)


def _bind(bind: Bind, new: str) -> None:
    place = f"{new}{bind.target}"
    _make_place(place, is_folder=os.path.isdir(bind.source))
    syscalls.mount(bind.source, place, flags=syscalls.MS_BIND | syscalls.MS_REC)
    if bind.read_only:
        syscalls.set_read_only(place, recursive=True)


def _make_place(place: str, *, is_folder: bool) -> None:
    if os.path.lexists(place):
        return
    os.makedirs(place if is_folder else posixpath.dirname(place), exist_ok=True)
    if not is_folder:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _copy_folder(source: str, target: str, uid: int, gid: int) -> None:
    os.chown(target, uid, gid)
    for entry in os.scandir(source):
        place = f"{target}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
            os.chown(place, uid, gid, follow_symlinks=False)
        elif entry.is_dir():
            os.mkdir(place, stat.S_IMODE(entry.stat().st_mode))
            _copy_folder(entry.path, place, uid, gid)
        elif entry.is_file() and entry.name != IMAGE_DESCRIPTION:
            _copy_file(entry.path, place, uid, gid)


def _copy_file(source: str, place: str, uid: int, gid: int) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    mode = stat.S_IMODE(os.fstat(reading).st_mode)
    writing = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    while os.sendfile(writing, reading, None, 1 << 20):
        pass
    os.fchown(writing, uid, gid)
    os.fchmod(writing, mode)
    os.close(reading)
    os.close(writing)
