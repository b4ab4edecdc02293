"""`gamekeeper local` as a user runs it: a subprocess, and the real kubectl against it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.kubectl import Table, kubectl_path, parse_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]
MINECRAFT = REPOSITORY / "examples" / "minecraft" / "minecraft.yaml"
MINECRAFT_IMAGE = "registry.cn-beijing.aliyuncs.com/chrisliu95/minecraft-demo:probe-v0"
# Deadlines of conditions: one that is met costs nothing, and one that is missed fails anyway.
_START_SECONDS = 180.0
_STOP_SECONDS = 60.0
_WAIT_SECONDS = 60.0


def gamekeeper(*arguments: str) -> tuple[str, ...]:
    """Return the command line of the command under test."""
    return (sys.executable, "-m", "cli", *arguments)


@dataclass
class Local:
    """A running `gamekeeper local`."""

    process: subprocess.Popen[str]
    kubeconfig: Path
    output: Path

    @property
    def state_directory(self) -> Path:
        """The state folder, from the line that tells where the logs are."""
        for line in self.output.read_text().splitlines():
            if line.startswith("logs are in "):
                return Path(line.removeprefix("logs are in ")).parent
        raise AssertionError(f"no line about the logs in {self.output.read_text()}")

    def kubectl(
        self, *arguments: str, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return how it ended, whatever that was."""
        return subprocess.run(
            [kubectl_path(), *arguments],
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_WAIT_SECONDS,
            check=False,
        )

    def must(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl, which must succeed, and return what it prints."""
        done = self.kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def table(self, *arguments: str) -> Table:
        """Return the table that a kubectl call prints."""
        return parse_table(self.must(*arguments))

    def servers(self) -> dict[str, tuple[str, ...]]:
        """Return STATE, OPSSTATE, DP and UP of each server."""
        return {name: cells[:4] for name, cells in self.table("get", "gs").rows.items()}

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it with a signal and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_STOP_SECONDS)


def wait_for(look: Callable[[], Any], expected: Any, seconds: float = _WAIT_SECONDS) -> None:
    """Look until it is as expected; fails with what it was last."""
    deadline = time.monotonic() + seconds
    while (actual := look()) != expected:
        assert time.monotonic() < deadline, f"expected {expected}\nactual {actual}"
        time.sleep(0.1)


@contextmanager
def running_local(folder: Path, *arguments: str) -> Iterator[Local]:
    """Give a running `gamekeeper local`; it is ended with the block."""
    kubeconfig = folder / "kubeconfig"
    output = folder / "output.txt"
    with output.open("w") as stream:
        process = subprocess.Popen(
            gamekeeper("local", "--kubeconfig", str(kubeconfig), *arguments),
            stdout=stream,
            stderr=stream,
            cwd=REPOSITORY,
            text=True,
        )
    local = Local(process, kubeconfig, output)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while "export KUBECONFIG=" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        yield local
    finally:
        if process.poll() is None:
            _end(local)


def _end(local: Local) -> None:
    """End it; one that does not listen is killed (its janitor removes the rest) and reported."""
    try:
        local.stop()
    except subprocess.TimeoutExpired:
        local.process.kill()
        local.process.wait()
        raise
