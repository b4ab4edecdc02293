"""Finds the main process of each container of this pod. Reads /proc only, needs no privilege.

Theory: kubelet bind-mounts a termination log into every container, and the mount table of any
process is world-readable; field 4 of its line in /proc/PID/mountinfo (proc(5)) holds `.../pods/POD-
UID/containers/NAME/HEX`. In a shared PID namespace the processes that a runtime started have no
parent inside (PPid 0), and the main one is the oldest: `kubectl exec` adds younger ones. Where
mount tables look different (gVisor, Kata) the environment marker GAMEKEEPER_CONTAINER=NAME serves.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from agent.exec import kernel

_TERMINATION_LOG = re.compile(r"/pods/(?P<uid>[^/]+)/containers/(?P<name>[^/]+)/[0-9a-f]+$")
_MARKER = b"GAMEKEEPER_CONTAINER="
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, order=True)
class MainProcess:
    """The identity of one run of a container: a restarted container has another.

    Attributes:
        starttime: clock ticks since boot.
        pid: as this process sees it.
    """

    starttime: int
    pid: int

    @property
    def started_boottime_seconds(self) -> float:
        """When it started, on the clock `boottime_seconds`."""
        return self.starttime / _TICKS_PER_SECOND


def find_main_processes(pod_uid: str) -> dict[str, MainProcess]:
    """Return the main process of every running container of the pod, by container name."""
    found: dict[str, MainProcess] = {}
    for process in sorted(_started_by_runtime()):
        name = _container_name(process.pid, pod_uid) or _marked_name(process.pid)
        if name:
            found.setdefault(name, process)
    return found


def read_process(pid: int) -> MainProcess | None:
    """Return the identity of a process, None when there is none."""
    stat = _read_stat(pid)
    return None if stat is None else MainProcess(starttime=stat[2], pid=pid)


def is_pid_namespace_shared() -> bool:
    """Return whether this process shares its PID namespace with its pod, and only with its pod.

    Then the first of its ancestors in sight has no parent and is not PID 1, which is the pause
    process. In a namespace of its own it, or its init, is PID 1; in the node's (hostPID) the
    ancestors lead to the node's PID 1.
    """
    pid = os.getpid()
    while pid > 1:
        stat = _read_stat(pid)
        if stat is None or stat[1] == 0:
            return True
        pid = stat[1]
    return False


def recognises_containers(pod_uid: str) -> bool:
    """Return whether containers can be told here by their mounts: ours can if any can."""
    return _container_name(os.getpid(), pod_uid) is not None


def _started_by_runtime() -> list[MainProcess]:
    processes = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        stat = _read_stat(int(entry))
        if stat is not None and stat[1] == 0 and stat[0] not in "ZX":
            processes.append(MainProcess(starttime=stat[2], pid=int(entry)))
    return processes


def _read_stat(pid: int) -> tuple[str, int, int] | None:
    """Return state, parent and starttime of a process, None when there is none to be seen."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # the last where /proc is mounted with hidepid
    return fields[0], int(fields[1]), int(fields[19])


def _container_name(pid: int, pod_uid: str) -> str | None:
    try:
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
            roots = [line.split(" ", 4)[3] for line in file]
    except OSError:
        return None  # it has ended, or its mount table is not ours to read; the marker may help
    for root in roots:
        match = _TERMINATION_LOG.search(root)
        if match and match["uid"] == pod_uid:
            return match["name"]
    return None


def _marked_name(pid: int) -> str | None:
    """Return the marker in a process's environment, read under that process's ids (mode 0400)."""
    try:
        owner = os.stat(f"/proc/{pid}")
        kernel.set_filesystem_ids(owner.st_uid, owner.st_gid)
        with open(f"/proc/{pid}/environ", "rb") as file:
            items = file.read().split(b"\0")
    except OSError:
        return None
    finally:
        kernel.set_filesystem_ids(os.geteuid(), os.getegid())
    return next(
        (os.fsdecode(i.removeprefix(_MARKER)) for i in items if i.startswith(_MARKER)), None
    )
