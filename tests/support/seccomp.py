"""A seccomp profile for containers of tests: what `RuntimeDefault` denies, as an OCI document.

The runtimes ship an allow-list of some 350 names; no Debian package has it. Tests need only its
other side, so here everything is allowed but what that list leaves out. Capabilities open some
calls again, as they do there. Sources: docs.docker.com/engine/security/seccomp (table of the calls
that are blocked and why), containerd's contrib/seccomp/seccomp_default.go (which capability opens
what; clone3 answers ENOSYS, so that libraries fall back to clone, whose flags can be checked).
"""

from __future__ import annotations

import errno
import platform
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

_ALWAYS_DENIED = (
    "_sysctl add_key create_module get_kernel_syms io_uring_enter io_uring_register io_uring_setup"
    " keyctl kexec_file_load move_pages nfsservctl pivot_root query_module request_key swapoff"
    " swapon sysfs userfaultfd ustat uselib vm86 vm86old"
)
_DENIED_WITHOUT = {
    "BPF": "bpf",
    "DAC_READ_SEARCH": "open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYS_ADMIN": (
        "fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree"
        " quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"
    ),
    "SYS_BOOT": "kexec_load reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev",
    "SYS_RAWIO": "iopl ioperm",
    "SYS_TIME": "clock_adjtime clock_settime settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
}
# CLONE_NEWTIME is no flag of clone; NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
_NAMESPACE_FLAGS = (
    0x00020000,
    0x02000000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}


def runtime_default(capabilities: Collection[str]) -> dict[str, Any]:
    """Return `linux.seccomp` of an OCI runtime configuration.

    Args:
        capabilities: of the container, without `CAP_`.
    """
    names = _ALWAYS_DENIED.split()
    for capability, calls in _DENIED_WITHOUT.items():
        if capability not in capabilities:
            names += calls.split()
    rules: list[dict[str, Any]] = [_deny(sorted(names), errno.EPERM)]
    if "SYS_ADMIN" not in capabilities:
        rules.append(_deny(["clone3"], errno.ENOSYS))
        for flag in _NAMESPACE_FLAGS:
            has_flag = {"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}
            rules.append({**_deny(["clone"], errno.EPERM), "args": [has_flag]})
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": _ARCHITECTURES[platform.machine()],
        "syscalls": rules,
    }


def _deny(names: list[str], error: int) -> dict[str, Any]:
    return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": error}
