"""System calls that Python 3.11 does not offer, by ctypes: namespaces, mounts, prctl.

Here: one function per call, which raises OSError with the name of what it acted on. Not here: any
decision. Not pure. Lean on purpose: the launcher imports it before it forks (see launcher.py).
Numbers are those of the kernel's uapi headers (linux/sched.h, linux/mount.h, linux/prctl.h).
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

TIOCSCTTY = 0x540E
TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441

_PR_SET_NAME = 15
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 0x1
# mount_setattr came after the unification of the tables: one number everywhere.
_NR_MOUNT_SETATTR = 442
_NR_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}.get(os.uname().machine, 217)

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    """`struct mount_attr` of linux/mount.h."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Move the caller (for PID: its next children) into new namespaces of the kinds in `flags`."""
    _check(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(descriptor: int, flags: int) -> None:
    """Join the namespaces of the kinds in `flags` of the process behind a pidfd."""
    _check(_libc.setns(descriptor, flags), f"setns({flags:#x})")


def sethostname(name: str) -> None:
    """Set the host name of the UTS namespace."""
    raw = name.encode()
    _check(_libc.sethostname(raw, len(raw)), f"sethostname({name})")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount `source` of file-system type `kind` on `target`."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), flags, options.encode()
    )
    _check(result, f"mount {kind or source} on {target}")


def detach(target: str) -> None:
    """Take the mount at `target` out of the tree now; it ends when nobody uses it."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def pivot_root_here() -> None:
    """Make the working directory the root; the old root lies on top of it until detached.

    Source: pivot_root(2), section "pivot_root(., .)": no directory for the old root is needed.
    """
    _check(_libc.syscall(_NR_PIVOT_ROOT, b".", b"."), "pivot_root")


def set_read_only(target: str, *, recursive: bool) -> None:
    """Make the mount at `target`, and the ones below it if `recursive`, read-only.

    A plain remount would change the top mount only; mount_setattr(2) exists since Linux 5.12.
    """
    attributes = _MountAttributes(attr_set=_MOUNT_ATTR_RDONLY)
    result = _libc.syscall(
        _NR_MOUNT_SETATTR,
        _AT_FDCWD,
        os.fsencode(target),
        _AT_RECURSIVE if recursive else 0,
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _check(result, f"mount_setattr {target}")


def _prctl(option: int, argument: int | bytes, what: str) -> int:
    value = argument if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    zero = ctypes.c_ulong(0)
    result = int(_libc.prctl(option, value, zero, zero, zero))
    _check(result, what)
    return result


def set_name(name: str) -> None:
    """Set the short name (comm, at most 15 bytes) of the process."""
    _prctl(_PR_SET_NAME, name.encode()[:15], "prctl(PR_SET_NAME)")


def become_subreaper() -> None:
    """Make orphaned descendants children of the caller instead of the host's init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, "prctl(PR_SET_CHILD_SUBREAPER)")


def set_no_new_privileges() -> None:
    """Make execve of set-uid programs and file capabilities gain nothing from here on."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, "prctl(PR_SET_NO_NEW_PRIVS)")


def has_bounding_capability(number: int) -> bool:
    """Return whether the capability is in the bounding set; OSError for an unknown number."""
    return _prctl(_PR_CAPBSET_READ, number, "prctl(PR_CAPBSET_READ)") == 1


def drop_bounding_capability(number: int) -> None:
    """Take a capability out of the bounding set, for this process and its descendants."""
    _prctl(_PR_CAPBSET_DROP, number, "prctl(PR_CAPBSET_DROP)")
