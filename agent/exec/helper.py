"""The exec helper: a lean process that forks a nanny for every probe run.

It is forked from the agent before that imports TLS, JSON and threads, so that each of its forks
copies little memory and no fork ever happens in a process with threads. It holds no state: a
request brings the descriptors of its output and of its reply, so runs survive the helper and the
helper survives runs.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import struct

from agent.exec import kernel, nanny, processes
from agent.exec.wire import FAILED, MAX_REQUEST_BYTES, REQUEST_FDS, Reply, Request
from agent.resident import LibraryPages
from agent.title import EXEC_TITLE, set_title

TYPE_CHECKING = False  # as a type checker reads it; the typing module would cost the helper 1 MiB
if TYPE_CHECKING:
    from typing import NoReturn

# By then the helper has done everything that it does once.
_SETTLED_RUNS = 4
# Where a helper that was started as a program finds its socket.
INHERITED_SOCKET_FD = 3


class HelperProcess:
    """A running helper as its parent sees it: its pid, and the socket that takes requests."""

    __slots__ = ("pid", "socket")

    def __init__(self, pid: int, requests: socket.socket) -> None:
        self.pid = pid
        self.socket = requests


def fork() -> HelperProcess:
    """Fork this process, which must have no threads yet; returns in the agent only."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    agent_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        serve(theirs, agent_pid)
    theirs.close()
    return HelperProcess(pid, ours)


def serve(requests: socket.socket, agent_pid: int) -> NoReturn:
    """Serve requests until the agent closes its side or ends. Never returns."""
    set_title(EXEC_TITLE)
    kernel.hide_memory()
    kernel.adopt_orphans()  # those of a nanny that was killed
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != agent_pid:
        os._exit(0)  # the agent ended before the kernel was told
    # A terminal's ctrl-C reaches the whole group; only the agent decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    woken = _wake_on_child_exit()
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    nannies: set[int] = set()
    pages, runs = LibraryPages(), 0
    # What lives now lives for ever: keeping the collector away leaves these pages shared with the
    # nannies.
    gc.collect()
    gc.freeze()
    gc.disable()
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if woken in ready:
            os.read(woken, 4096)
            _clean_up(nannies, proc)
        if requests.fileno() in ready:
            nannies.add(_serve_one(requests))
            runs += 1
            if runs == _SETTLED_RUNS:
                pages.release()


def _wake_on_child_exit() -> int:
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # The handler does nothing, but without one the descriptor would not be written.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return reader


def _clean_up(nannies: set[int], proc: int) -> None:
    """Reap what has ended, and kill the orphans of a nanny that did not end by itself.

    A game's script can kill a nanny, which has its user id. Orphans become children of this
    process, and so
    do theirs when they die: whatever ends here and is no nanny in good order calls for another
    look.
    """
    ended = processes.reap() or {}
    in_order = all(pid in nannies and status == 0 for pid, status in ended.items())
    nannies.difference_update(ended)
    if in_order:
        return
    for pid in processes.children(proc):
        if pid not in nannies:
            processes.kill(pid)


def _serve_one(requests: socket.socket) -> int:
    """Fork a nanny for the next request; return its pid, -1 if there is none."""
    datagram, descriptors = _receive(requests)
    if not datagram:
        os._exit(0)  # the agent has ended; nannies see their own control sockets close
    try:
        pid = os.fork()
    except OSError as error:
        _refuse_fork(descriptors[2], error)
        pid = -1
    if pid == 0:
        _become_nanny(requests, Request.decode(datagram), nanny.Streams(*descriptors))
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def _receive(requests: socket.socket) -> tuple[bytes, list[int]]:
    """Return a request and its descriptors, closed at execve: a probe must not get the control.

    NB: `socket.recv_fds` of Python 3.11 takes flags and ignores them, so the descriptors would
    be inherited.
    """
    size = struct.calcsize("i")
    room = socket.CMSG_LEN(REQUEST_FDS * size)
    datagram, messages, _, _ = requests.recvmsg(MAX_REQUEST_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    raw = b"".join(content for _, _, content in messages)
    return datagram, list(struct.unpack(f"{len(raw) // size}i", raw))


def _become_nanny(requests: socket.socket, request: Request, streams: nanny.Streams) -> NoReturn:
    requests.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        nanny.run(request, streams)
    except OSError as error:
        streams.control.send(Reply(FAILED, reason="ExecHelperDied", message=str(error)).encode())
    os._exit(0)


def _refuse_fork(control: int, error: OSError) -> None:
    message = f"no process for the probe ({error.strerror}): raise the pod's pid limit"
    with socket.socket(fileno=os.dup(control)) as channel:
        channel.send(Reply(FAILED, reason="ExecHelperDied", message=message).encode())


if __name__ == "__main__":
    # The agent starts a new helper this way when the first one died: it has threads by then.
    serve(socket.socket(fileno=INHERITED_SOCKET_FD), os.getppid())
