"""A pod for tests: real namespaces, a pause process, containers with their own root folders.

Built with util-linux only. The pod has one PID namespace (and, without root, one user namespace
with a single id); every container has its own mount namespace and root directory, kubelet's
termination log is bind-mounted from `.../pods/UID/containers/NAME/HEX`, and main processes have no
parent inside (PPid 0), because they enter the namespaces from outside, as with a container runtime.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.tools import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

POD_UID = "0a1b2c3d-0000-4000-8000-000000000001"
REPOSITORY = Path(__file__).parents[2]
UNPRIVILEGED_UID = 1000

# Shells as PID 1 reap what is reparented to them while they wait.
_PAUSE = "echo ready; sleep infinity & wait"

# Makes a root directory: the system's programs, an /etc and a /data of its own, /proc, some of
# /dev, and the termination log. $1 = directory, $2 = log file, $3 = /data's content; the rest is
# the main process.
_CONTAINER = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/usr" "$1/etc" "$1/proc" "$1/dev" "$1/data" "$1/tmp"
chmod 1777 "$1/tmp"
mount --rbind /usr "$1/usr"
for name in bin sbin lib lib64; do [ ! -L "/$name" ] || cp -P "/$name" "$1/$name"; done
mount --rbind /proc "$1/proc"
touch "$1/dev/null" "$1/dev/zero" "$1/dev/termination-log"
mount --bind /dev/null "$1/dev/null"
mount --bind /dev/zero "$1/dev/zero"
[ -z "$2" ] || mount --bind "$2" "$1/dev/termination-log"
mount --bind "$3" "$1/data"
root=$1
shift 3
exec chroot "$root" "$@"
"""


class Privilege(Enum):
    """Who runs the pod: real root, or an ordinary user in a user namespace with a single id."""

    ROOT = "root"
    UNPRIVILEGED = "uid 1000"


