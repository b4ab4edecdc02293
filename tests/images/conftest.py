"""The images that `make images` has made, unpacked once."""

import os
from pathlib import Path

import pytest

from tests.support.oci import Image, unpack

FOLDER = Path(os.environ.get("IMAGES", Path(__file__).parents[2] / "dist" / "images"))


def image(name: str, folder: Path) -> Image:
    """Return an image; the test is skipped, or fails under REQUIRE_ALL=1, where there is none."""
    archive = FOLDER / f"{name}.tar"
    if not archive.exists():
        message = f"{archive} is missing: make images"
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return unpack(archive, folder)


@pytest.fixture(scope="session")
def agent_image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return image("agent", tmp_path_factory.mktemp("agent"))


@pytest.fixture(scope="session")
def aggregator_image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return image("aggregator", tmp_path_factory.mktemp("aggregator"))
