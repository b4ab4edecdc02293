"""The local kubelet beside the local API server, for the cases whose pods run."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.kubelet import kubelet_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.apiserver import RunningApiServer

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


@contextmanager
def local_kubelet(
    server: RunningApiServer, folder: Path, images: Mapping[str, str]
) -> Iterator[None]:
    """Run a kubelet with these images; its node is Ready inside of the block."""
    (folder / "token").write_text(server.token, encoding="ascii")
    (folder / "images.json").write_text(json.dumps(images), encoding="utf-8")
    ready = folder / "ready"
    command = [
        *kubelet_program(),
        *("--server", server.url, "--ca", str(server.ca_file)),
        *("--token-file", str(folder / "token"), "--images", str(folder / "images.json")),
        *("--stream-token-file", str(server.kubelet_token_file)),
        *("--state-directory", str(folder / "state"), "--ready-file", str(ready)),
    ]
    with (folder / "stderr.txt").open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, stdout=stderr)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"no kubelet: {(folder / 'stderr.txt').read_text()}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)
