"""A container's log file, with real pipes."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from localcluster.kubelet import log_file
from localcluster.kubelet.log_file import ContainerLog

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.component


async def texts(log: ContainerLog, *, follow: bool = False, skip: int = 0) -> list[tuple[str, str]]:
    lines = [line async for line in log.read(follow=follow, skip=skip)]
    return [("F" if line.complete else "P", line.text.decode()) for line in lines]


@pytest.mark.parametrize(
    ("printed", "stored"),
    [
        pytest.param([b"a\nb\n"], [("F", "a"), ("F", "b")], id="lines"),
        pytest.param([b"a", b"b\n"], [("F", "ab")], id="a line in two writes"),
        pytest.param([b"a\nend"], [("F", "a"), ("P", "end")], id="no newline at the end"),
        pytest.param([b"\n\n"], [("F", ""), ("F", "")], id="empty lines"),
        pytest.param([], [], id="nothing"),
        pytest.param(
            [b"x" * 20000 + b"\n"],
            [("P", "x" * 16384), ("F", "x" * 3616)],
            id="a long line in parts",
        ),
    ],
)
async def test_lines_are_stored_as_the_runtimes_do(
    tmp_path: Path, printed: list[bytes], stored: list[tuple[str, str]]
) -> None:
    log = ContainerLog(tmp_path / "0.log")
    pipe = log.attach("stdout")
    for part in printed:
        os.write(pipe, part)
        await asyncio.sleep(0)
    os.close(pipe)
    await log.close(1)

    assert await texts(log) == stored


async def test_a_pipe_that_stays_open_does_not_hold_the_end(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "0.log")
    pipe = log.attach("stdout")
    os.write(pipe, b"a\n")
    follower = asyncio.ensure_future(texts(log, follow=True))

    await log.close(0.05)

    assert await follower == [("F", "a")]
    os.close(pipe)


async def test_a_follower_sees_every_line_across_rotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "_LARGEST_FILE", 300)
    log = ContainerLog(tmp_path / "0.log")
    pipe = log.attach("stdout")
    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(texts(log, follow=True))
        for number in range(50):
            os.write(pipe, f"{number}\n".encode())
            async with asyncio.timeout(15):
                while str(number).encode() not in log.path.read_bytes() + rotated(log):
                    await asyncio.sleep(0)
        os.close(pipe)
        await log.close(1)

    assert follower.result() == [("F", str(number)) for number in range(50)]
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"0.log", "0.old"}
    # A file ends with the line that makes it too large, or with those that came meanwhile.
    assert max(sizes.values()) < 2 * 300

    log.remove()
    assert list(tmp_path.iterdir()) == []


def rotated(log: ContainerLog) -> bytes:
    old = log.path.with_suffix(".old")
    return old.read_bytes() if old.exists() else b""
