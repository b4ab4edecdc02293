"""The `procroot` back end, agent side: hands commands to the exec helper and collects their output.

Works by callbacks of the main loop's selector, never blocks. Each run has three channels of its
own: two pipes for the output and a socket for the reply, whose closing cancels the run. So nothing
has to be matched by number, and a run does not depend on the helper that started it.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import sys
from typing import TYPE_CHECKING

from agent.exec import helper as helper_module
from agent.exec.helper import HelperProcess
from agent.exec.wire import FAILED, MAX_REPLY_BYTES, MAX_REQUEST_BYTES, Reply, Request
from agent.log import data
from agent.probes.exec import ExecRun
from shared.backoff import Backoff
from shared.clock import monotonic_seconds, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.exec.resolve import MainProcess

log = logging.getLogger(__name__)

STDOUT_KEPT_BYTES = 10 * 1024  # kubelet's limit for exec probes, too
STDERR_KEPT_BYTES = 4 * 1024
# What a nanny may need beyond the timeout: entering, lingering children, killing the tree.
_OVERTIME_SECONDS = 10.0
_READ_BYTES = 65_536
_LARGEST_PIPE_BYTES = 1 << 20  # fs.pipe-max-size
_HEALTHY_SECONDS = 60.0
_RESTART_BACKOFF = Backoff(base_seconds=1, cap_seconds=30)


class ProcrootEngine:
    """Runs commands through the exec helper, and starts a new helper when it dies.

    Args:
        selector: of the main loop; `data` of every registration is a callback without arguments.
        helper: forked before this process had threads.
        share: returns a random number in [0, 1).

    Attributes:
        restarts: how often a helper was started in place of a dead one.
    """

    name = "procroot"

    def __init__(
        self, selector: selectors.BaseSelector, helper: HelperProcess, share: Callable[[], float]
    ) -> None:
        self._selector = selector
        self._share = share
        self._helper: HelperProcess | None = None
        self._deaths = 0
        self.restarts = 0
        self._adopted = 0.0
        self._restart_at: float | None = None
        self._runs: set[_Run] = set()
        self._adopt(helper)

    def start(
        self,
        process: MainProcess,
        command: tuple[str, ...],
        timeout_seconds: float,
        on_done: Callable[[ExecRun], None],
    ) -> _Run:
        """Start a command in a container; see `ExecBackend.start`."""
        run = _Run(self._selector, timeout_seconds, on_done, self._runs)
        self._runs.add(run)
        request = Request(process.pid, process.starttime, timeout_seconds, command).encode()
        if len(request) > MAX_REQUEST_BYTES:
            message = f"the command is longer than {MAX_REQUEST_BYTES} bytes: put it into a script"
            run.fail("ExecNotExecutable", message)
        elif self._helper is None or not run.send(self._helper.socket, request):
            run.fail(
                "ExecHelperDied", "the exec helper cannot take the run now; the next run will do"
            )
        return run

    def deadline(self) -> float | None:
        """Return when `step` has something to do, on the monotonic clock; None for never."""
        times = [run.deadline for run in self._runs]
        if self._restart_at is not None:
            times.append(self._restart_at)
        return min(times, default=None)

    def step(self, now: float) -> None:
        """Do what is due: end runs that failed at the start or got stuck, start a new helper."""
        for run in [run for run in self._runs if run.deadline <= now]:
            run.finish()
        if self._restart_at is not None and self._restart_at <= now:
            self._restart()

    def close(self) -> None:
        """Cancel every run and end the helper."""
        for run in list(self._runs):
            run.cancel()
        if self._helper is not None:
            self._selector.unregister(self._helper.socket)
            self._helper.socket.close()

    def _adopt(self, helper: HelperProcess) -> None:
        helper.socket.setblocking(False)
        self._helper = helper
        self._adopted = monotonic_seconds()
        # The helper never writes: readable means that it has ended.
        self._selector.register(helper.socket, selectors.EVENT_READ, self._on_helper_death)

    def _on_helper_death(self) -> None:
        dead, self._helper = self._helper, None
        if dead is None:
            return
        self._selector.unregister(dead.socket)
        dead.socket.close()
        # Its socket is closed, so it has ended or is about to: this wait is short.
        os.kill(dead.pid, signal.SIGKILL)
        _, status = os.waitpid(dead.pid, 0)
        # A helper that worked for a while died of something new: start the backoff again.
        lived = monotonic_seconds() - self._adopted
        self._deaths = 1 if lived > _HEALTHY_SECONDS else self._deaths + 1
        delay = self._plan_restart()
        log.error("exec helper died", extra=data(wait_status=status, restart_in_seconds=delay))

    def _plan_restart(self) -> float:
        delay = _RESTART_BACKOFF.delay_seconds(self._deaths, self._share())
        self._restart_at = monotonic_seconds() + delay
        return delay

    def _restart(self) -> None:
        self._restart_at = None
        try:
            helper = _spawn_helper()
        except OSError as error:
            # The shortage of processes or memory that killed it may still last; the probes of the
            # network and the reports go on meanwhile.
            self._deaths += 1
            delay = self._plan_restart()
            lack = data(error=os.strerror(error.errno or 0), restart_in_seconds=delay)
            log.error("exec helper cannot be started", extra=lack)  # noqa: TRY400 - no stack
            return
        self._adopt(helper)
        self.restarts += 1


class _Run:
    """One command under way: its output so far and the reply, if it is there."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        timeout_seconds: float,
        on_done: Callable[[ExecRun], None],
        runs: set[_Run],
    ) -> None:
        self.deadline = monotonic_seconds() + timeout_seconds + _OVERTIME_SECONDS
        self._selector = selector
        self._on_done = on_done
        self._runs = runs
        self._started = monotonic_seconds()
        self._started_at = utc_now()
        self._reply = Reply(
            FAILED,
            reason="ExecHelperDied",
            message="the process that watched the command has ended; the agent's log may say why",
        )
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._outputs: list[_Channel] = []
        self._control: _Channel | None = None

    def send(self, helper: socket.socket, request: bytes) -> bool:
        """Hand the request and the far ends of the channels over; False when that is impossible."""
        try:
            out, far_out, err, far_err, control, far_control = _open_channels()
        except OSError as error:
            lack = data(error=os.strerror(error.errno or 0))
            log.warning("no descriptors for a probe", extra=lack)
            return False
        self._outputs = [
            _Channel(self._selector, out, self._keep_stdout),
            _Channel(self._selector, err, self._keep_stderr),
        ]
        self._control = _Channel(self._selector, control, self._end, most=MAX_REPLY_BYTES)
        far_ends = [far_out, far_err, far_control]
        try:
            # A program expects blocking streams.
            for descriptor in far_ends:
                os.set_blocking(descriptor, True)
            socket.send_fds(helper, [request], far_ends)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return False
        finally:
            for descriptor in far_ends:
                os.close(descriptor)
        return True

    def fail(self, reason: str, message: str) -> None:
        """Let the run end at the next step without having run."""
        self._reply = Reply(FAILED, reason=reason, message=message)
        self.deadline = self._started

    def cancel(self) -> None:
        """Close all channels: the nanny sees it and kills what it started."""
        for channel in self._outputs:
            channel.close()
        if self._control is not None:
            self._control.close()
        self._runs.discard(self)

    def finish(self) -> None:
        """Take what is still in the pipes, close everything and call back."""
        for channel in self._outputs:
            channel.drain()
        self.cancel()
        self._on_done(
            ExecRun(
                reply=self._reply,
                stdout=bytes(self._stdout),
                stderr=bytes(self._stderr),
                started_at=self._started_at,
                duration_seconds=monotonic_seconds() - self._started,
            )
        )

    def _keep_stdout(self, part: bytes) -> None:
        # Beyond the limit it is read and thrown away: a full pipe would block the program, a
        # closed one would kill it.
        self._stdout += part[: STDOUT_KEPT_BYTES - len(self._stdout)]

    def _keep_stderr(self, part: bytes) -> None:
        self._stderr += part
        del self._stderr[:-STDERR_KEPT_BYTES]

    def _end(self, datagram: bytes) -> None:
        if datagram:
            self._reply = Reply.decode(datagram)
        # Everything that could write has ended by now, so the pipes hold all there will ever be.
        self.finish()


