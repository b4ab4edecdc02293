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
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_KEEP = 0xFFFFFFFF  # an id that setfsuid refuses: it then only tells the present one

CAPABILITY_BITS = range(64)


def _prctl(option: int, argument: int) -> None:
    unused = ctypes.c_ulong(0)
    if _libc.prctl(option, ctypes.c_ulong(argument), unused, unused, unused) < 0:
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


def set_capabilities(mask: int) -> None:
    """Make `mask` the effective and permitted capabilities and empty the inheritable ones."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = struct.pack("6I", low, low, 0, high, high, 0)
    if _libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(data)) < 0:
        raise _last_error("capset")


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
