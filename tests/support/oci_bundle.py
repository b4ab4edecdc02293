"""The configuration of a container as kubelet and containerd write it for runc. Pure, but for one.

Here: what a security context means, the capabilities, the mounts that every container has. Not
here: running it (runc.py an image's container, runc_pod.py a pod of them).
Sources: the OCI runtime specification (github.com/opencontainers/runtime-spec, config.md and
config-linux.md); containerd's pkg/cri/opts (masked paths, default capabilities).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.seccomp import runtime_default

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# By their bits, see capabilities(7) and linux/capability.h.
_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
# containerd's and Docker's default, which Kubernetes calls the runtime's.
DEFAULT_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
        *("NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)

_MASKED_PATHS = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
]
_READ_ONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def capability_names(mask: int) -> frozenset[str]:
    """Return the capabilities of a bit mask, as the kernel shows it in hexadecimal."""
    return frozenset(name for bit, name in enumerate(_CAPABILITIES) if mask >> bit & 1)


def own_capabilities() -> frozenset[str]:
    """Return what this process can give away: on most machines all there are."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("CapBnd:")]
    return capability_names(int(line.split()[1], 16))


@dataclass(frozen=True)
class Security:
    """What a container's security context says.

    Attributes:
        uid, gid, groups: of its main process.
        capabilities: without `CAP_`; a process of another user than root has none of them.
        seccomp: RuntimeDefault instead of Unconfined.
        no_new_privileges: allowPrivilegeEscalation: false.
        read_only: readOnlyRootFilesystem.
    """

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    capabilities: frozenset[str] = DEFAULT_CAPABILITIES
    seccomp: bool = True
    no_new_privileges: bool = False
    read_only: bool = False

    @classmethod
    def of_context(cls, context: Mapping[str, Any]) -> Security:
        """Return what a securityContext of a pod means; its group is its user's unless it says."""
        uid = context.get("runAsUser", 0)
        changes = context.get("capabilities") or {}
        dropped = set(changes.get("drop", ()))
        kept = frozenset() if "ALL" in dropped else DEFAULT_CAPABILITIES - dropped
        return cls(
            uid=uid,
            gid=context.get("runAsGroup", uid),
            capabilities=kept | set(changes.get("add", ())),
            seccomp=(context.get("seccompProfile") or {}).get("type") == "RuntimeDefault",
            no_new_privileges=not context.get("allowPrivilegeEscalation", True),
            read_only=context.get("readOnlyRootFilesystem", False),
        )


@dataclass(frozen=True)
class Process:
    """What a container runs.

    Attributes:
        pid_namespace: path of a PID namespace to join; empty for one of its own.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    working_directory: str
    pid_namespace: str = ""


def configuration(
    root: Path, process: Process, security: Security, mounts: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return a bundle's config.json.

    Args:
        root: the root file system.
        process: what runs in it.
        security: what that may do.
        mounts: beside those that every container has.
    """
    namespace = {"path": process.pid_namespace} if process.pid_namespace else {}
    return {
        "ociVersion": "1.0.2",
        "hostname": "game-0",
        "root": {"path": str(root), "readonly": security.read_only},
        "process": {
            "args": list(process.arguments),
            "cwd": process.working_directory,
            "env": [f"{name}={value}" for name, value in process.environment.items()],
            **_privileges(security),
        },
        "mounts": [*_SYSTEM_MOUNTS, *mounts],
        "linux": {
            # The network is the machine's: the agent's reports go to a server of the test.
            "namespaces": [
                {"type": "pid", **namespace},
                *({"type": kind} for kind in ("mount", "ipc", "uts")),
            ],
            "maskedPaths": _MASKED_PATHS,
            "readonlyPaths": _READ_ONLY_PATHS,
            **({"seccomp": runtime_default(security.capabilities)} if security.seccomp else {}),
        },
    }


def bind(source: Path, destination: str, mode: str = "ro") -> dict[str, Any]:
    """Return a mount of a file or folder of this machine; mode is `ro` or `rw`."""
    options = ["rbind", "rprivate", mode]
    return {"destination": destination, "type": "bind", "source": str(source), "options": options}


_SYSTEM_MOUNTS: list[dict[str, Any]] = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    },
]


def _privileges(security: Security) -> dict[str, Any]:
    names = sorted(f"CAP_{name}" for name in security.capabilities)
    return {
        "user": {
            "uid": security.uid,
            "gid": security.gid,
            "additionalGids": list(security.groups),
        },
        # The kernel clears what a user other than root would have; a kubelet sets no ambient ones.
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), names),
        "noNewPrivileges": security.no_new_privileges,
    }
