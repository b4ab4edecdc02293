"""`gamekeeper local --watch` follows the files it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.cluster import MINECRAFT, wait_for
from tests.support.local import running_local

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(90),
    pytest.mark.local_only(reason="it is about an option of gamekeeper local"),
]


def test_a_changed_file_is_applied_again_and_a_broken_one_is_told(tmp_path: Path) -> None:
    manifest = yaml.safe_load(MINECRAFT.read_text())
    images = yaml.safe_load((MINECRAFT.parent / "images.yaml").read_text())["images"]
    mapping = [f"--image={image}={MINECRAFT.parent / name}" for image, name in images.items()]
    file = tmp_path / "set.yaml"

    def write(replicas: int) -> None:
        manifest["spec"]["replicas"] = replicas
        file.write_text(yaml.safe_dump(manifest))

    write(1)
    with running_local(tmp_path, "-f", str(file), "--watch", *mapping) as local:
        wait_for(lambda: len(local.servers()), 1)
        file.write_text("spec: [\n")
        wait_for(lambda: f"{file}, line 2, column 1" in local.output.read_text(), expected=True)
        write(-1)
        wait_for(lambda: "spec.replicas" in local.output.read_text(), expected=True)
        write(2)
        wait_for(lambda: len(local.servers()), 2)
