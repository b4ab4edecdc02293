"""The janitor: what ends the programs of a local cluster when its supervisor cannot any more.

A tiny process of its own session reads lines `pid <n> <starttime>` from a pipe whose write end
only the supervisor holds. The pipe ends when the supervisor does, kill -9 included: then the
janitor ends the registered processes that still are the same ones, and removes the state folder.

Two sides in one file: `Janitor` for the supervisor, and the program below it, started as
`python -I -S janitor.py FOLDER`, so it imports nothing but the standard library and little of that.
Not pure. Linux only (pidfd, /proc).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable
    from pathlib import Path

MARKER = ".gamekeeper-local"
_TERM_SECONDS = 2.0
_KILL_SECONDS = 2.0
# What was killed ends its pods a moment later, and those write into the folder until then.
_REMOVE_SECONDS = 20.0


class Janitor:
    """The supervisor's side."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: IO[bytes]) -> None:
        self._process = process
        self._pipe = pipe

    @classmethod
    def start(cls, directory: Path) -> Janitor:
        """Start a janitor for `directory`, which carries the file MARKER.

        Raises:
            OSError: the interpreter cannot be started.
        """
        import subprocess  # the program below must not pay for it

        process = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, "-I", "-S", __file__, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        if process.stdin is None:
            raise OSError(0, "the janitor has no pipe")
        return cls(process, process.stdin)

    def watch(self, pid: int) -> None:
        """Have the process ended with the supervisor; one that has ended already is ignored."""
        start = start_time(pid)
        if start is not None:
            # A janitor that is gone cannot help; the supervisor still ends its programs itself.
            with contextlib.suppress(BrokenPipeError):
                self._pipe.write(f"pid {pid} {start}\n".encode())
                self._pipe.flush()

    def close(self) -> None:
        """End what is left, remove the folder, and wait until that is done."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        self._process.wait()


class _Watched(NamedTuple):
    """A registered process that is still the same one."""

    pid: int
    pidfd: int


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it does not exist.

    With the pid it names one process for ever: a pid is used again, the pair is not.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


def main(arguments: list[str]) -> int:
    """Be the janitor of the folder in `arguments`; return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the supervisor must not end us first
    directory = arguments[0]
    if not os.path.isfile(os.path.join(directory, MARKER)):
        sys.stderr.write(f"janitor: {directory} has no file {MARKER}; it is not removed\n")
        return 2
    registered = [line.split() for line in sys.stdin]
    end_processes((int(pid), int(start)) for _, pid, start in registered)
    _remove(directory)
    return 0


def end_processes(registered: Iterable[tuple[int, int]]) -> None:
    """SIGTERM every process that still has its start time, SIGKILL those that stay.

    Args:
        registered: pids with their start times.
    """
    watched = [process for pid, start in registered if (process := _open(pid, start))]
    for number, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        for process in watched:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(process.pidfd, number)
        watched = _still_alive(watched, seconds)


def _open(pid: int, start: int) -> _Watched | None:
    try:
        pidfd = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return None
    # Compared after the descriptor is held, so it is this process that we know.
    if start_time(pid) != start:
        os.close(pidfd)
        return None
    return _Watched(pid, pidfd)


def _still_alive(watched: list[_Watched], seconds: float) -> list[_Watched]:
    """Wait until all have ended, but at most so long; return the others."""
    import time

    deadline = time.monotonic() + seconds
    poll = select.poll()
    left = {process.pidfd: process for process in watched}
    for pidfd in left:
        poll.register(pidfd, select.POLLIN)
    while left and (milliseconds := (deadline - time.monotonic()) * 1000) > 0:
        for pidfd, _ in poll.poll(milliseconds):
            poll.unregister(pidfd)
            os.close(pidfd)
            del left[pidfd]
    return list(left.values())


def _remove(directory: str) -> None:
    """Remove the folder, again and again while something that is just ending writes into it."""
    import shutil
    import time

    deadline = time.monotonic() + _REMOVE_SECONDS
    shutil.rmtree(directory, ignore_errors=True)
    while os.path.exists(directory) and time.monotonic() < deadline:
        time.sleep(0.05)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