class _Channel:
    """A readable descriptor in the selector; its data goes to a callback, b"" at the end."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        descriptor: int,
        on_data: Callable[[bytes], None],
        most: int = _READ_BYTES,
    ) -> None:
        self._selector = selector
        self._descriptor: int | None = descriptor
        self._on_data = on_data
        self._most = most
        selector.register(descriptor, selectors.EVENT_READ, self._read_once)

    def drain(self) -> None:
        """Read what is there, at most as much as a pipe can hold."""
        for _ in range(_LARGEST_PIPE_BYTES // self._most):
            if not self._read_once():
                return

    def close(self) -> None:
        """Unregister and close; may be called again."""
        if self._descriptor is not None:
            self._selector.unregister(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _read_once(self) -> bool:
        """Read once; return whether there may be more."""
        if self._descriptor is None:
            return False
        try:
            part = os.read(self._descriptor, self._most)
        except BlockingIOError:
            return False
        if not part:
            self.close()
        self._on_data(part)
        return bool(part)


def _open_channels() -> list[int]:
    """Return ours and the far end of stdout, stderr and control: all six, or none.

    Raises:
        OSError: there are too many open files.
    """
    ends: list[int] = []
    try:
        for _ in range(2):
            ends += os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for channel in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET):
            channel.setblocking(False)
            ends.append(channel.detach())
    except OSError:
        for end in ends:
            os.close(end)
        raise
    return ends


def _import_root() -> str:
    """Return the folder that holds the package `agent`."""
    folder = os.path.abspath(__file__)
    for _ in __name__.split("."):
        folder = os.path.dirname(folder)
    return folder


def _spawn_helper() -> HelperProcess:
    """Start a helper as a program of its own: this process has threads by now and must not fork.

    Raises:
        OSError: there are too many processes or open files, or too little memory.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-S", "-m", "agent.exec.helper"],
                # The image has the code of one level of optimization only.
                {"PYTHONPATH": _import_root(), "PYTHONOPTIMIZE": str(sys.flags.optimize)},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), helper_module.INHERITED_SOCKET_FD)
                ],
            )
        except OSError:
            ours.close()
            raise
    log.info("exec helper started again", extra=data(pid=pid))
    return HelperProcess(pid, ours)
