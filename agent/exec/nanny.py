"""Runs one command in a container and leaves nothing of it behind. One process per probe run.

A nanny is a fork of the exec helper. It adopts orphans, enters the target, spawns the command in a
process group of its own, waits for its end or the deadline, kills what is left of its tree, reaps
it and reports. It needs no CAP_KILL, because by then it has the target's user id.

NB: nothing may be imported once the target is entered: the interpreter's own files are out of sight
and the target's are not ours to run.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket

from agent.exec import kernel, processes, target
from agent.exec.wire import EXITED, FAILED, TIMED_OUT, Reply, Request
from shared.clock import monotonic_seconds

TYPE_CHECKING = False  # as a type checker reads it; the typing module would cost the helper 1 MiB
if TYPE_CHECKING:
    from collections.abc import Sequence

# Children that still write when the command has ended (`exec > >(tee log)`) may finish, as with a
# runtime that drains the streams; a daemon that keeps them open may not hold the probe up.
_LINGER_SECONDS = 0.2
# A process in uninterruptible sleep (a dead NFS server) cannot be killed; the helper reaps it
# later.
_KILL_SECONDS = 5.0
_FIRST_LINE_BYTES = 256  # BINPRM_BUF_SIZE: what the kernel reads of it

_DEFAULT_PATH = (
    b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # containerd's and Docker's
)
# Python ignores the first two and the helper the others; a program expects the defaults.
_RESET_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD]


class _CannotRunError(Exception):
    """The program is missing or cannot be executed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Streams:
    """The descriptors of one run: where the program writes, and the way back to the agent.

    `control` takes the reply; when the agent closes its side, the run is cancelled.
    """

    __slots__ = ("control", "stderr", "stdout")

    def __init__(self, stdout: int, stderr: int, control: int) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.control = socket.socket(fileno=control)


def run(request: Request, streams: Streams) -> None:
    """Run the command to its end and reply; every process it started is gone by then."""
    reply = _supervise(request, streams)
    if reply is not None:
        try:
            streams.control.send(reply.encode())
        except (BrokenPipeError, ConnectionResetError):
            return  # cancelled in the last moment: nobody listens


def _supervise(request: Request, streams: Streams) -> Reply | None:
    os.setsid()
    kernel.adopt_orphans()
    # Blocked, it stays pending until `sigtimedwait` takes it: no handler, no race.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    # Both are opened before the target's root hides them.
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    _be_expendable(proc)
    try:
        environment = target.enter(request.pid, request.starttime)
        if not request.command:
            return Reply(EXITED)  # entering was all that was asked
        child = _spawn(request.command, environment, (null, streams.stdout, streams.stderr))
    except (target.EntryRefusedError, _CannotRunError) as error:
        return Reply(FAILED, reason=error.reason, message=error.message)
    os.close(streams.stdout)
    os.close(streams.stderr)
    try:
        ended = _wait(child, streams.control, request.timeout_seconds)
    except OSError as error:
        _kill_tree(proc)
        message = (
            f"the command cannot be watched ({os.strerror(error.errno or 0)}): that takes"
            " pidfd_open (Linux 5.3 or a newer sandbox) and a free descriptor"
        )
        return Reply(FAILED, reason="ExecHelperDied", message=message)
    if ended:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        _let_children_finish()
    _kill_tree(proc)
    if ended:
        return Reply(EXITED, exit_code=code if code >= 0 else 128 - code)
    return Reply(TIMED_OUT) if ended is False else None


