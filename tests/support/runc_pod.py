"""A pod of real containers for tests: runc from Debian, configured as kubelet and containerd do.

Not here: containers of our images (runc.py), the configuration of each (oci_bundle.py).

All containers share one PID namespace (`shareProcessNamespace`): that of a pause process, or, where
a platform has none, that of the first container, whose main process is then PID 1. Each has a root
file system of its own, capabilities, no_new_privs, masked paths and a seccomp profile; kubelet's
termination log is bind-mounted from `.../pods/UID/containers/NAME/HEX`. Nothing is pulled: root
file systems hold this machine's /usr, read-only.
Source: kubernetes.io/docs/tasks/configure-pod-container/share-process-namespace.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from shared.clock import monotonic_seconds
from tests.support.oci_bundle import Process, Security, bind, configuration
from tests.support.tools import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

REPOSITORY = Path(__file__).parents[2]
PYTHON = (Path(sys.base_prefix), Path(sys.prefix))  # what the interpreter of the tests needs
_ROOT = Security()
START_SECONDS = 60.0


@dataclass
class RuncContainer:
    """A running container; `runc` is its parent, which reaps it and removes its traces."""

    name: str
    host_pid: int
    data: Path
    runc: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End the main process and wait until it is gone; it may be gone already."""
        if self.runc.poll() is None:
            # Our child still holds the process, so its pid cannot be another's by now.
            os.kill(self.host_pid, signal.SIGKILL)
        self.runc.wait(START_SECONDS)


@dataclass
class RuncPod:
    """A pod under a folder; `shared` is the process whose PID namespace its containers join."""

    folder: Path
    stack: ExitStack
    uid: str
    shared: int | None = None
    containers: list[RuncContainer] = field(default_factory=list)

    def start(
        self,
        name: str,
        *args: str,
        security: Security = _ROOT,
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        mounts: Sequence[Path] = (),
        becomes: str = "",
    ) -> RuncContainer:
        """Start a container in the background; its main program runs already when this returns.

        Args:
            name: as in the pod template.
            args: the main program and its arguments; `sleep infinity` when absent.
            security: its security context.
            environment: further variables.
            files: executable files of its working directory /data, by name.
            mounts: paths that it sees, read-only, as they are here.
            becomes: the name (of prctl) that says that the program is ready; without one it is
                ready when it runs.
        """
        command = args or ("sleep", "infinity")
        identity, bundle = self._bundle(name, command, security, environment or {}, mounts)
        data = bundle / "data"
        for file_name, text in (files or {}).items():
            (data / file_name).write_text(text)
            (data / file_name).chmod(0o755)
        pid_file, log_file = bundle / "pid", bundle / "log"
        with log_file.open("wb") as log:
            runc = subprocess.Popen(
                [*self._runc(bundle), "--pid-file", str(pid_file), identity],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.stack.callback(runc.wait, START_SECONDS)
        _until(lambda: _is_written(pid_file) or runc.poll() is not None, f"{name} does not start")
        assert runc.poll() is None, log_file.read_text()
        container = RuncContainer(name, int(pid_file.read_text()), data, runc)
        self.stack.callback(container.kill)
        program = becomes or os.path.basename(command[0])[:15]
        comm = Path(f"/proc/{container.host_pid}/comm")
        _until(lambda: comm.read_text().strip() == program, f"{program} does not start")
        self.shared = self.shared or container.host_pid
        self.containers.append(container)
        return container

    def foreground(
        self,
        name: str,
        *args: str,
        security: Security,
        environment: Mapping[str, str] | None = None,
        mounts: Sequence[Path] = (),
    ) -> list[str]:
        """Return a command that runs a container with this Python; it ends with its program.

        Args:
            name: as in the pod template.
            args: of the interpreter.
            security: its security context.
            environment: further variables.
            mounts: further paths that it sees, read-only, as they are here.
        """
        paths = [*PYTHON, REPOSITORY, *mounts]
        variables = {"PYTHONPATH": str(REPOSITORY), **(environment or {})}
        command = (sys.executable, *args)
        identity, bundle = self._bundle(name, command, security, variables, paths)
        return [*self._runc(bundle), identity]

    def run_agent(
        self, *args: str, security: Security, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run this Python in a container of the pod, as its agent would be, until it ends."""
        command = self.foreground("gamekeeper-agent", *args, security=security)
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=90, check=False
        )

    def _runc(self, bundle: Path) -> list[str]:
        # Cgroups that may not be written are ignored: limits are not what is tested.
        options = ["--rootless", "true", "--root", str(self.folder / "state")]
        return ["runc", *options, "run", "--bundle", str(bundle)]

    def _bundle(
        self,
        name: str,
        args: Sequence[str],
        security: Security,
        environment: Mapping[str, str],
        mounts: Sequence[Path],
    ) -> tuple[str, Path]:
        """Write the bundle of a container: root file system and configuration."""
        home = self.folder / "pods" / self.uid / "containers" / name
        number = uuid4().hex[:8]
        identity = f"{self.folder.name}-{name}-{number}"
        bundle, log = home / f"bundle-{number}", home / number
        root = bundle / "rootfs"
        for folder in ("usr", "proc", "dev", "sys", "etc", "data", "tmp"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "tmp").chmod(0o1777)
        for link in ("bin", "sbin", "lib", "lib64"):
            if Path("/", link).is_symlink():
                (root / link).symlink_to(Path("/", link).readlink())
        (bundle / "data").mkdir()
        os.chown(bundle / "data", security.uid, security.gid)
        log.touch()
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", **environment}
        process = Process(args, variables, "/data", self._pid_namespace())
        binds = [
            bind(log, "/dev/termination-log", "rw"),
            bind(bundle / "data", "/data", "rw"),
            *(bind(path, str(path)) for path in (Path("/usr"), *mounts)),
        ]
        document = configuration(root, process, security, binds)
        document["linux"]["cgroupsPath"] = f"/{identity}"
        (bundle / "config.json").write_text(json.dumps(document))
        return identity, bundle

    def _pid_namespace(self) -> str:
        return "" if self.shared is None else f"/proc/{self.shared}/ns/pid"


@contextmanager
def runc_pod(uid: str, *, pause: bool) -> Iterator[RuncPod]:
    """Run a pod until the block ends; then kill everything in it.

    Args:
        uid: of the pod.
        pause: whether a pause process is PID 1; otherwise the first container's main process.
    """
    require("runc", "runc")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with (
        tempfile.TemporaryDirectory(prefix="gamekeeper-runc-") as name,
        ExitStack() as stack,  # ends first: containers before their files
    ):
        folder = Path(name)
        folder.chmod(0o755)
        pod = RuncPod(folder, stack, uid)
        if pause:
            # The real one runs as 65535 and has no capability.
            nobody = Security(65535, 65535, capabilities=frozenset())
            pod.start("pause", security=nobody)
        yield pod


def _is_written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _until(condition: Callable[[], bool], complaint: str) -> None:
    deadline = monotonic_seconds() + START_SECONDS
    while not condition():
        assert monotonic_seconds() < deadline, complaint
        select.select([], [], [], 0.005)
