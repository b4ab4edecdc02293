"""The kubelet's side of launcher.py: requests and exits as awaitables.

Not pure. Belongs to one event loop. The forking itself is `fork_launcher`, which __main__ calls
before it imports asyncio (this module is imported after).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from typing import Any, NamedTuple

from localcluster.kubelet import messages

_LONGEST_ANSWER = 1 << 16


class LaunchError(Exception):
    """The launcher refused or failed; the message says which step."""


class Process(NamedTuple):
    """A running process of a container.

    Args:
        pid: in the kubelet's PID namespace.
        mount_namespace: inode of its container's mount namespace.
        terminal: master side of its pseudo-terminal, owned by the receiver; None without one.
        exited: resolves to the exit code; negative for a signal.
        pod_uid: of its pod, for a main process.
    """

    pid: int
    mount_namespace: int
    terminal: int | None
    exited: asyncio.Future[int]
    pod_uid: str = ""

    async def wait(self) -> int:
        """Return the exit code; a cancelled waiter leaves the exit to the others."""
        return await asyncio.shield(self.exited)


class LauncherClient:
    """Asks the launcher and learns of every exit.

    Args:
        channel: the kubelet's end; made non-blocking here.
    """

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[Process | None]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(channel, self._read)

    async def create_sandbox(self, request: messages.CreateSandbox) -> Process:
        """Return the pause process of a new pod; its exit means that the whole pod is gone."""
        return await self._request_process(request)

    async def remove_sandbox(self, pod_uid: str) -> None:
        """Kill every process of the pod; wait for the exit of its pause process to see the end."""
        await self._request_end(messages.RemoveSandbox(pod_uid))

    async def start_container(self, start: messages.StartContainer, stdio: list[int]) -> Process:
        """Start a main process; raises LaunchError with the reason when it cannot."""
        started = await self._request_process(start, stdio)
        return started._replace(pod_uid=start.pod_uid)

    async def execute(self, request: messages.Execute, stdio: list[int]) -> Process:
        """Start a process beside a main process; `stdio` may be empty for a terminal."""
        return await self._request_process(request, stdio)

    async def signal(self, process: Process, number: int) -> None:
        """Send a signal to a process unless it has ended."""
        if not process.exited.done():
            await self._request_end(messages.SignalProcess(process.pid, number))

    async def kill_container(self, main: Process) -> None:
        """SIGKILL every process of the container of a main process, daemonised ones too."""
        await self._request_end(messages.KillMountNamespace(main.pod_uid, main.mount_namespace))

    def close(self) -> None:
        """Close the channel: the launcher ends, and with it every pod."""
        self._loop.remove_reader(self._channel)
        self._channel.close()

    async def _request_end(self, request: messages.Request) -> None:
        """Ask for something to end; without a launcher it has ended already."""
        try:
            await self._request(request)
        except LaunchError:
            if not self.ended.done():
                raise

    async def _request_process(
        self, request: messages.Request, stdio: list[int] | None = None
    ) -> Process:
        process = await self._request(request, stdio)
        if process is None:
            raise LaunchError("the launcher answered without a process")
        return process

    async def _request(
        self, request: messages.Request, stdio: list[int] | None = None
    ) -> Process | None:
        if self.ended.done():
            raise LaunchError("the launcher process has ended")
        self._numbers += 1
        number = self._numbers
        answer: asyncio.Future[Process | None] = self._loop.create_future()
        self._waiting[number] = answer
        # In a memory file, because a datagram is bounded and an environment is not.
        memory = os.memfd_create("request")
        try:
            os.pwrite(memory, messages.encode(number, request), 0)
            await self._send([memory, *(stdio or [])])
        finally:
            os.close(memory)
        try:
            # Shielded: the launcher will answer, and the answer may carry a descriptor.
            return await asyncio.shield(answer)
        finally:
            if not answer.done():
                answer.add_done_callback(_discard)

    async def _send(self, descriptors: list[int]) -> None:
        while True:
            try:
                socket.send_fds(self._channel, [b"r"], descriptors)
            except BlockingIOError:
                writable = self._loop.create_future()
                self._loop.add_writer(self._channel, _resolve, writable)
                try:
                    await writable
                finally:
                    self._loop.remove_writer(self._channel)
            else:
                return

    def _read(self) -> None:
        while True:
            try:
                raw, descriptors, _, _ = socket.recv_fds(self._channel, _LONGEST_ANSWER, 1)
            except BlockingIOError:
                return
            except ConnectionResetError:
                raw, descriptors = b"", []
            if not raw:
                self._end()
                return
            self._dispatch(json.loads(raw), descriptors)

    def _dispatch(self, answer: dict[str, Any], descriptors: list[int]) -> None:
        if "exited" in answer:
            exited = self._exits.pop(answer["exited"], None)
            if exited is not None and not exited.done():
                exited.set_result(answer["code"])
            return
        waiting = self._waiting.pop(answer["id"])
        if "failure" in answer:
            waiting.set_exception(LaunchError(answer["failure"]))
            return
        outcome = answer["ok"]
        if "pid" not in outcome:
            waiting.set_result(None)
            return
        # Made here and not by the asker: the exit may be the very next datagram.
        exited = self._exits[outcome["pid"]] = self._loop.create_future()
        terminal = descriptors[0] if descriptors else None
        inode = outcome.get("mount_namespace", 0)
        waiting.set_result(Process(outcome["pid"], inode, terminal, exited))

    def _end(self) -> None:
        self._loop.remove_reader(self._channel)
        if not self.ended.done():
            self.ended.set_result(None)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LaunchError("the launcher process has ended"))
        for exited in self._exits.values():
            if not exited.done():
                exited.set_result(-9)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _discard(answer: asyncio.Future[Process | None]) -> None:
    """Close what nobody waits for any more."""
    if answer.cancelled() or answer.exception() is not None:
        return
    process = answer.result()
    if process is not None and process.terminal is not None:
        with contextlib.suppress(OSError):
            os.close(process.terminal)
