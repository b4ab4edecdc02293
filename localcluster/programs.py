"""Starts the programs of a local cluster, waits until they are ready, and stops them. Not pure.

Each program has its own session, so that Ctrl-C reaches the supervisor alone, which stops them in
order; each is registered with the janitor, so that they end even when the supervisor is killed.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from shared.clock import monotonic_seconds
from shared.errors import TerminalError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from localcluster.janitor import Janitor

# A machine with other work to do has been seen to need half a minute.
_READY_SECONDS = 90.0
_POLL_SECONDS = 0.02
_STOP_SECONDS = 5.0
_LOG_LINES = 5


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """A program to start.

    Attributes:
        arguments: the program and its arguments.
        environment: added to a minimal environment.
        ready: tells whether the program is ready; asked until it is.
    """

    name: str
    arguments: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)


class Program:
    """A started program."""

    def __init__(self, spec: ProgramSpec, process: asyncio.subprocess.Process, log: Path) -> None:
        self._spec = spec
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @classmethod
    async def start(cls, spec: ProgramSpec, log: Path, janitor: Janitor) -> Program:
        """Start a program and return when it is ready.

        Args:
            spec: what to start.
            log: file for its output.
            janitor: ends the program if we cannot.

        Raises:
            TerminalError: it ended, or was not ready in time; with the end of its log.
        """
        # Our own settings must not leak into the programs: GAMEKEEPER_ names are checked by them.
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("GAMEKEEPER_")
        }
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *spec.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=inherited | dict(spec.environment),
                start_new_session=True,
            )
        program = cls(spec, process, log)
        janitor.watch(process.pid)
        try:
            await program._wait_ready()
        except BaseException:
            await program.stop()
            raise
        return program

    async def stop(self) -> None:
        """End the program: SIGTERM, and SIGKILL when it does not listen."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def wait(self) -> None:
        """Return when the program has ended by itself.

        Raises:
            TerminalError: always, with the end of its log; a program of a cluster never just ends.
        """
        await self._process.wait()
        raise self._ended()

    async def _wait_ready(self) -> None:
        deadline = monotonic_seconds() + _READY_SECONDS
        while not await self._spec.ready():
            if self._process.returncode is not None:
                raise self._ended()
            if monotonic_seconds() > deadline:
                message = f"{self._spec.name} was not ready after {_READY_SECONDS:g} s"
                raise TerminalError("NotReady", f"{message}: {self._last_lines()}")
            await asyncio.sleep(_POLL_SECONDS)

    def _ended(self) -> TerminalError:
        lines = self._last_lines()
        code = self._process.returncode
        # Exit code 2 is a fault of the input and its one line says all.
        message = lines if code == 2 else f"{self._spec.name} ended with code {code}: {lines}"
        return TerminalError("ProgramEnded", message)

    def _last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-_LOG_LINES:]) or "it printed nothing"


class HttpReady:
    """Readiness by HTTP: 200 is ready, anything else is not yet.

    Args:
        url: to ask; None while it is not known.
        ca_file: CA that the server's certificate is checked against, for https.
    """

    def __init__(self, url: Callable[[], str | None], ca_file: Path | None = None) -> None:
        self._url = url
        self._ca_file = ca_file

    async def __call__(self) -> bool:
        """Ask once."""
        url = self._url()
        if url is None:
            return False
        context = ssl.create_default_context(cafile=self._ca_file) if self._ca_file else True
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url, ssl=context) as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
