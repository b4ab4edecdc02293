"""Both use cases of the first seed, their YAML unchanged: idle servers, and unhealthy ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.local import Local, running_local, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

SEEDS = Path(__file__).parents[1] / "data" / "seeds"
# The seed shows no scripts for these two: by name, the use case and what its probe asks.
SCRIPTS = {
    "idle": 'test -z "$(ls players 2> /dev/null)"\n',
    "healthy": "test ! -e broken\n",
}
READY = ("Ready", "None", "0", "0")
IDLE = ("Ready", "WaitToBeDeleted", "0", "0")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("seed")
    arguments: list[str] = []
    for name, script in SCRIPTS.items():
        manifest = SEEDS / f"service-quality-{name}.yaml"
        template = yaml.safe_load(manifest.read_text())["spec"]["gameServerTemplate"]
        image = folder / name
        image.mkdir()
        description = {"command": ["sleep", "infinity"], "workingDir": "/game"}
        (image / "image.yaml").write_text(yaml.safe_dump(description))
        (image / f"{name}.sh").write_text(script)
        mapping = f"{template['spec']['containers'][0]['image']}={image}"
        arguments += ["-f", str(manifest), "--image", mapping]
    with running_local(folder, *arguments) as running:
        yield running


def servers_of(local: Local, name: str) -> dict[str, tuple[str, ...]]:
    rows = local.table("get", "gs", "-l", f"game.kruise.io/owner-gss={name}").rows
    return {server: cells[:4] for server, cells in rows.items()}


def warnings_of(local: Local, name: str) -> list[str]:
    selector = f"involvedObject.kind=GameServer,involvedObject.name={name},type=Warning"
    path = '{range .items[*]}{.reason}: {.message}{"\\n"}{end}'
    text = local.must("get", "events", "--field-selector", selector, "-o", f"jsonpath={path}")
    return text.splitlines()


def test_idle_servers_go_first_and_one_with_a_player_is_protected(local: Local) -> None:
    idle = {f"minecraft-{id_}": IDLE for id_ in range(3)}
    wait_for(lambda: servers_of(local, "minecraft"), idle)
    local.must("exec", "minecraft-1", "--", "mkdir", "-p", "players/alice")
    wait_for(lambda: servers_of(local, "minecraft"), idle | {"minecraft-1": READY})
    local.must("scale", "gss", "minecraft", "--replicas=1")
    wait_for(lambda: servers_of(local, "minecraft"), {"minecraft-1": READY})


def test_an_unhealthy_server_is_maintaining_with_a_warning(local: Local) -> None:
    well = {f"demo-gs-{id_}": READY for id_ in range(3)}
    wait_for(lambda: servers_of(local, "demo-gs"), well)
    assert warnings_of(local, "demo-gs-0") == []

    local.must("exec", "demo-gs-0", "--", "touch", "broken")
    broken = ("Ready", "Maintaining", "0", "0")
    wait_for(lambda: servers_of(local, "demo-gs"), well | {"demo-gs-0": broken})
    expected = ["GsStateChanged: opsState None -> Maintaining"]
    wait_for(lambda: warnings_of(local, "demo-gs-0"), expected)
    assert "Maintaining" in local.must("describe", "gs", "demo-gs-0")

    local.must("exec", "demo-gs-0", "--", "rm", "broken")
    wait_for(lambda: servers_of(local, "demo-gs"), well)
    assert warnings_of(local, "demo-gs-0") == expected
