"""The few Linux calls that the standard library does not have, as functions that raise OSError.

No policy lives here. It is loaded by the exec helper, so it imports next to nothing.
Sources: prctl(2), capset(2), setfsuid(2), capabilities(7).
"""

from __future__ import annotations

import ctypes
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_RLIMIT_CORE = 4
_CAPABILITY_VERSION_3 = 0x20080522
_KEEP = 0xFFFFFFFF  # an id that setfsuid refuses: it then only tells the present one

CAPABILITY_BITS = range(64)
SYS_CHROOT = 1 << 18


def _prctl(option: int, first: int, second: int = 0) -> None:
    arguments = (ctypes.c_ulong(value) for value in (first, second, 0, 0))
    if _libc.prctl(option, *arguments) < 0:
        raise _last_error("prctl")


def _last_error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this signal when the parent ends. Changing user ids clears it."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def hide_memory() -> None:
    """Close /proc/PID/{mem,root,environ} of this process to others: a game may be root too."""
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (child subreaper)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def forbid_new_privileges() -> None:
    """Make execve never give more privileges than the caller has."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_from_bounding_set(capability: int) -> None:
    """Take one capability out of the bounding set; needs CAP_SETPCAP."""
    _prctl(_PR_CAPBSET_DROP, capability)


def set_capabilities(mask: int, inheritable: int = 0) -> None:
    """Make `mask` the effective and permitted capabilities, and set the inheritable ones.

    Ambient capabilities that are not in both sets any more are gone with it.
    """
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    words = ((mask >> shift & 0xFFFFFFFF, inheritable >> shift & 0xFFFFFFFF) for shift in (0, 32))
    data = b"".join(struct.pack("3I", word, word, kept) for word, kept in words)
    if _libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(data)) < 0:
        raise _last_error("capset")


def keep_capabilities() -> None:
    """Keep the permitted capabilities when the user id stops being 0; until the next execve."""
    _prctl(_PR_SET_KEEPCAPS, 1)


def raise_ambient(capability: int) -> None:
    """Let programs that are executed have a capability; it must be permitted and inheritable."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def forbid_core_dumps() -> None:
    """Write no core file and start no core handler of the node when a program crashes."""
    limit = (ctypes.c_ulong * 2)(0, 0)
    if _libc.setrlimit(_RLIMIT_CORE, limit) < 0:
        raise _last_error("setrlimit")


def set_filesystem_ids(uid: int, gid: int) -> bool:
    """Use these ids for this thread's file access checks, /proc/PID too; True when it took effect.

    NB: the calls report no error, so the result is read back. Leaving uid 0 suspends the
    capabilities that override file permissions until it is 0 again.
    """
    _libc.setfsgid(ctypes.c_uint32(gid))
    _libc.setfsuid(ctypes.c_uint32(uid))
    now_uid = ctypes.c_uint32(_libc.setfsuid(ctypes.c_uint32(_KEEP))).value
    now_gid = ctypes.c_uint32(_libc.setfsgid(ctypes.c_uint32(_KEEP))).value
    return (now_uid, now_gid) == (uid, gid)
