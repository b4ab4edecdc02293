"""What `ps` shows for our own processes: a fixed word instead of the kubelet's command line.

Forks of the launcher are seen inside the pods' PID namespaces, where probe scripts count words in
`ps -ef`. The kernel reads a command line from the memory between arg_start and arg_end of the
process. When the last byte of that area is not NUL it takes the area as a title that ends at its
first NUL (fs/proc/base.c, get_mm_cmdline), so `/proc/PID/cmdline` is exactly the word.
Not pure. Lean: standard library without asyncio.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import NamedTuple

from localcluster.kubelet import syscalls

_ARG_START = 48 - 3  # proc(5) counts from 1; the text after the ")" begins with field 3
_ARG_END = 49 - 3


class TitleArea(NamedTuple):
    """The memory of the command line: first address and length in bytes."""

    address: int
    length: int


def find_title_area() -> TitleArea:
    """Return where the kernel reads this process's command line; the same in its forks."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    return TitleArea(start, end - start)


def set_title(area: TitleArea, title: str) -> None:
    """Show `title` as the whole command line and as the short name of this process.

    An area too small for the title and the two bytes after it shows a shortened title.
    """
    raw = title.encode()[: max(0, area.length - 2)]
    filled = raw + b"\0" * (area.length - len(raw) - 1) + b"\x01"
    ctypes.memmove(area.address, filled, area.length)
    syscalls.set_name(title)
