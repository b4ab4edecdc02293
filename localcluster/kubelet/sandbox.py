"""A pod's sandbox: its namespaces and its pause process. Not pure; lean; single-threaded callers.

Theory. A user namespace comes first: its maker has every capability inside, which is what the other
namespaces need. The PID namespace lives as long as its first process, pause: when that ends, the
kernel kills all others. Pause blocks on the *lifeline*, a pipe whose write end only the launcher
holds; the launcher in turn ends when its socket to the kubelet does. So a kill -9 of either ends
every pod, and the mounts go with the processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

from localcluster.kubelet import rootfs, syscalls
from localcluster.kubelet.identities import Identities, render_map
from localcluster.kubelet.title import TitleArea, set_title

POD_NAMESPACES = (
    syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC
)
CONTAINER_NAMESPACES = POD_NAMESPACES | syscalls.CLONE_NEWNS
PAUSE = "pause"


class SandboxError(Exception):
    """The sandbox could not be made; the message names the step."""


class Sandbox(NamedTuple):
    """A pod's namespaces, as the launcher holds them.

    Args:
        pid: of the pause process, in the launcher's PID namespace.
        pidfd: of the pause process; names its namespaces.
        lifeline: write end of the pipe that keeps the pod alive.
    """

    pid: int
    pidfd: int
    lifeline: int


class SandboxSetup(NamedTuple):
    """What every sandbox of one launcher has in common.

    Args:
        identities: the id maps.
        title: where this process's command line lies.
    """

    identities: Identities
    title: TitleArea


def create_sandbox(hostname: str, mount_point: str, setup: SandboxSetup) -> Sandbox:
    """Make the namespaces of a pod with a pause process in them, a child of this subreaper.

    Args:
        hostname: of the pod.
        mount_point: an empty host folder; used in the new mount namespace only.
        setup: what all sandboxes share.

    Raises:
        SandboxError: a step failed in the new process; nothing is left behind.
        OSError: a step failed in this process; nothing is left behind.
    """
    lifeline_read, lifeline_write = os.pipe()
    answers_read, answers_write = os.pipe()  # child -> us
    go_read, go_write = os.pipe()  # us -> child
    maker = os.fork()
    if maker == 0:
        os.close(lifeline_write)
        os.close(go_write)
        os.close(answers_read)
        pause = _Pause(mount_point, setup.title, answers_write, lifeline_read)
        _make_namespaces(hostname, pause, go_read)
    for descriptor in (lifeline_read, answers_write, go_read):
        os.close(descriptor)
    try:
        answers = _Answers(answers_read)
        answers.wait_for("user")
        _write_maps(maker, setup.identities)
        os.write(go_write, b".")
        pid = int(answers.wait_for("pid"))
        answers.wait_for("ready")
        return Sandbox(pid, os.pidfd_open(pid), lifeline_write)
    except (OSError, SandboxError):
        os.close(lifeline_write)
        raise
    finally:
        os.close(answers_read)
        os.close(go_write)
        os.waitpid(maker, 0)


class _Answers:
    """The lines `WORD REST` that the maker and pause write, in whatever order they come."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen: dict[str, str] = {}

    def wait_for(self, word: str) -> str:
        """Return the rest of the line that begins with `word`.

        Raises:
            SandboxError: a line `failure` came first, or the writers ended.
        """
        while word not in self._seen:
            said, _, rest = self._line().partition(" ")
            if said == "failure":
                raise SandboxError(rest)
            self._seen[said] = rest
        return self._seen[word]

    def _line(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._descriptor, 1)
            if not byte:
                raise SandboxError("the new process was killed while it made the sandbox")
            line += byte
        return line.decode().rstrip("\n")


def _write_maps(pid: int, identities: Identities) -> None:
    # Written from outside: only a process of the parent namespace may map more than one id.
    proc = Path(f"/proc/{pid}")
    if not identities.setgroups:
        # Already denied in an enclosing namespace is as good.
        with contextlib.suppress(PermissionError):
            (proc / "setgroups").write_text("deny")
    (proc / "uid_map").write_text(render_map(identities.uids))
    (proc / "gid_map").write_text(render_map(identities.gids))


class _Pause(NamedTuple):
    """What the pause process needs; `answers` is shared with its maker."""

    mount_point: str
    title: TitleArea
    answers: int
    lifeline: int


def _make_namespaces(hostname: str, pause: _Pause, go: int) -> NoReturn:
    """Be the short-lived maker: unshare, wait for the id maps, fork pause, exit."""
    answers = pause.answers
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(answers, b"user\n")
        if os.read(go, 1):
            os.setgid(0)
            os.setuid(0)
            syscalls.unshare(POD_NAMESPACES & ~syscalls.CLONE_NEWUSER)
            syscalls.sethostname(hostname)
            pid = os.fork()
            if pid == 0:
                _be_pause(pause)
            os.write(answers, f"pid {pid}\n".encode())
    finally:
        _tell_failure(answers)
        os._exit(0)


def _be_pause(pause: _Pause) -> NoReturn:
    """Be PID 1 of the pod until the lifeline ends."""
    answers, lifeline = pause.answers, pause.lifeline
    try:
        # The kernel reaps for a parent that ignores SIGCHLD: no zombie, no loop.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.setsid()
        set_title(pause.title, PAUSE)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        _keep_only(lifeline, answers)
        rootfs.enter_empty_root(pause.mount_point)
        os.write(answers, b"ready\n")
        os.close(answers)
        while os.read(lifeline, 1):
            pass
    finally:
        _tell_failure(answers)
        os._exit(0)


def _keep_only(*kept: int) -> None:
    # A copy of another pod's lifeline here would keep that pod alive.
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    limit = 3
    for descriptor in sorted(kept):
        os.closerange(limit, descriptor)
        limit = descriptor + 1
    os.closerange(limit, os.sysconf("SC_OPEN_MAX"))


def _tell_failure(answers: int) -> None:
    failure = sys.exc_info()[1]
    if failure is not None:
        # Nobody may listen any more; then there is nobody to tell.
        with contextlib.suppress(OSError):
            os.write(answers, f"failure {' '.join(str(failure).split())}\n".encode())
