"""Types into a program on a terminal of its own, as a person would (`kubectl exec -it`)."""

from __future__ import annotations

import asyncio
import os
import pty
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.errors import TerminalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

_TIMEOUT_SECONDS = 60.0
# What terminals print besides text: colours, cursor moves, switches of readline.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")


class Terminal:
    """The person's side of a terminal."""

    def __init__(self, fd: int, process: asyncio.subprocess.Process) -> None:
        self._fd = fd
        self._process = process
        self._text = ""
        self._changed = asyncio.Event()

    @property
    def text(self) -> str:
        """Everything on the screen so far, without control sequences."""
        return _CONTROL.sub("", self._text)

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        os.write(self._fd, f"{line}\n".encode())

    async def read_until(self, pattern: str) -> str:
        """Return the screen's text once it matches a regular expression.

        Raises:
            TerminalError: it does not in time; with the end of the screen.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                while not re.search(pattern, self.text):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            message = f"the terminal never showed {pattern!r}: {self.text[-300:]!r}"
            raise TerminalError("TerminalSilent", message) from None
        return self.text

    async def close(self) -> int:
        """Wait for the program to end and return its exit code.

        Raises:
            TerminalError: it does not end in time.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            raise TerminalError(
                "TerminalSilent", "the program on the terminal did not end"
            ) from None

    def _read(self) -> None:
        try:
            self._text += os.read(self._fd, 65_536).decode(errors="replace")
        except OSError:
            # Linux answers EIO when the last program has left the terminal.
            asyncio.get_running_loop().remove_reader(self._fd)
        self._changed.set()


@asynccontextmanager
async def open_terminal(
    command: Sequence[str], environment: Mapping[str, str]
) -> AsyncIterator[Terminal]:
    """Give a terminal with a program running on it; the program is ended with the block."""
    ours, theirs = pty.openpty()
    loop = asyncio.get_running_loop()
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment)
        )
    finally:
        os.close(theirs)
    terminal = Terminal(ours, process)
    loop.add_reader(ours, terminal._read)  # noqa: SLF001 - the two halves of one thing
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(ours)
        os.close(ours)
