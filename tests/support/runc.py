"""Containers by runc, configured as a kubelet does it from a securityContext.

Source: the OCI runtime specification; the default capabilities and the seccomp profile are those of
containerd and of the package golang-github-containers-common.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.clock import monotonic_seconds
from tests.support.tools import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SECCOMP = Path("/usr/share/containers/seccomp.json")
# What containerd gives to a container that says nothing.
DEFAULT_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID"),
    *("SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
)


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
    if not SECCOMP.exists():
        require("no-such-seccomp-profile", "golang-github-containers-common")
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
    (bundle / "config.json").write_text(json.dumps(_specification(container)))
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
            process.wait(10)

        stack.callback(end)
        yield Running(process, pid_file)


def _specification(container: Container) -> dict[str, Any]:
    context = container.context
    user = context.get("runAsUser", 0)
    capabilities = _capabilities(context.get("capabilities") or {})
    # The kernel clears what a user other than root would have; a kubelet sets no ambient ones.
    held = [f"CAP_{name}" for name in capabilities]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(container.root), "readonly": True},
        "process": {
            "terminal": False,
            "user": {"uid": user, "gid": context.get("runAsGroup", user)},
            "args": list(container.arguments),
            "env": [f"{name}={value}" for name, value in container.environment.items()],
            "cwd": container.working_directory,
            "capabilities": {
                "bounding": held,
                "effective": held if user == 0 else [],
                "permitted": held if user == 0 else [],
            },
            "noNewPrivileges": not context.get("allowPrivilegeEscalation", True),
        },
        "mounts": _mounts(container.mounts),
        "linux": {
            "namespaces": [
                {
                    "type": "pid",
                    **({"path": container.pid_namespace} if container.pid_namespace else {}),
                },
                *({"type": kind} for kind in ("mount", "ipc", "uts")),
            ],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
            "seccomp": _seccomp(set(held)),
        },
    }


def _capabilities(wanted: Mapping[str, Sequence[str]]) -> list[str]:
    dropped = set(wanted.get("drop", ()))
    kept = [] if "ALL" in dropped else [c for c in DEFAULT_CAPABILITIES if c not in dropped]
    return [*kept, *(name for name in wanted.get("add", ()) if name not in kept)]


def _mounts(binds: Mapping[str, Path]) -> list[dict[str, Any]]:
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
        *(
            {
                "destination": target,
                "type": "bind",
                "source": str(source),
                "options": ["bind", "ro"],
            }
            for target, source in binds.items()
        ),
    ]


def _seccomp(held: set[str]) -> dict[str, Any]:
    """Return the profile for a container with these capabilities."""
    profile = json.loads(SECCOMP.read_text())
    rules = []
    for rule in profile["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if not set(includes.get("caps") or ()) <= held or set(excludes.get("caps") or ()) & held:
            continue
        if "arches" in includes and "amd64" not in includes["arches"]:
            continue
        kept = ("names", "action", "args", "errnoRet")
        rules.append({name: rule[name] for name in kept if rule.get(name)})
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    }