@dataclass
class Container:
    """A running container: its main process as seen from outside and from inside the pod."""

    name: str
    host_pid: int
    pid: int
    data: Path
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """End the main process and wait until it is gone."""
        os.kill(self.host_pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class PodSandbox:
    """A pod under a folder that is readable for everybody."""

    folder: Path
    privilege: Privilege
    pause: int
    containers: list[Container] = field(default_factory=list)

    def enter_command(self) -> list[str]:
        """Return the command prefix that runs a program in the pod, as its agent is: PPid 0."""
        namespaces = ["--target", str(self.pause), "--pid", "--mount"]
        if self.privilege is Privilege.ROOT:
            return ["nsenter", *namespaces, "--"]
        # Who creates a user namespace may enter it; root of the machine would enter as somebody
        # else.
        return [*_drop_root(), "nsenter", *namespaces, "--user", "--preserve-credentials", "--"]

    def start_container(
        self,
        name: str,
        *,
        environment: Mapping[str, str] | None = None,
        become: Sequence[str] = (),
        working_directory: str = "/data",
        main: str = "exec sleep infinity",
        files: Mapping[str, str] | None = None,
        termination_log: bool = True,
    ) -> Container:
        """Start a container; its main process runs already when this returns.

        Args:
            name: as in the pod template.
            environment: of the main process; PATH is added when absent.
            become: options of setpriv: the user, groups and capabilities of the main process.
            working_directory: of the main process.
            main: shell text that the main process goes on with.
            files: executable files of /data by name.
            termination_log: mount it; without it the container cannot be told by its mounts.
        """
        home = self.folder / "pods" / POD_UID / "containers" / name
        number = f"{len(self.containers):08x}"
        root, log, data = home / f"root-{number}", home / number, home / f"data-{number}"
        for path in (root, data):
            path.mkdir(parents=True)
        log.touch()
        for file_name, text in (files or {}).items():
            (data / file_name).write_text(text)
            (data / file_name).chmod(0o755)
        _give(self.privilege, home, root, log, data)
        variables = {"PATH": "/usr/bin:/bin", **(environment or {})}
        command = [
            *self.enter_command(),
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", _CONTAINER, "sh"),
            *(str(root), str(log) if termination_log else "", str(data)),
            *(["setpriv", *become] if become else []),
            *("env", "-i", f"--chdir={working_directory}"),
            *(f"{key}={value}" for key, value in variables.items()),
            *("sh", "-c", f"echo ready; {main}"),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        _await_ready(process)
        host_pid = _only_child(process.pid)
        container = Container(name, host_pid, _pid_inside(host_pid), data, process)
        self.containers.append(container)
        return container

    def run(self, *command: str, timeout: float = 60) -> str:
        """Return the output of a program run in the pod, outside of its containers."""
        done = subprocess.run(
            [*self.enter_command(), *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=True,
        )
        return done.stdout

    def processes(self) -> list[str]:
        """Return the command lines of all processes in the pod; zombies are marked by ps."""
        lines = self.run("ps", "-eo", "ppid,args").splitlines()[1:]
        return [line.split(None, 1)[1] for line in lines if "ps -eo" not in line]


@contextmanager
def pod_sandbox(privilege: Privilege) -> Iterator[PodSandbox]:
    """Run a pod until the block ends; then kill everything in it."""
    for program in ("unshare", "nsenter", "setpriv"):
        require(program, "util-linux")
    require("ps", "procps")
    if os.geteuid() != 0 and privilege is Privilege.ROOT:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory(prefix="gamekeeper-pod-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        command = _pause_command(privilege, folder)
        pause = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        sandbox = PodSandbox(folder, privilege, 0)
        try:
            _await_ready(pause)
            # The shell that exposes the interpreter and setpriv exec: only unshare forks.
            sandbox.pause = _only_child(pause.pid)
            yield sandbox
        finally:
            pause.kill()  # --kill-child: the end of PID 1 ends every process of the namespace
            pause.communicate()
            for container in sandbox.containers:
                container.process.communicate()


def _pause_command(privilege: Privilege, folder: Path) -> list[str]:
    unshare = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]
    if privilege is Privilege.ROOT:
        return [*unshare, "sh", "-c", _PAUSE]
    command = [*_drop_root(), *unshare, "--user", "--map-root-user", "sh", "-c", _PAUSE]
    paths = [Path(sys.base_prefix), Path(sys.prefix), REPOSITORY]
    expose = _expose_to_everybody(paths, folder)
    if os.geteuid() != 0 or not expose:
        return command
    script = f"set -e\n{expose}\nexec {shlex.join(command)}"
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


def _drop_root() -> list[str]:
    if os.geteuid() != 0:
        return []
    uid = str(UNPRIVILEGED_UID)
    return ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"]


def _give(privilege: Privilege, home: Path, *paths: Path) -> None:
    if privilege is Privilege.UNPRIVILEGED and os.geteuid() == 0:
        for path in (home, *paths):
            os.chown(path, UNPRIVILEGED_UID, UNPRIVILEGED_UID)


def _expose_to_everybody(paths: Sequence[Path], folder: Path) -> str:
    """Return shell text that makes paths reachable where a folder above them is closed (/root).

    In a mount namespace of its own, each closed folder is replaced by an empty one that holds the
    way to the path and nothing else; the places where those are mounted are made in `folder`.
    """
    lines = []
    for number, path in enumerate(paths):
        closed = [folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001]
        if not closed:
            continue
        inside = path.relative_to(closed[0])
        lines += [
            f'copy={shlex.quote(str(folder))}/open-{number}; mkdir "$copy"',
            'mount -t tmpfs -o mode=755 tmpfs "$copy"',
            f'mkdir -p "$copy"/{shlex.quote(str(inside))}',
            f'mount --bind {shlex.quote(str(path))} "$copy"/{shlex.quote(str(inside))}',
            f'mount --rbind "$copy" {shlex.quote(str(closed[0]))}',
        ]
    return "\n".join(lines)


def _await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", f"{process.args!r} did not start: {line!r}"


def _only_child(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def _pid_inside(host_pid: int) -> int:
    lines = Path(f"/proc/{host_pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("NSpid:")]
    return int(line.split()[-1])
