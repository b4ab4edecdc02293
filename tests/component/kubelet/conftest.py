"""A kubelet for each test, with an image `game` that runs for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.kubelet import (
    GAME,
    KubeletUnderTest,
    folder_of_uid_1000,
    running_kubelet,
    write_image,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def as_uid_1000() -> bool:
    """Whether the kubelet runs as an ordinary user; a module may make it a parameter."""
    return False


@pytest.fixture
def folder(tmp_path: Path, as_uid_1000: bool) -> Iterator[Path]:
    """Where the kubelet under test has its files."""
    if not as_uid_1000:
        yield tmp_path
        return
    with folder_of_uid_1000() as made:
        yield made


@pytest.fixture
async def kubelet(folder: Path, as_uid_1000: bool) -> AsyncIterator[KubeletUnderTest]:
    description = {"command": ["bash", "./start.sh"], "workingDir": "/data", "env": {"MODE": "x"}}
    image = write_image(folder / "game", description, start_sh=GAME)
    async with running_kubelet(folder, {"game": image}, other_user=as_uid_1000) as running:
        yield running
