"""Which mappings may be given back to the kernel: only those that hold nothing but file bytes."""

from __future__ import annotations

import pytest

from agent.resident import unwritten_mappings


def mapping(head: str, anonymous: int) -> str:
    return f"{head}\nSize: 8 kB\nRss: 8 kB\nAnonymous: {anonymous} kB\nVmFlags: rd mr mw me\n"


@pytest.mark.parametrize(
    ("head", "anonymous", "expected"),
    [
        ("1000-3000 r-xp 00001000 fe:00 42   /lib/libc.so.6", 0, [(0x1000, 0x2000)]),
        ("1000-3000 r--p 00001000 fe:00 42   /lib/my lib (1).so", 0, [(0x1000, 0x2000)]),
        ("1000-3000 r--p 00001000 fe:00 42   /lib/libc.so.6", 4, []),
        ("1000-3000 rw-p 00001000 fe:00 42   /lib/libc.so.6", 0, []),
        ("1000-3000 r--s 00001000 fe:00 42   /var/cache", 0, []),
        ("1000-3000 r-xp 00000000 00:00 0    [vdso]", 0, []),
        ("1000-3000 r--p 00000000 00:00 0", 0, []),
    ],
    ids=["code", "constants", "relocated", "data", "shared", "the kernel's own", "nameless"],
)
def test_only_unwritten_pages_of_files_are_given_back(
    head: str, anonymous: int, expected: list[tuple[int, int]]
) -> None:
    others = mapping("a000-b000 rw-p 00000000 00:00 0 [heap]", 4)
    smaps = others + mapping(head, anonymous) + others
    assert unwritten_mappings(smaps.splitlines(keepends=True)) == expected
