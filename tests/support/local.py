"""`gamekeeper local` as a user runs it: a subprocess, and the real kubectl against it."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import yaml

from tests.support.cluster import (
    PYTHON_IMAGE,
    REPOSITORY,
    Cluster,
    current_namespace,
    gamekeeper,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Deadlines of conditions: one that is met costs nothing, and one that is missed fails anyway.
_START_SECONDS = 180.0
_STOP_SECONDS = 60.0


@dataclass
class Local(Cluster):
    """A running `gamekeeper local`."""

    process: subprocess.Popen[str]
    output: Path
    patience_seconds: ClassVar[float] = 120.0
    python: ClassVar[tuple[str, ...]] = (os.path.realpath(sys.executable),)

    @property
    def state_directory(self) -> Path:
        """The state folder, from the line that tells where the logs are."""
        for line in self.output.read_text().splitlines():
            if line.startswith("logs are in "):
                return Path(line.removeprefix("logs are in ")).parent
        raise AssertionError(f"no line about the logs in {self.output.read_text()}")

    def gamekeeper(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that asks the status API, which it finds in the kubeconfig."""
        return self._run(gamekeeper(*arguments))

    @contextmanager
    def beside(self, name: str) -> Iterator[Local]:
        """Give a namespace of this name; it ends with the cluster."""
        self.must("create", "namespace", name)
        with current_namespace(self.kubeconfig, name) as kubeconfig:
            yield dataclasses.replace(self, kubeconfig=kubeconfig, namespace=name)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """End it with a signal and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_STOP_SECONDS)


@contextmanager
def open_local(folder: Path, images: Mapping[str, Path], files: Sequence[Path]) -> Iterator[Local]:
    """Give a running `gamekeeper local`; it is ended with the block.

    Args:
        folder: receives files.
        images: folder of each image, besides those in an images.yaml beside a file.
        files: manifests to apply.
    """
    python = folder / "python"
    python.mkdir()
    (python / "image.yaml").write_text(yaml.safe_dump({"command": list(Local.python)}))
    mapped = {**images, PYTHON_IMAGE: python}
    mappings = [f"--image={image}={place}" for image, place in mapped.items()]
    arguments = [argument for file in files for argument in ("-f", str(file))]
    with running_local(folder, *arguments, *mappings) as local:
        yield local


@contextmanager
def running_local(folder: Path, *arguments: str) -> Iterator[Local]:
    """Give a running `gamekeeper local` with these arguments; it is ended with the block."""
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
    local = Local(kubeconfig, "default", process, output)
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
