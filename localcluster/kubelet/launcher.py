"""The launcher: a lean, single-threaded process that makes sandboxes and starts their processes.

unshare and setns refuse a process with threads, and forking the kubelet itself (aiohttp, TLS) for
every container would cost its memory each time. So __main__ forks this loop before it imports
anything heavy, and drives it over a SOCK_SEQPACKET socket:

    request   datagram b"r" + descriptors [memory file of messages.encode(), stdin, stdout, stderr]
    answer    {"id": n, "ok": {...}} or {"id": n, "failure": "..."}  (+ the terminal's descriptor)
    exit      {"exited": pid, "code": n}    n < 0: killed by signal -n

Every process is a child of the launcher (a subreaper), so it alone reaps, and a pid that it has not
reaped cannot be another process. The answer to a start is sent by the throw-away fork before that
fork ends, and only then can the process become our child: its exit is always reported later.
The launcher ends when the kubelet's end of the socket closes. Not pure.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from localcluster.kubelet import container_process, messages, sandbox, syscalls
from localcluster.kubelet.identities import decide_identities, read_caller
from localcluster.kubelet.title import find_title_area, set_title

TITLE = "gamekeeper-launcher"
_MOST_DESCRIPTORS = 4
_SWEEPS = 50  # of a container's processes; each finds only what was forked during the last


def serve(channel: socket.socket) -> NoReturn:
    """Answer requests until the other end of `channel` closes; then exit, which ends all pods.

    Args:
        channel: blocking SOCK_SEQPACKET socket.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the kubelet decides when we end
    title = find_title_area()
    set_title(title, TITLE)
    syscalls.become_subreaper()
    setup = sandbox.SandboxSetup(decide_identities(read_caller()), title)
    gc.collect()
    gc.freeze()  # the collector would write to every page that the forks share
    Launcher(channel, setup).run()
    os._exit(0)


