"""Containers of our images, by runc, configured as a kubelet does it from a securityContext.

Not here: pods of this machine's own programs (runc_pod.py), the configuration (oci_bundle.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.clock import monotonic_seconds
from tests.support.oci_bundle import Process, Security, bind, configuration
from tests.support.tools import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Container:
    """What to run, in the words of a pod.

    Attributes:
        mounts: path in the container -> path on this machine; read-only.
        pid_namespace: path of a PID namespace to join; empty for one of its own.
    """

    root: Path
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    mounts: Mapping[str, Path] = field(default_factory=dict)
    working_directory: str = "/"
    pid_namespace: str = ""


def require_runc() -> None:
    """Skip the test, or fail it under REQUIRE_ALL=1, without what these containers need."""
    require("runc", "runc")
    if os.geteuid() != 0:
        require("no-such-root-user", "none: run as root")


@dataclass(frozen=True)
class Running:
    """A container that was started."""

    process: subprocess.Popen[bytes]
    pid_file: Path

    def wait(self, seconds: float) -> int:
        """Return its exit code."""
        return self.process.wait(seconds)

    def pid(self, seconds: float = 60) -> int:
        """Return the process id of its main process on this machine, once there is one."""
        deadline = monotonic_seconds() + seconds
        while not (self.pid_file.exists() and self.pid_file.read_text()):
            assert self.process.poll() is None, "it ended before it ran"
            assert monotonic_seconds() < deadline
            time.sleep(0.01)
        return int(self.pid_file.read_text())


@contextmanager
def running(container: Container, folder: Path) -> Iterator[Running]:
    """Run a container until the block ends; its output goes to `folder`/output.txt."""
    name = f"gamekeeper-{uuid.uuid4().hex[:8]}"
    bundle = folder / name
    bundle.mkdir(parents=True)
    program = Process(
        container.arguments,
        container.environment,
        container.working_directory,
        container.pid_namespace,
    )
    binds = [bind(source, target) for target, source in container.mounts.items()]
    security = Security.of_context(container.context)
    document = configuration(container.root, program, security, binds)
    (bundle / "config.json").write_text(json.dumps(document))
    state = ("runc", "--root", str(folder / "runc"))
    pid_file = bundle / "pid"
    with ExitStack() as stack, (folder / "output.txt").open("ab") as output:
        process = subprocess.Popen(
            [*state, "run", "--pid-file", str(pid_file), "--bundle", str(bundle), name],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

        def end() -> None:
            subprocess.run([*state, "delete", "--force", name], capture_output=True, check=False)
            process.wait(60)

        stack.callback(end)
        yield Running(process, pid_file)
