"""Becoming a process of a container: enter the pod, build or join the root, drop, execute.

Not pure; lean. Every function of this module runs in a throw-away fork of the launcher. The
process that executes is forked *after* setns of the PID namespace by a parent outside of it, so it
sees parent pid 0, like a process that a container runtime starts.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from localcluster.kubelet import rootfs, sandbox, syscalls

if TYPE_CHECKING:
    from localcluster.kubelet.messages import Credentials, Program, RootFilesystem

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAST_CAPABILITY = 63


class StartError(Exception):
    """The command cannot be executed; the message says why."""


class Started(NamedTuple):
    """A process that executes its command.

    Args:
        pid: in the launcher's PID namespace.
        mount_namespace: inode of the container's mount namespace.
        terminal: master side of its pseudo-terminal; None without one.
    """

    pid: int
    mount_namespace: int
    terminal: int | None


def start_main(pause: int, root: RootFilesystem, program: Program, stdio: list[int]) -> Started:
    """Start a container's main process in a new mount namespace of the pod behind a pidfd.

    Raises:
        StartError: what failed in the new process.
        OSError: the pod could not be entered.
    """
    syscalls.setns(pause, sandbox.POD_NAMESPACES)
    return _spawn(program, stdio, root, None)


def start_beside(main: int, program: Program, stdio: list[int]) -> Started:
    """Start another process in the container of the main process behind a pidfd.

    Raises:
        StartError: what failed in the new process.
        OSError: the container could not be entered.
    """
    syscalls.setns(main, sandbox.CONTAINER_NAMESPACES)
    if not program.terminal:
        return _spawn(program, stdio, None, None)
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, syscalls.TIOCSPTLCK, struct.pack("i", 0))
    peer = fcntl.ioctl(master, syscalls.TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    return _spawn(program, [peer] * 3, None, master)


def _spawn(
    program: Program, stdio: list[int], root: RootFilesystem | None, terminal: int | None
) -> Started:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _become(program, stdio, root, writing)
    os.close(writing)
    with os.fdopen(reading) as answers:
        lines = [json.loads(line) for line in answers]
    failures = [line["failure"] for line in lines if "failure" in line]
    if failures:
        os.waitpid(pid, 0)
        raise StartError(failures[0])
    if not lines:
        os.waitpid(pid, 0)
        raise StartError("the process was killed while it started")
    return Started(pid, lines[0]["mount_namespace"], terminal)


def _become(
    program: Program, stdio: list[int], root: RootFilesystem | None, answers: int
) -> NoReturn:
    """Turn this fork into the program; `answers` closes at execve, or carries the failure."""
    who = program.credentials
    try:
        os.setsid()
        if root is not None:
            syscalls.unshare(syscalls.CLONE_NEWNS)
        inode = os.stat("/proc/thread-self/ns/mnt").st_ino
        os.write(answers, json.dumps({"mount_namespace": inode}).encode() + b"\n")
        if root is not None:
            rootfs.enter_root(root, who.uid, who.gid)
        _set_stdio(stdio, program.terminal, who)
        os.umask(0o022)
        _drop(who)
        _change_folder(program.working_directory)
        _reset_signals()
        _execute(program)
    finally:
        failure = str(sys.exc_info()[1])
        os.write(answers, json.dumps({"failure": failure}).encode() + b"\n")
        os._exit(128)


def _set_stdio(stdio: list[int], terminal: bool, who: Credentials) -> None:
    for number, descriptor in enumerate(stdio):
        os.dup2(descriptor, number)
        if who.uid != 0 and os.isatty(number):
            os.fchown(number, who.uid, -1)
    if who.uid != 0 and not terminal:
        # Otherwise opening /dev/stdout again, as many scripts do, would be refused.
        for number in (1, 2):
            os.fchown(number, who.uid, -1)
    if terminal:
        fcntl.ioctl(0, syscalls.TIOCSCTTY, 0)


def _drop(who: Credentials) -> None:
    kept = set(who.capabilities)
    for number in range(_LAST_CAPABILITY + 1):
        try:
            present = syscalls.has_bounding_capability(number)
        except OSError as error:
            if error.errno == errno.EINVAL:
                break  # beyond the last capability of this kernel
            raise
        if present and number not in kept:
            syscalls.drop_bounding_capability(number)
    if sorted(os.getgroups()) != sorted(who.groups) and _may_set_groups():
        os.setgroups(who.groups)
    os.setresgid(who.gid, who.gid, who.gid)
    os.setresuid(who.uid, who.uid, who.uid)
    if who.no_new_privileges:
        syscalls.set_no_new_privileges()


def _may_set_groups() -> bool:
    with open("/proc/self/setgroups", encoding="ascii") as setting:
        return setting.read().strip() == "allow"


def _change_folder(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        raise StartError(f"working directory {path}: {error.strerror}") from error


def _reset_signals() -> None:
    # An ignored signal stays ignored through execve; the launcher and Python ignore some.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _execute(program: Program) -> NoReturn:
    name = program.argv[0]
    if "/" in name:
        try:
            os.execve(name, program.argv, program.environment)  # noqa: S606 - the purpose
        except OSError as error:
            raise StartError(f'exec: "{name}": {(error.strerror or "").lower()}') from error
    for folder in program.environment.get("PATH", _DEFAULT_PATH).split(":"):
        # As container runtimes do: what cannot be executed is looked for further on.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            os.execve(f"{folder or '.'}/{name}", program.argv, program.environment)  # noqa: S606
    raise StartError(f'exec: "{name}": executable file not found in $PATH')
