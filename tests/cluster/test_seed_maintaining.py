"""The second scenario of the first seed: an unhealthy server is Maintaining, with a Warning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.local import Local, running_local, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

MANIFEST = Path(__file__).parents[1] / "data" / "seeds" / "service-quality-healthy.yaml"
READY = ("Ready", "None", "0", "0")


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    manifest = yaml.safe_load(MANIFEST.read_text())
    (container,) = manifest["spec"]["gameServerTemplate"]["spec"]["containers"]
    image = tmp_path / "image"
    image.mkdir()
    description = {"command": ["sleep", "infinity"], "workingDir": "/game"}
    (image / "image.yaml").write_text(yaml.safe_dump(description))
    (image / "healthy.sh").write_text("test ! -e broken\n")
    mapping = f"{container['image']}={image}"
    with running_local(tmp_path, "-f", str(MANIFEST), "--image", mapping) as running:
        yield running


def warnings_of(local: Local, name: str) -> list[str]:
    selector = f"involvedObject.kind=GameServer,involvedObject.name={name},type=Warning"
    path = '{range .items[*]}{.reason}: {.message}{"\\n"}{end}'
    text = local.must("get", "events", "--field-selector", selector, "-o", f"jsonpath={path}")
    return text.splitlines()


def test_an_unhealthy_server_is_maintaining_with_a_warning(local: Local) -> None:
    wait_for(local.servers, {f"demo-gs-{id_}": READY for id_ in range(3)})
    assert warnings_of(local, "demo-gs-0") == []

    local.must("exec", "demo-gs-0", "--", "touch", "broken")
    broken = ("Ready", "Maintaining", "0", "0")
    wait_for(local.servers, {"demo-gs-0": broken, "demo-gs-1": READY, "demo-gs-2": READY})
    expected = ["GsStateChanged: opsState None -> Maintaining"]
    wait_for(lambda: warnings_of(local, "demo-gs-0"), expected)
    assert "Maintaining" in local.must("describe", "gs", "demo-gs-0")

    local.must("exec", "demo-gs-0", "--", "rm", "broken")
    wait_for(local.servers, {f"demo-gs-{id_}": READY for id_ in range(3)})
    assert warnings_of(local, "demo-gs-0") == expected
