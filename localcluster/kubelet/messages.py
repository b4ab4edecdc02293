"""What the kubelet asks of the launcher: plain named tuples that travel as JSON. Pure.

NamedTuple and not dataclass: the launcher is forked before anything heavy is imported, and
dataclasses would bring `inspect` into each of its forks.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Credentials(NamedTuple):
    """Who a process of a container is, in ids of the pod's user namespace.

    Args:
        uid: user id.
        gid: primary group id.
        groups: supplementary group ids.
        capabilities: numbers of the capabilities in the bounding set.
        no_new_privileges: whether execve may not gain privileges.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    capabilities: tuple[int, ...]
    no_new_privileges: bool


class Program(NamedTuple):
    """What to execute inside a container.

    Args:
        argv: the command; a name without a slash is looked up in PATH of `environment`.
        environment: the whole environment.
        working_directory: absolute path inside the container.
        credentials: who runs it.
        terminal: whether stdio is a new pseudo-terminal of the container (the reply carries it).
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str
    credentials: Credentials
    terminal: bool = False


class Bind(NamedTuple):
    """A host file or folder seen at `target` inside the container."""

    source: str
    target: str
    read_only: bool


class RootFilesystem(NamedTuple):
    """What a container sees as its root, besides the read-only host.

    Args:
        mount_point: an empty host folder on which the new root is mounted before the pivot.
        image_folder: host folder whose content is copied to `image_target`; empty for none.
        image_target: folder inside the container that receives the copy, writable.
        termination_log: host file bound to /dev/termination-log; its path names the container.
        binds: volumes and other host folders, parents before children.
    """

    mount_point: str
    image_folder: str
    image_target: str
    termination_log: str
    binds: tuple[Bind, ...]


class CreateSandbox(NamedTuple):
    """Make the namespaces of a pod and its pause process; `mount_point` is an empty host folder."""

    pod_uid: str
    hostname: str
    mount_point: str


class RemoveSandbox(NamedTuple):
    """Kill the pause process, and with it every process of the pod."""

    pod_uid: str


class StartContainer(NamedTuple):
    """Start the main process of a container. Descriptors: stdin, stdout, stderr."""

    pod_uid: str
    root: RootFilesystem
    program: Program


class Execute(NamedTuple):
    """Start a process beside `main_pid` in its container. Descriptors: stdin, stdout, stderr."""

    main_pid: int
    program: Program


class SignalProcess(NamedTuple):
    """Send a signal to a process that the launcher started; nothing happens if it has ended."""

    pid: int
    number: int


class KillMountNamespace(NamedTuple):
    """SIGKILL every process of a container, found by its pod and its mount namespace's inode."""

    pod_uid: str
    inode: int


Request = (
    CreateSandbox | RemoveSandbox | StartContainer | Execute | SignalProcess | KillMountNamespace
)

_SIMPLE: dict[str, type[CreateSandbox | RemoveSandbox | SignalProcess | KillMountNamespace]] = {
    kind.__name__: kind
    for kind in (CreateSandbox, RemoveSandbox, SignalProcess, KillMountNamespace)
}


def encode(number: int, request: Request) -> bytes:
    """Return the wire form of a request with its number."""
    return json.dumps([number, type(request).__name__, request]).encode()


def decode(raw: bytes) -> tuple[int, Request]:
    """Return number and request of what `encode` made.

    Raises:
        ValueError: not made by `encode`; the two sides are of one commit, so this is a defect.
    """
    number, kind, fields = json.loads(raw)
    if kind in _SIMPLE:
        return number, _SIMPLE[kind](*fields)
    if kind == "StartContainer":
        return number, StartContainer(fields[0], _root(fields[1]), _program(fields[2]))
    if kind == "Execute":
        return number, Execute(fields[0], _program(fields[1]))
    raise ValueError(f"unknown request {kind}")


def _root(fields: list[Any]) -> RootFilesystem:
    mount_point, image_folder, image_target, termination_log, binds = fields
    return RootFilesystem(
        mount_point,
        image_folder,
        image_target,
        termination_log,
        tuple(Bind(*bind) for bind in binds),
    )


def _program(fields: list[Any]) -> Program:
    argv, environment, working_directory, credentials, terminal = fields
    uid, gid, groups, capabilities, no_new_privileges = credentials
    return Program(
        tuple(argv),
        environment,
        working_directory,
        Credentials(uid, gid, tuple(groups), tuple(capabilities), no_new_privileges),
        terminal,
    )
