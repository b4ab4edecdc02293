"""The termination message of a container: what it wrote to its termination log, or its last output.

Source: Kubernetes documentation, "Determine the Reason for Pod Failure": 4096 bytes of the file;
with FallbackToLogsOnError, of a failed container with an empty file, the last 2048 bytes or 80
lines of output. Not pure: reads files.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from localcluster.kubelet.fields import Json
    from localcluster.kubelet.log_file import ContainerLog

_LONGEST_MESSAGE = 4096
_LONGEST_FALLBACK = 2048
_MOST_LINES = 80


async def termination_message(
    container: Json, file: Path | None, log: ContainerLog | None, *, failed: bool
) -> str:
    """Return the message; empty if the container said nothing.

    Args:
        container: its spec; terminationMessagePolicy counts.
        file: its termination log.
        log: its closed output.
        failed: whether its exit code was not 0.
    """
    written = _written(file)
    policy = container.get("terminationMessagePolicy")
    if not written and failed and log is not None and policy == "FallbackToLogsOnError":
        last: collections.deque[bytes] = collections.deque(maxlen=_MOST_LINES)
        async for line in log.read(follow=False):
            last.append(line.text + (b"\n" if line.complete else b""))
        written = b"".join(last)[-_LONGEST_FALLBACK:]
    return written.decode(errors="replace")


def _written(file: Path | None) -> bytes:
    if file is None or not file.exists():
        return b""
    with file.open("rb") as content:
        return content.read(_LONGEST_MESSAGE)
