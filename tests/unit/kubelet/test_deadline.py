"""Grace periods that may only become shorter, and files that change together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from localcluster.kubelet.atomic_files import File, write_together
from localcluster.kubelet.deadline import Deadline
from localcluster.kubelet.fields import ConfigurationError
from shared.clock import monotonic_seconds

if TYPE_CHECKING:
    from pathlib import Path


def never() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_what_is_done_is_not_waited_for() -> None:
    done = never()
    done.set_result(None)

    assert await Deadline(60).wait_for(done) is True


async def test_a_deadline_that_has_passed_ends_the_wait_but_not_the_least_time() -> None:
    deadline = Deadline(0.001)
    began = monotonic_seconds()

    assert await deadline.wait_for(never()) is False
    assert await deadline.wait_for(never(), least_seconds=0.05) is False

    assert monotonic_seconds() - began >= 0.05
    assert deadline.left_seconds < 0


async def test_a_later_deletion_shortens_a_wait_that_is_under_way() -> None:
    deadline = Deadline(60)
    asyncio.get_running_loop().call_later(0.01, deadline.bring_forward, 0.01)

    async with asyncio.timeout(15):
        assert await deadline.wait_for(never()) is False


async def test_a_deadline_is_never_put_off() -> None:
    deadline = Deadline(1)

    deadline.bring_forward(60)

    assert deadline.left_seconds <= 1
    assert deadline.immediate is False


async def test_zero_leaves_no_time_at_all() -> None:
    deadline = Deadline(60)

    deadline.bring_forward(0)

    assert deadline.immediate is True
    assert await deadline.wait_for(never(), least_seconds=60) is False


def shown(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [p for p in folder.rglob("*") if p.is_file() and ".." not in str(p.relative_to(folder))]
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mode & 0o777)
        for p in [*files, *folder.glob("d/*")]
    }


def test_files_change_together_and_old_ones_go(tmp_path: Path) -> None:
    write_together(tmp_path, {"a": File(b"1", 0o644), "d/b": File(b"2", 0o400)})
    assert shown(tmp_path) == {"a": (b"1", 0o644), "d/b": (b"2", 0o400)}
    held = (tmp_path / "..data").resolve()

    write_together(tmp_path, {"a": File(b"3", 0o644)})

    assert shown(tmp_path) == {"a": (b"3", 0o644)}
    assert not held.exists()
    hidden = [path.name for path in tmp_path.iterdir() if path.name.startswith("..")]
    assert len(hidden) == 2  # the folder and the link to it


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..data"])
def test_a_path_that_leaves_the_volume_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()

    with pytest.raises(ConfigurationError) as caught:
        write_together(folder, {"a": File(b"1", 0o644), name: File(b"2", 0o644)})

    assert str(caught.value) == f"volume path {name} leaves the volume"
    assert list(folder.iterdir()) == []
