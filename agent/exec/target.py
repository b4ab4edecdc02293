"""Makes the calling process a process of another container. No spawning and no waiting here.

Runs in a nanny (single-threaded, thrown away afterwards), because every step is final for the
process.

Theory (ptrace_may_access in the kernel): /proc/PID/{root,cwd,environ} open without CAP_SYS_PTRACE
when (1) the caller's filesystem ids equal the target's real, effective and saved ids, so those are
set first; (2) the target is dumpable; (3) the caller's effective capabilities contain the target's
permitted ones. A container is then its root directory, its working directory, its ids, its
environment and its capabilities; the other namespaces of a pod are shared or do not matter to a
probe. The process ends with no more capabilities than both the agent and the target have.

What keeps a probe from the agent's own files (its token above all): the mount namespace stays the
agent's, but nothing leads there. The root directory is the target's, no descriptor of the agent's
survives execve, processes of the agent are not dumpable, so their /proc/PID/{root,fd,cwd} need
SYS_PTRACE, and without SYS_CHROOT a root directory cannot be climbed out of.
"""

from __future__ import annotations

import os

from agent.exec import kernel

TYPE_CHECKING = False  # as a type checker reads it; the typing module would cost the helper 1 MiB
if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_PROC_FILE_BYTES = 2 << 20  # an environment can be as large as the arguments of execve: 2 MiB
_UMASK = 0o022  # what container runtimes give to an exec'd process


