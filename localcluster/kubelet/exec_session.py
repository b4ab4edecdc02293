"""One `exec`: a process beside a container's main process, joined to a WebSocket.

The protocol is v5.channel.k8s.io: a binary message begins with a channel byte. 0 stdin, 1 stdout,
2 stderr, 3 the final Status, 4 resize (JSON Width, Height), 255 + n: stream n is closed.
Source: Kubernetes KEP-4006, "Transition from SPDY to WebSockets". Not pure.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import struct
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from localcluster.kubelet.launcher_client import LauncherClient, LaunchError, Process
from localcluster.kubelet.messages import Execute

if TYPE_CHECKING:
    from localcluster.kubelet.container import Container
    from localcluster.kubelet.fields import Json

PROTOCOL = "v5.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_READ_BYTES = 1 << 15
# After the end of the command only what is already on its way counts: a background process that
# keeps stdout open must not hold the session.
_DRAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """The query of an exec request.

    Args:
        command: what to run.
        stdin: whether the client sends input.
        terminal: whether stdio is a pseudo-terminal.
    """

    command: tuple[str, ...]
    stdin: bool
    terminal: bool


class ExecSession:
    """Joins one process to one prepared WebSocket."""

    def __init__(self, launcher: LauncherClient, socket: web.WebSocketResponse) -> None:
        self._launcher = launcher
        self._socket = socket
        self._input: int | None = None  # where channel 0 goes
        self._terminal: int | None = None

    async def run(self, container: Container, options: ExecOptions) -> None:
        """Run the command; return when it has ended and its Status is sent, or the client left."""
        try:
            process, outputs = await self._start(container, options)
        except LaunchError as failure:
            await self._send_status(_failure_status(str(failure)))
            return
        try:
            await self._join(process, outputs)
        finally:
            self._close_input()
            for descriptor in outputs:
                os.close(descriptor)
        if process.exited.done():
            code = process.exited.result()
            await self._send_status(_exit_status(code if code >= 0 else 128 - code))

    async def _join(self, process: Process, outputs: dict[int, int]) -> None:
        """Carry the streams until the process ends or the client leaves."""
        async with asyncio.TaskGroup() as tasks:
            receiver = tasks.create_task(self._receive())
            pumps = [tasks.create_task(self._pump(fd, to)) for fd, to in outputs.items()]
            ends: list[asyncio.Future[Any]] = [receiver, process.exited]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if process.exited.done():
                await asyncio.wait(pumps, timeout=_DRAIN_SECONDS)
            for task in [receiver, *pumps]:
                task.cancel()

    async def _start(
        self, container: Container, options: ExecOptions
    ) -> tuple[Process, dict[int, int]]:
        """Return the process, and the descriptors to read with their channels."""
        instance = container.instance
        if instance is None:
            raise LaunchError(f"container {container.name} is not running")
        main = instance.process.pid
        program = instance.program._replace(argv=options.command, terminal=options.terminal)
        if not options.terminal:
            return await self._start_with_pipes(Execute(main, program), options)
        environment = {"TERM": "xterm", **program.environment}
        request = Execute(main, program._replace(environment=environment))
        process = await self._launcher.execute(request, [])
        if process.terminal is None:
            raise LaunchError("the launcher sent no terminal")
        os.set_blocking(process.terminal, False)
        self._terminal = self._input = process.terminal
        return process, {os.dup(process.terminal): _STDOUT}

    async def _start_with_pipes(
        self, request: Execute, options: ExecOptions
    ) -> tuple[Process, dict[int, int]]:
        stdin, own_stdin = os.pipe()
        own_stdout, stdout = os.pipe()
        own_stderr, stderr = os.pipe()
        ours = (own_stdin, own_stdout, own_stderr)
        try:
            process = await self._launcher.execute(request, [stdin, stdout, stderr])
        except LaunchError:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        for descriptor in ours:
            os.set_blocking(descriptor, False)
        self._input = own_stdin
        if not options.stdin:
            self._close_input()
        return process, {own_stdout: _STDOUT, own_stderr: _STDERR}

    async def _pump(self, descriptor: int, channel: int) -> None:
        """Send what the process prints until the stream ends."""
        prefix = bytes([channel])
        while True:
            await _ready(descriptor, writing=False)
            try:
                content = os.read(descriptor, _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                content = b""  # a terminal whose last process has gone
            if not content:
                return
            with contextlib.suppress(ConnectionResetError):
                await self._socket.send_bytes(prefix + content)

    async def _receive(self) -> None:
        """Take the client's messages until it leaves."""
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            channel, content = message.data[0], message.data[1:]
            if channel == _STDIN:
                await self._write_input(content)
            elif channel == _RESIZE and self._terminal is not None:
                _resize(self._terminal, content)
            elif channel == _CLOSE and content[:1] == bytes([_STDIN]) and self._terminal is None:
                self._close_input()

    async def _write_input(self, content: bytes) -> None:
        while content and self._input is not None:
            try:
                content = content[os.write(self._input, content) :]
            except BlockingIOError:
                await _ready(self._input, writing=True)
            except OSError:
                self._close_input()  # the process reads no more

    def _close_input(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = self._terminal = None

    async def _send_status(self, status: Json) -> None:
        with contextlib.suppress(ConnectionResetError):
            await self._socket.send_bytes(bytes([_ERROR]) + json.dumps(status).encode())
            await self._socket.close()


async def _ready(descriptor: int, *, writing: bool) -> None:
    """Return when the descriptor can be read, or written."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add, remove = (
        (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    )
    add(descriptor, _resolve, ready)
    try:
        await ready
    finally:
        remove(descriptor)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _resize(terminal: int, content: bytes) -> None:
    try:
        size = json.loads(content)
        rows, columns = int(size["Height"]), int(size["Width"])
        packed = struct.pack("HHHH", rows, columns, 0, 0)
    except (ValueError, KeyError, TypeError, struct.error):
        return  # not a size; the terminal keeps the one it has
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, packed)


def _exit_status(code: int) -> Json:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _failure_status(message: str) -> Json:
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "code": 500,
        "message": f"Internal error occurred: {message}",
    }