class Launcher:
    """The loop and what it holds: the sandboxes, and the forks that are still setting up."""

    def __init__(self, channel: socket.socket, setup: sandbox.SandboxSetup) -> None:
        self._channel = channel
        self._setup = setup
        self._sandboxes: dict[str, sandbox.Sandbox] = {}
        self._setting_up: dict[int, int] = {}  # pid of the throw-away fork -> request
        self._wake_read, self._wake_write = os.pipe()

    def run(self) -> None:
        """Serve until the channel closes."""
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self._wake_read:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                    self._reap()
                elif not self._receive():
                    return

    def _receive(self) -> bool:
        try:
            datagram, descriptors, _, _ = socket.recv_fds(self._channel, 64, _MOST_DESCRIPTORS)
        except ConnectionResetError:
            return False
        if not datagram:
            return False
        memory, *stdio = descriptors
        number, request = messages.decode(os.pread(memory, os.fstat(memory).st_size, 0))
        try:
            self._handle(number, request, stdio)
        except (OSError, sandbox.SandboxError) as error:
            self._answer({"id": number, "failure": str(error)})
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _handle(self, number: int, request: messages.Request, stdio: list[int]) -> None:
        match request:
            case messages.CreateSandbox(pod_uid, hostname, mount_point):
                created = sandbox.create_sandbox(hostname, mount_point, self._setup)
                self._sandboxes[pod_uid] = created
                self._answer({"id": number, "ok": {"pid": created.pid}})
            case messages.RemoveSandbox(pod_uid):
                if pod_uid in self._sandboxes:
                    signal.pidfd_send_signal(self._sandboxes[pod_uid].pidfd, signal.SIGKILL)
                self._answer({"id": number, "ok": {}})
            case messages.SignalProcess(pid, signal_number):
                if _is_own_child(pid):
                    os.kill(pid, signal_number)
                self._answer({"id": number, "ok": {}})
            case messages.KillMountNamespace(pod_uid, inode):
                pod = self._sandboxes.get(pod_uid)
                killed = kill_mount_namespace(pod, inode) if pod is not None else 0
                self._answer({"id": number, "ok": {"killed": killed}})
            case messages.StartContainer() | messages.Execute():
                pid = os.fork()
                if pid == 0:
                    self._set_up(number, request, stdio)
                self._setting_up[pid] = number

    def _set_up(
        self, number: int, request: messages.StartContainer | messages.Execute, stdio: list[int]
    ) -> NoReturn:
        """Be the throw-away fork: start the process, answer, exit."""
        answer: dict[str, Any] = {"id": number}
        terminal: list[int] = []
        try:
            signal.set_wakeup_fd(-1)
            started = self._start(request, stdio)
            answer["ok"] = {"pid": started.pid, "mount_namespace": started.mount_namespace}
            terminal = [] if started.terminal is None else [started.terminal]
        except (OSError, container_process.StartError) as error:
            answer["failure"] = str(error)
        finally:
            unexpected = sys.exc_info()[1]
            if unexpected is not None:
                answer["failure"] = repr(unexpected)
            self._answer(answer, terminal)
            os._exit(0)

    def _start(
        self, request: messages.StartContainer | messages.Execute, stdio: list[int]
    ) -> container_process.Started:
        for pod in self._sandboxes.values():
            os.close(pod.lifeline)  # a copy here would keep that pod alive without the launcher
        match request:
            case messages.StartContainer(pod_uid, root, program):
                if pod_uid not in self._sandboxes:
                    raise container_process.StartError("the pod is gone")
                pause = self._sandboxes[pod_uid].pidfd
                return container_process.start_main(pause, root, program, stdio)
            case messages.Execute(main_pid, program):
                if _parent(main_pid) != os.getppid():
                    raise container_process.StartError("the container is not running")
                main = os.pidfd_open(main_pid)
                return container_process.start_beside(main, program, stdio)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._setting_up.pop(pid, None)
            if number is None:
                self._forget(pid)
                self._answer({"exited": pid, "code": os.waitstatus_to_exitcode(status)})
            elif status != 0:
                self._answer({"id": number, "failure": f"the set-up was killed, status {status}"})

    def _forget(self, pid: int) -> None:
        for pod_uid, pod in list(self._sandboxes.items()):
            if pod.pid == pid:
                os.close(pod.pidfd)
                os.close(pod.lifeline)
                del self._sandboxes[pod_uid]

    def _answer(self, answer: dict[str, Any], descriptors: list[int] | None = None) -> None:
        # A kubelet that is gone needs no answer; the loop sees the end of the channel next.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._channel, [json.dumps(answer).encode()], descriptors or [])


def kill_mount_namespace(pod: sandbox.Sandbox, inode: int) -> int:
    """SIGKILL every process of a pod in the mount namespace with this inode; return how many.

    Sweeps until one finds nothing: a process may fork while it is looked for.

    NB: the inode alone names nothing. When a container's last process ends, its number is free, and
    the next container of any pod gets it. The PID namespace lives as long as the pod.
    """
    try:
        pod_inode = os.stat(f"/proc/{pod.pid}/ns/pid").st_ino
    except OSError:
        return 0  # pause has ended, and with it every process of the pod
    killed = 0
    for _ in range(_SWEEPS):
        found = [pid for pid in map(int, _pids()) if _kill_in(pid, pod_inode, inode)]
        if not found:
            break
        killed += len(found)
    return killed


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _kill_in(pid: int, pod_inode: int, inode: int) -> bool:
    """Kill one process if it is in both namespaces and not dead; a pidfd excludes pid reuse."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False  # it ended, or it is no process
    try:
        # A zombie has no namespaces any more, so a killed process is not found again.
        if os.stat(f"/proc/{pid}/ns/mnt").st_ino != inode:
            return False
        if os.stat(f"/proc/{pid}/ns/pid").st_ino != pod_inode:
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except OSError:
        return False  # it ended meanwhile, or it is not ours
    else:
        return True
    finally:
        os.close(pidfd)


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def _is_own_child(pid: int) -> bool:
    return _parent(pid) == os.getpid()
