"""What `gamekeeper local` cannot start with: one clear line with the remedy, and nothing left."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster import REPOSITORY, gamekeeper
from tests.support.tools import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.local_only(reason="it is about starting gamekeeper local"),
]


@dataclass
class Refusal:
    """Runs `gamekeeper local` with a temporary folder of its own."""

    folder: Path

    def of(self, *arguments: str, prefix: tuple[str, ...] = ()) -> str:
        """Return the last line of stderr of a start that must be refused and leave nothing."""
        self.folder.mkdir()
        done = subprocess.run(
            [*prefix, *gamekeeper("local", *arguments)],
            env=os.environ | {"TMPDIR": str(self.folder)},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert list(self.folder.iterdir()) == []
        return done.stderr.splitlines()[-1]


@pytest.fixture
def refused_start(tmp_path: Path) -> Callable[..., str]:
    return Refusal(tmp_path / "temporary").of


def test_a_missing_file_is_named(refused_start: Callable[..., str], tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    expected = f"gamekeeper local: {missing}: cannot read it: No such file or directory"
    assert refused_start("-f", str(missing)) == expected


def test_bad_yaml_is_refused_with_line_and_column(
    refused_start: Callable[..., str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: GameServerSet\nspec: [1, 2\n")
    assert refused_start("-f", str(bad)).startswith(f"gamekeeper local: {bad}, line 3, column 1: ")


def test_a_port_in_use_is_named(refused_start: Callable[..., str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused_start("--port", str(port))
    assert str(port) in line
    assert "in use" in line


def test_an_image_folder_without_its_description_is_named(
    refused_start: Callable[..., str], tmp_path: Path
) -> None:
    line = refused_start("--image", f"game={tmp_path}")
    assert line == f"gamekeeper local: --image: {tmp_path} needs a file image.yaml"


def test_no_user_namespaces_is_explained(refused_start: Callable[..., str]) -> None:
    require("unshare", "util-linux")
    # In a user namespace of its own the limit can be set without touching the machine's.
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    line = refused_start(prefix=("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"))
    assert "max_user_namespaces" in line
