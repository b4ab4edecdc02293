"""Every YAML of the two seeds is accepted unchanged, with strict validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from shared.crds import custom_resource_definitions
from tests.support.apiserver import RunningApiServer, start_apiserver

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

DATA = Path(__file__).parents[2] / "data"
SETS = sorted((DATA / "seeds").glob("*.yaml"))
SCALED_OBJECTS = sorted((DATA / "seeds" / "scaledobjects").glob("*.yaml"))
KEDA = DATA / "keda-crd.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApiServer]:
    folder = tmp_path_factory.mktemp("seeds")
    definitions = []
    for definition in custom_resource_definitions():
        file = folder / f"{definition['metadata']['name']}.yaml"
        file.write_text(yaml.safe_dump(definition))
        definitions.append(file)
    running = start_apiserver(folder, definitions)
    yield running
    assert running.stop() == 0


def accept(server: RunningApiServer, manifest: Path) -> None:
    """Apply a file twice, with strict validation, and delete what it made."""
    body = yaml.safe_load(manifest.read_text())
    name = f"{body['kind'].lower()}.{body['apiVersion'].split('/')[0]}/{body['metadata']['name']}"
    apply = ("apply", "--validate=strict", "-f", str(manifest))
    assert server.kubectl(*apply).stdout == f"{name} created\n"
    try:
        again = server.kubectl(*apply).stdout
        assert again in (f"{name} unchanged\n", f"{name} configured\n")
    finally:
        server.kubectl("delete", "-f", str(manifest))


@pytest.mark.parametrize("manifest", SETS, ids=lambda file: file.stem)
def test_a_set_of_the_seeds_is_accepted(server: RunningApiServer, manifest: Path) -> None:
    accept(server, manifest)


def test_scaled_objects_are_accepted_once_their_kind_is_known(server: RunningApiServer) -> None:
    refused = server.kubectl("apply", "-f", str(SCALED_OBJECTS[0]), check=False)
    assert refused.returncode == 1
    assert 'no matches for kind "ScaledObject"' in refused.stderr

    server.kubectl("apply", "-f", str(KEDA))
    server.kubectl("wait", "--for=condition=Established", "crd/scaledobjects.keda.sh")
    assert len(SCALED_OBJECTS) == 4
    for manifest in SCALED_OBJECTS:
        accept(server, manifest)
