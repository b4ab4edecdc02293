"""Finds, kills and reaps what is below the calling process.

Loaded by the exec helper, so it imports next to nothing.

`proc` is always a descriptor of /proc, because a nanny has another root directory by then.
/proc/PID/task/TID/children would be shorter than a look at every process, but is a kernel option.
"""

from __future__ import annotations

import os
import signal


def children(proc: int) -> list[int]:
    """Return the pids of the children of this process."""
    return _by_parent(proc).get(os.getpid(), [])


def descendants(proc: int) -> list[int]:
    """Return the pids below this process, parents before their children."""
    by_parent = _by_parent(proc)
    found: list[int] = []
    pending = [os.getpid()]
    while pending:
        below = by_parent.get(pending.pop(), [])
        found += below
        pending += below
    return found


def kill_descendants(proc: int) -> None:
    """Send SIGKILL to everything below this process.

    Whole process groups first: the kernel lets no fork slip in between its members, whereas a
    program that forks faster than we can look would outrun kills of single processes. A group
    never reaches beyond our session's descendants, this process's own group apart.
    """
    pids = descendants(proc)
    groups = {group for group in map(_group, pids) if group not in (None, os.getpgid(0))}
    for group in groups:
        if group is not None:
            kill(-group)
    for pid in pids:
        kill(pid)


def kill(pid: int) -> None:
    """Send SIGKILL if that is possible; a negative pid is a process group."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # gone already, or a set-uid program: it is reaped when it ends by itself


def reap() -> dict[int, int] | None:
    """Collect every child that has ended: wait statuses by pid. None when there is no child."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended or None
        if pid == 0:
            return ended
        ended[pid] = status


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _by_parent(proc: int) -> dict[int, list[int]]:
    pids: dict[int, list[int]] = {}
    for entry in os.listdir(proc):
        if entry.isdigit() and (parent := _parent(proc, entry)) is not None:
            pids.setdefault(parent, []).append(int(entry))
    return pids


def _parent(proc: int, entry: str) -> int | None:
    try:
        descriptor = os.open(f"{entry}/stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        return int(os.read(descriptor, 4096).rpartition(b")")[2].split()[1])
    except ProcessLookupError:
        return None
    finally:
        os.close(descriptor)
