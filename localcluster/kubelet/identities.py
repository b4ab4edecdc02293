"""Which user and group ids exist inside a pod. Pure, except `read_caller`.

A caller with CAP_SETUID and CAP_SETGID may map every id that it has itself, so the pod's ids are
the caller's. Any other caller may map exactly one id, its own, which becomes 0 in the pod, and must
give up setgroups first. Source: user_namespaces(7), "Defining user and group ID mappings".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_CAP_SETGID = 6
_CAP_SETUID = 7


class IdRange(NamedTuple):
    """`length` ids from `inside` on are the caller's ids from `outside` on."""

    inside: int
    outside: int
    length: int


class Identities(NamedTuple):
    """The id maps of every pod of this kubelet.

    Args:
        uids: ranges for uid_map.
        gids: ranges for gid_map.
        setgroups: whether processes of a pod may set supplementary groups.
    """

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]
    setgroups: bool

    def has_uid(self, uid: int) -> bool:
        """Return whether `uid` exists inside the pods."""
        return any(r.inside <= uid < r.inside + r.length for r in self.uids)

    def has_gid(self, gid: int) -> bool:
        """Return whether `gid` exists inside the pods."""
        return any(r.inside <= gid < r.inside + r.length for r in self.gids)


class Caller(NamedTuple):
    """What the kernel says about the process that makes the sandboxes.

    Args:
        uid: effective user id.
        gid: effective group id.
        capabilities: bit mask of the effective capabilities.
        uid_map: text of /proc/self/uid_map.
        gid_map: text of /proc/self/gid_map.
        setgroups: text of /proc/self/setgroups.
    """

    uid: int
    gid: int
    capabilities: int
    uid_map: str
    gid_map: str
    setgroups: str


def read_caller() -> Caller:
    """Return what the kernel says about this process."""
    proc = Path("/proc/self")
    status = dict(
        line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
    )
    return Caller(
        uid=os.geteuid(),
        gid=os.getegid(),
        capabilities=int(status["CapEff"], 16),
        uid_map=(proc / "uid_map").read_text(),
        gid_map=(proc / "gid_map").read_text(),
        setgroups=(proc / "setgroups").read_text().strip(),
    )


def decide_identities(caller: Caller) -> Identities:
    """Return the id maps that `caller` may give to a new user namespace."""
    needed = 1 << _CAP_SETUID | 1 << _CAP_SETGID
    if caller.capabilities & needed == needed:
        return Identities(
            _same_ids(caller.uid_map), _same_ids(caller.gid_map), caller.setgroups == "allow"
        )
    return Identities((IdRange(0, caller.uid, 1),), (IdRange(0, caller.gid, 1),), setgroups=False)


def _same_ids(text: str) -> tuple[IdRange, ...]:
    rows = [[int(word) for word in line.split()] for line in text.splitlines()]
    return tuple(IdRange(inside, inside, length) for inside, _, length in rows)


def render_map(ranges: tuple[IdRange, ...]) -> str:
    """Return the text that the kernel wants in uid_map or gid_map."""
    return "".join(f"{r.inside} {r.outside} {r.length}\n" for r in ranges)