def _be_expendable(proc: int) -> None:
    """Make what runs here the first victim when the agent's container is short of memory.

    A probe counts against the agent's limit, and the agent should outlive it.
    """
    kernel.forbid_core_dumps()
    try:
        score = os.open("self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    except PermissionError:
        return  # a user namespace: the files of a process that hides its memory belong to nobody
    os.write(score, b"1000")
    os.close(score)


def _spawn(
    command: Sequence[str], environment: dict[bytes, bytes], streams: tuple[int, int, int]
) -> int:
    """Start the command as execvp would with the target's PATH; return its pid.

    Source: execvp(3) for the search; unlike it, a file without `#!` is not handed to a shell,
    because a container runtime does not do so either.
    """
    arguments = [os.fsencode(argument) for argument in command]
    name = arguments[0]
    folders = environment.get(b"PATH", _DEFAULT_PATH).split(b":")
    candidates = [name] if b"/" in name else [(folder or b".") + b"/" + name for folder in folders]
    refusal: OSError | None = None
    for candidate in candidates:
        try:
            return os.posix_spawn(
                candidate,
                arguments,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams)
                ],
                setpgroup=0,
                setsigmask=[],
                setsigdef=_RESET_SIGNALS,
            )
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            refusal = error
            if error.errno != errno.EACCES:
                break
    if refusal is None:
        raise _CannotRunError("ExecNotFound", _explain_not_found(command[0], candidates))
    raise _not_executable(command[0], refusal)


def _explain_not_found(name: str, candidates: Sequence[bytes]) -> str:
    """Return what is missing: the program itself, or what a file that is there needs to run."""
    for candidate in candidates:
        first = _first_line(candidate)
        if first.startswith(b"#!"):
            interpreter = first[2:].strip(b" \t").partition(b" ")[0].decode(errors="replace")
            # A file that was written on Windows asks for "/bin/sh\r".
            is_foreign = interpreter.endswith("\r")
            advice = "save the file with Unix line ends" if is_foreign else "correct that line"
            what = f"the interpreter {interpreter!r} in the first line of {name!r}"
            return f"{what} is not in the container: {advice}"
        if first.startswith(b"\x7fELF"):
            what = f"the loader that {name!r} was linked for"
            return f"{what} is not in the container: build it for this image (glibc or musl)"
    advice = "check the path, the container's PATH and containerName"
    if " " in name:
        advice = 'the command is no shell: write ["sh", "-c", "..."]'
    return f"{name[:80]!r} is not in the container: {advice}"


def _first_line(file: bytes) -> bytes:
    """Return the beginning of a file's first line, nothing if it cannot be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _FIRST_LINE_BYTES).partition(b"\n")[0]
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _not_executable(name: str, refusal: OSError) -> _CannotRunError:
    advice = (
        "begin it with a #! line"
        if refusal.errno == errno.ENOEXEC
        else "make it executable (chmod +x)"
    )
    return _CannotRunError(
        "ExecNotExecutable",
        f"{name!r} cannot be executed in the container ({os.strerror(refusal.errno or 0)}):"
        f' {advice}, or run it through its interpreter, as ["bash", "./probe.sh"]',
    )


def _wait(child: int, control: socket.socket, timeout_seconds: float) -> bool | None:
    """Return True when the child has ended, False at the timeout, None when the agent hung up.

    Raises:
        OSError: the child cannot be watched.
    """
    descriptor = os.pidfd_open(child)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.register(control, select.POLLIN)  # the agent never writes here: readable means closed
    ready = [fd for fd, _ in poll.poll(timeout_seconds * 1000)]
    if not ready:
        return False
    return True if descriptor in ready else None


def _let_children_finish() -> None:
    deadline = monotonic_seconds() + _LINGER_SECONDS
    while _has_children() and (left := deadline - monotonic_seconds()) > 0:
        signal.sigtimedwait([signal.SIGCHLD], left)


def _kill_tree(proc: int) -> None:
    deadline = monotonic_seconds() + _KILL_SECONDS
    # Again after every death: what a killed parent leaves behind, and what it forked since the last
    # look, becomes our child.
    while _has_children() and (left := deadline - monotonic_seconds()) > 0:
        processes.kill_descendants(proc)
        signal.sigtimedwait([signal.SIGCHLD], left)


def _has_children() -> bool:
    """Reap what has ended; return whether anything is left."""
    while (ended := processes.reap()) is not None:
        if not ended:
            return True
    return False