class EntryRefusedError(Exception):
    """The container cannot be entered.

    Attributes:
        reason: CamelCase.
        message: one line that says what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Credentials:
    """What /proc/PID/status says about a process; capability sets are bit masks."""

    __slots__ = (
        "ambient",
        "bounding",
        "effective",
        "gids",
        "groups",
        "no_new_privileges",
        "permitted",
        "uids",
    )

    def __init__(self, status: bytes) -> None:
        lines = (line.partition(b":") for line in status.splitlines())
        fields = {name: value.split() for name, _, value in lines}
        self.uids = [int(value) for value in fields[b"Uid"]]
        self.gids = [int(value) for value in fields[b"Gid"]]
        self.groups = sorted(int(value) for value in fields[b"Groups"])
        self.permitted = int(fields[b"CapPrm"][0], 16)
        self.effective = int(fields[b"CapEff"][0], 16)
        self.bounding = int(fields[b"CapBnd"][0], 16)
        self.ambient = int(fields.get(b"CapAmb", [b"0"])[0], 16)
        self.no_new_privileges = fields.get(b"NoNewPrivs", [b"0"])[0] == b"1"


class _View:
    """The open doors of a container: directories as O_PATH descriptors, and the environment.

    Attributes:
        mounts: inode of its mount namespace.
    """

    __slots__ = ("cwd", "environment", "mounts", "root")

    def __init__(self, process: int) -> None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        self.mounts = os.stat("ns/mnt", dir_fd=process).st_ino
        self.root = os.open("root", flags, dir_fd=process)
        self.cwd = os.open("cwd", flags, dir_fd=process)
        # The file is readable for the target's uid only: under other ids it would be lost silently.
        self.environment = parse_environment(_read(process, "environ"))


def parse_environment(raw: bytes) -> dict[bytes, bytes]:
    """Return the variables in /proc/PID/environ.

    Some programs write over that memory, to have a title in ps: what does not look like `NAME=...`
    is left out, because a program cannot be started with it.
    """
    pairs = (item.partition(b"=") for item in raw.split(b"\0"))
    return {name: value for name, separator, value in pairs if name and separator}


def enter(pid: int, starttime: int) -> dict[bytes, bytes]:
    """Make this process one of the target's container; return the environment of the target.

    Args:
        pid: main process of the container.
        starttime: its start in clock ticks since boot, proof that the pid was not reused.

    Raises:
        EntryRefusedError: with the reason; this process is then fit for nothing but to report it.
    """
    own = Credentials(_read_own_status())
    process = _open_process(pid, starttime)
    try:
        target = Credentials(_read(process, "status"))
        view = _open_view(process, own, target)
    except (FileNotFoundError, ProcessLookupError):
        raise _not_running(pid) from None
    if not _is_own_root(view):
        os.fchdir(view.root)
        try:
            os.chroot(".")
        except PermissionError:
            raise _missing_capability("SYS_CHROOT") from None
    # Under the target's ids first, then ours, then with its groups: a runtime also enters the
    # working directory as root when the user itself may not.
    inside = _change_directory(view.cwd)
    kernel.set_filesystem_ids(own.uids[1], own.gids[1])
    inside = inside or _change_directory(view.cwd)
    os.umask(_UMASK)
    _take_identity(own, target)
    if not inside and not _change_directory(view.cwd):
        raise EntryRefusedError(
            "WorkingDirDenied",
            "the user of the container's main process may not enter its working directory: give"
            " that user search permission (x) on it",
        )
    return view.environment


def _read_own_status() -> bytes:
    with open("/proc/self/status", "rb") as file:
        return file.read()


def _open_process(pid: int, starttime: int) -> int:
    try:
        process = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        # The descriptor stays with this very process: reads fail once it is gone, even if its pid
        # is reused.
        fields = _read(process, "stat").rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise _not_running(pid) from None
    if int(fields[19]) != starttime:
        raise _not_running(pid)
    return process


def _open_view(process: int, own: Credentials, target: Credentials) -> _View:
    switched = kernel.set_filesystem_ids(target.uids[1], target.gids[1])
    # Leaving uid 0 took away the capabilities over files, which rule 3 compares, too.
    kernel.set_capabilities(own.permitted)
    try:
        return _View(process)
    except PermissionError:
        pass  # an agent with SYS_PTRACE, or whose root rights suffice, succeeds under its own ids
    kernel.set_filesystem_ids(own.uids[1], own.gids[1])
    try:
        return _View(process)
    except PermissionError:
        raise _access_refusal(own, target, switched=switched) from None


def _is_own_root(view: _View) -> bool:
    """Tell whether the target sees the files that we see: then nothing has to be changed.

    So it is for a process of this machine (`gamekeeper probe`), never for another container.
    """
    root, own = os.stat(view.root), os.stat("/")
    is_same_directory = (root.st_dev, root.st_ino) == (own.st_dev, own.st_ino)
    return is_same_directory and view.mounts == os.stat("/proc/self/ns/mnt").st_ino


def _access_refusal(own: Credentials, target: Credentials, *, switched: bool) -> EntryRefusedError:
    if not switched:
        return _missing_capability("SETUID" if own.uids[1] != target.uids[1] else "SETGID")
    if target.permitted & ~own.effective:
        return EntryRefusedError(
            "TargetHasMoreCapabilities",
            "the container's main process has capabilities that the agent lacks: run the game as a"
            " non-root user, or use the agent's `default` or `ptrace` security profile",
        )
    return EntryRefusedError(
        "TargetNotDumpable",
        "the container's main process is protected from inspection (not dumpable): use the agent's"
        " `ptrace` security profile, or start the game without set-uid or file capabilities",
    )


def _change_directory(directory: int) -> bool:
    try:
        os.fchdir(directory)
    except PermissionError:
        return False
    return True


def _take_identity(own: Credentials, target: Credentials) -> None:
    # In a user namespace with a single id setgroups is forbidden; there the groups agree already.
    if target.groups != own.groups:
        _with_capability("SETGID", lambda: os.setgroups(target.groups))
    gids = (target.gids[0], target.gids[1], target.gids[2])
    if os.getresgid() != gids:
        _with_capability("SETGID", lambda: os.setresgid(*gids))
    # Without SYS_CHROOT, whatever the target has: it is the way out of a root directory.
    allowed = own.permitted & target.permitted & ~kernel.SYS_CHROOT
    bounded = _shrink_bounding_set(own.bounding & ~allowed)
    is_root = target.uids[1] == 0
    # What a program of another user starts with are the ambient capabilities, if a runtime gave it
    # any; `kubectl exec` gives the same.
    kept = allowed if is_root else allowed & target.ambient
    uids = (target.uids[0], target.uids[1], target.uids[2])
    if os.getresuid() != uids:
        if kept and not is_root:
            kernel.keep_capabilities()
        _with_capability("SETUID", lambda: os.setresuid(*uids))
    kernel.set_capabilities(kept, 0 if is_root else kept)
    if not is_root:
        _raise_ambient(kept)
    # The change of ids has put this back to what the node's fs.suid_dumpable says.
    kernel.hide_memory()
    # At execve a root process regains its bounding set; without SETPCAP this is the other way to
    # stop it.
    if target.no_new_privileges or not bounded:
        kernel.forbid_new_privileges()


def _raise_ambient(capabilities: int) -> None:
    for bit in kernel.CAPABILITY_BITS:
        if capabilities >> bit & 1:
            kernel.raise_ambient(bit)


def _shrink_bounding_set(unwanted: int) -> bool:
    try:
        for bit in kernel.CAPABILITY_BITS:
            if unwanted >> bit & 1:
                kernel.drop_from_bounding_set(bit)
    except PermissionError:
        return False
    return True


def _with_capability(name: str, step: Callable[[], None]) -> None:
    try:
        step()
    except PermissionError:
        raise _missing_capability(name) from None


def _missing_capability(name: str) -> EntryRefusedError:
    return EntryRefusedError(
        "MissingCapability",
        f"the agent needs the capability {name} to enter the container: add it to the agent's"
        " security context, or use the `default` profile",
    )


def _not_running(pid: int) -> EntryRefusedError:
    return EntryRefusedError(
        "ContainerNotRunning",
        f"the container's main process {pid} has ended; the probe goes on when the container is"
        " restarted",
    )


def _read(directory: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    with open(descriptor, "rb", buffering=0) as file:
        parts = []
        size = 0
        while size < _MAX_PROC_FILE_BYTES and (part := file.read(65_536)):
            parts.append(part)
            size += len(part)
    return b"".join(parts)
